//! Accepting connections, and stopping without breaking what was accepted.

mod bind;
mod refusal;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tower::{Service, ServiceExt};
use tracing::{debug, info, warn};

pub use self::bind::{BindError, bind};
use self::refusal::Refusals;
use crate::ids::Ids;
use crate::lifecycle::Lifecycle;

const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How patient the server is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Time for a request's headers to arrive, and for a connection to stay open without a request.
    pub headers: Duration,
    /// Time for accepted requests to finish after the order to stop.
    pub grace: Duration,
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(30),
            grace: Duration::from_secs(20),
            connections: 900,
        }
    }
}

/// Tells the server to stop at the first SIGTERM or SIGINT, and to hurry at the second. After a
/// SIGTERM it first goes on for the time of `drain`, without being ready; a person at the keyboard
/// does not wait for that.
pub fn stop_on_signals(lifecycle: Lifecycle, drain: Duration) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    tokio::spawn(async move {
        let mut name = next().await;
        let mut news = format!("received {name}");
        if name == "SIGTERM" && !drain.is_zero() && lifecycle.is_ready() {
            let seconds = drain.as_secs();
            info!(
                signal = name,
                "{news}, not ready any more; stopping in {seconds} s"
            );
            lifecycle.drain();
            tokio::select! {
                () = tokio::time::sleep(drain) => news = "the drain time is over".to_owned(),
                again = next() => {
                    name = again;
                    news = format!("received {name}");
                }
            }
        }
        info!(signal = name, "{news}, finishing what was accepted");
        lifecycle.stop();
        let name = next().await;
        warn!(signal = name, "received {name} again, stopping now");
        lifecycle.hurry();
    });
    Ok(())
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every accepted request was answered.
    Clean,
    /// This many connections were cut off when the grace period was over.
    CutOff(usize),
}

/// Serves until told to stop, then finishes accepted requests within the grace period.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    lifecycle: &Lifecycle,
    ids: &Ids,
    patience: Patience,
) -> Ended {
    let connections = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(patience.connections));
    tokio::select! {
        never = accept(&listener, &router, ids, patience, &room, &connections) => match never {},
        () = lifecycle.stopped() => {}
    }
    // From here on the system refuses connections, and a load balancer goes elsewhere.
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => return Ended::Clean,
        () = tokio::time::sleep(patience.grace) => {}
        () = lifecycle.hurried() => {}
    }
    let open = patience.connections - room.available_permits();
    warn!(
        open,
        "{open} connections did not finish in time and are cut off"
    );
    Ended::CutOff(open)
}

async fn accept(
    listener: &TcpListener,
    router: &Router,
    ids: &Ids,
    patience: Patience,
    room: &Arc<Semaphore>,
    connections: &GracefulShutdown,
) -> Infallible {
    loop {
        let permit = Arc::clone(room).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, peer)) => {
                let service = with_peer(router.clone(), peer);
                let stream = Refusals::new(socket(stream), ids.clone(), peer);
                let connection = http(patience).serve_connection(TokioIo::new(stream), service);
                let connection = connections.watch(connection);
                tokio::spawn(async move {
                    if let Err(err) = connection.await {
                        debug!(%peer, "connection ended: {err}");
                    }
                    drop(permit);
                });
            }
            Err(err) => {
                warn!("could not accept a connection: {err}");
                // Usually the process is out of file descriptors: let some connections end.
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

fn http(patience: Patience) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers);
    builder
}

fn socket(stream: TcpStream) -> TcpStream {
    // Answers are complete when they are written: waiting to fill a packet only adds latency. A
    // socket that refuses this is about to fail anyway.
    let _ = stream.set_nodelay(true);
    stream
}

/// Tells the handlers who is at the other end.
fn with_peer(
    router: Router,
    peer: SocketAddr,
) -> TowerToHyperService<
    impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone,
> {
    TowerToHyperService::new(router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }))
}

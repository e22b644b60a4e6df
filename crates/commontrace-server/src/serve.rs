//! Accepting connections, and stopping without breaking what was accepted.

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

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has it.
    #[error("the address {0} is already in use")]
    InUse(SocketAddr),
    /// The system does not let this user have it.
    #[error("this user may not listen on {0}")]
    NotAllowed(SocketAddr),
    /// No network of this machine has it.
    #[error("this machine has no address {0}")]
    NotHere(SocketAddr),
    /// Something else.
    #[error("could not listen on {0}: {1}")]
    Other(SocketAddr, #[source] io::Error),
}

impl BindError {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InUse(_) => {
                "stop the program that has it, or choose another with COMMONTRACE_LISTEN"
            }
            Self::NotAllowed(_) => "choose a port from 1024 up with COMMONTRACE_LISTEN",
            Self::NotHere(_) => {
                "choose one it has with COMMONTRACE_LISTEN: 127.0.0.1 for this machine only, \
                 0.0.0.0 for all its networks"
            }
            Self::Other(..) => "check the address in COMMONTRACE_LISTEN",
        }
    }
}

/// Starts to listen on `address`.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|err| match err.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            io::ErrorKind::PermissionDenied => BindError::NotAllowed(address),
            io::ErrorKind::AddrNotAvailable => BindError::NotHere(address),
            _ => BindError::Other(address, err),
        })
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
        if name == "SIGTERM" && !drain.is_zero() && lifecycle.is_ready() {
            let seconds = drain.as_secs();
            info!(
                signal = name,
                "received {name}, not ready any more; stopping in {seconds} s"
            );
            lifecycle.drain();
            tokio::select! {
                () = tokio::time::sleep(drain) => name = "the end of the drain time",
                again = next() => name = again,
            }
        }
        info!(
            signal = name,
            "received {name}, finishing what was accepted"
        );
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
    patience: Patience,
) -> Ended {
    let connections = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(patience.connections));
    tokio::select! {
        never = accept(&listener, &router, patience, &room, &connections) => match never {},
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
                let connection = http(patience).serve_connection(socket(stream), service);
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

fn socket(stream: TcpStream) -> TokioIo<TcpStream> {
    // Answers are complete when they are written: waiting to fill a packet only adds latency. A
    // socket that refuses this is about to fail anyway.
    let _ = stream.set_nodelay(true);
    TokioIo::new(stream)
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

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::extract::ConnectInfo;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::app::ServerSettings;
    use crate::ids::Ids;
    use crate::middleware;

    struct Running {
        address: SocketAddr,
        lifecycle: Lifecycle,
        server: JoinHandle<Ended>,
    }

    async fn start(routes: Router, patience: Patience) -> Running {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let lifecycle = Lifecycle::default();
        lifecycle.mark_ready();
        let router = middleware::wrap(routes, &ServerSettings::default(), &Ids::Random);
        let server = tokio::spawn({
            let lifecycle = lifecycle.clone();
            async move { serve(listener, router, &lifecycle, patience).await }
        });
        Running {
            address,
            lifecycle,
            server,
        }
    }

    impl Running {
        async fn connect(&self, request: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        }
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn handlers_know_who_is_at_the_other_end() {
        let whoami = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
        let running = start(Router::new().route("/", get(whoami)), Patience::default()).await;
        let stream = running
            .connect("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        let answer = rest(stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("127.0.0.1"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn stopping_finishes_what_was_accepted_and_accepts_nothing_more() {
        let (entered, mut has_entered) = mpsc::channel(1);
        let (leave, may_leave) = tokio::sync::watch::channel(false);
        let slow = async move || {
            entered.send(()).await.unwrap();
            may_leave.clone().wait_for(|leave| *leave).await.unwrap();
            "done"
        };
        let running = start(Router::new().route("/", get(slow)), Patience::default()).await;
        let idle = running.connect("").await;
        let busy = running.connect("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        has_entered.recv().await.unwrap();

        running.lifecycle.stop();
        assert!(!running.lifecycle.is_ready());
        assert_eq!(rest(idle).await, "");
        assert!(TcpStream::connect(running.address).await.is_err());

        leave.send(true).unwrap();
        let answer = rest(busy).await;
        assert!(answer.ends_with("done"), "{answer}");
        assert_eq!(running.server.await.unwrap(), Ended::Clean);
    }

    #[tokio::test]
    async fn what_does_not_finish_in_time_is_cut_off() {
        let (entered, mut has_entered) = mpsc::channel(1);
        let hang = async move || {
            entered.send(()).await.unwrap();
            std::future::pending::<()>().await;
        };
        let patience = Patience {
            grace: Duration::ZERO,
            ..Patience::default()
        };
        let running = start(Router::new().route("/", get(hang)), patience).await;
        let _busy = running.connect("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        has_entered.recv().await.unwrap();
        running.lifecycle.stop();
        assert_eq!(running.server.await.unwrap(), Ended::CutOff(1));
    }

    #[tokio::test]
    async fn in_a_hurry_nothing_is_waited_for() {
        let (entered, mut has_entered) = mpsc::channel(1);
        let hang = async move || {
            entered.send(()).await.unwrap();
            std::future::pending::<()>().await;
        };
        let running = start(Router::new().route("/", get(hang)), Patience::default()).await;
        let _busy = running.connect("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        has_entered.recv().await.unwrap();
        running.lifecycle.hurry();
        assert_eq!(running.server.await.unwrap(), Ended::CutOff(1));
    }

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_headers_is_let_go() {
        let patience = Patience {
            headers: Duration::ZERO,
            ..Patience::default()
        };
        let running = start(Router::new(), patience).await;
        let stream = running.connect("GET / HTTP/1.1\r\nhost:").await;
        let answer = rest(stream).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_client_that_is_still_sending_gets_to_read_why_it_was_refused() {
        let running = start(
            Router::new().route("/", post(async |body: Bytes| body.len().to_string())),
            Patience::default(),
        )
        .await;
        let length = 5 * 1024 * 1024;
        let head = format!(
            "POST /nowhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut stream = running.connect(&head).await;
        stream.write_all(&vec![b'x'; length]).await.unwrap();
        assert!(rest(stream).await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn a_client_that_asks_first_is_not_told_to_send_too_much() {
        let take = async |_: crate::extract::Json<serde_json::Value>| "taken";
        let running = start(Router::new().route("/", post(take)), Patience::default()).await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
            content-length: 9000000\r\nexpect: 100-continue\r\n\r\n";
        let answer = rest(running.connect(head).await).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_with_what_to_do() {
        let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = taken.local_addr().unwrap();
        let err = bind(address).await.unwrap_err();
        assert_eq!(
            err.to_string(),
            format!("the address {address} is already in use")
        );
        assert!(err.hint().contains("COMMONTRACE_LISTEN"));
        let err = bind("192.0.2.1:80".parse().unwrap()).await.unwrap_err();
        assert!(matches!(err, BindError::NotHere(_)), "{err}");
    }
}

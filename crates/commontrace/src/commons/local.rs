//! The store on this machine, asked through the handlers of the HTTP API, in this process and without a
//! network.
//!
//! Other processes may have the store open too, servers and other agents' tools among them; each notices
//! within a second what the others write.

use std::num::NonZeroU32;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use commontrace_core::TraceId;
use commontrace_mcp::{Answer, Away, Backend, Call};
use commontrace_server::error::chain;
use commontrace_server::lifecycle::Lifecycle;
use commontrace_server::worker::{self, Work};
use commontrace_server::{App, router};
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::config::Config;
use crate::failure::Failure;
use crate::{local_user, start};

/// The store on this machine, opened when it is asked for the first time.
#[derive(Debug)]
pub struct Local {
    config: Config,
    opened: OnceCell<Opened>,
}

/// What this machine's store has under an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Nothing.
    Nothing,
    /// A starter trace, which other stores have, too.
    Starter,
    /// A trace that stands nowhere else.
    Own,
}

#[derive(Debug)]
struct Opened {
    app: App,
    router: Router,
    tasks: Mutex<JoinSet<()>>,
}

impl Local {
    /// Remembers where the store is, and opens nothing.
    pub fn new(mut config: Config) -> Self {
        config.server.single_user = true;
        // Nobody has to be kept from asking too much of their own machine.
        config.limits.rate_limit_read_per_minute = NonZeroU32::MAX;
        config.limits.rate_limit_write_per_minute = NonZeroU32::MAX;
        Self {
            config,
            opened: OnceCell::new(),
        }
    }

    async fn opened(&self) -> Result<&Opened, Away> {
        let opened = self.opened.get_or_try_init(|| Box::pin(open(&self.config)));
        opened.await.map_err(|failure| {
            tracing::error!("the store cannot be opened: {failure}");
            Away::Unavailable(format!("The store on this machine cannot be opened: {failure}. Only the user can mend that."))
        })
    }

    /// Finds out whether this machine's store has a trace. That is no reading of it.
    pub async fn holding(&self, id: Uuid) -> Result<Holding, Away> {
        let found = self.opened().await?.app.store.trace(TraceId(id)).await;
        let found = found.map_err(|err| {
            let why = chain(&err);
            Away::NoAnswer(format!("The store on this machine cannot be read: {why}."))
        })?;
        Ok(match found {
            None => Holding::Nothing,
            Some(trace) if trace.is_seed => Holding::Starter,
            Some(_) => Holding::Own,
        })
    }

    /// Ends the background work and closes the store, if it was opened.
    pub async fn close(&self) {
        if let Some(opened) = self.opened.get() {
            let tasks = std::mem::take(&mut *opened.tasks.lock().await);
            start::stop(opened.app.clone(), tasks).await;
        }
    }
}

async fn open(config: &Config) -> Result<Opened, Failure> {
    let store = start::serving_store(config).await?;
    local_user::ensure(&store).await?;
    let embedder = start::embedder_at_hand(config).await?;
    let app = start::app(config, store, embedder, None, None, Lifecycle::default()).await?;
    let since = start::fill(config, &app).await?;
    let tasks = worker::start_node(&app, since, Work::Here);
    app.lifecycle.mark_ready();
    Ok(Opened {
        router: router(&app),
        app,
        tasks: Mutex::new(tasks),
    })
}

impl Backend for Local {
    async fn send(&self, call: &Call) -> Result<Answer, Away> {
        let opened = self.opened().await?;
        let deadline = call.deadline();
        let answer = timeout(deadline, ask(opened.router.clone(), call)).await;
        answer.unwrap_or_else(|_| {
            let seconds = deadline.as_secs();
            Err(Away::NoAnswer(format!(
                "The store on this machine did not answer within {seconds} s."
            )))
        })
    }
}

async fn ask(router: Router, call: &Call) -> Result<Answer, Away> {
    let failed = |why: String| Away::NoAnswer(format!("The request could not be made: {why}."));
    // Only a request that names this machine may come without a key.
    let request = Request::builder()
        .method(call.method())
        .uri(call.path())
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json");
    let body = call
        .body()
        .map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let request = request.body(body).map_err(|err| failed(err.to_string()))?;
    let response = router
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    let (head, body) = response.into_parts();
    let seconds = head.headers.get(RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|err| failed(err.to_string()))?;
    Ok(Answer {
        status: head.status.as_u16(),
        retry_after: seconds,
        body: body.to_vec(),
    })
}

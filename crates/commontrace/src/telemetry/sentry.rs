//! Sends what goes wrong to Sentry: log lines of level error, panics among them.
//!
//! Nothing but the line itself, with whatever looks like a secret or an address replaced, and where
//! in the program it comes from: no request, no body, no header, no name of a machine or a user.
//! Events wait in a short queue for a task on a runtime of its own; what does not fit is dropped.

use std::fmt;
use std::time::Duration;

use commontrace_server::error::chain;
use commontrace_server::logging::Listener;
use commontrace_server::telemetry;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use sentry_types::Dsn;
use sentry_types::protocol::v7::{Envelope, Event};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::{Layer, Registry};

use super::background;
use crate::config::{Environment, TelemetrySettings};
use crate::failure::Failure;
use crate::start;

/// How this program names itself to Sentry.
const AGENT: &str = concat!("commontrace/", env!("CARGO_PKG_VERSION"));
/// Events that wait at most: what happens more often is not better known by more of them.
const QUEUE: usize = 64;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to be silent when Sentry has had enough and does not say for how long.
const PAUSE: Duration = Duration::from_secs(60);
/// Longest time that the end of the program waits for the last events.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// The reports of what goes wrong.
#[derive(Debug)]
pub struct Errors {
    queue: mpsc::Sender<Queued>,
    runtime: Runtime,
}

/// What the sending task is to do.
#[derive(Debug)]
enum Queued {
    Send(Box<Event<'static>>),
    /// Says so when all that was queued before has been sent.
    Flush(oneshot::Sender<()>),
}

/// Starts to report to the configured Sentry, if one is, and returns who listens to events for it.
pub fn start(
    settings: &TelemetrySettings,
    env: &Environment,
) -> Result<Option<(Errors, Listener)>, Failure> {
    let Some(dsn) = &settings.sentry_dsn else {
        return Ok(None);
    };
    // The parser's message may repeat the key.
    let dsn: Dsn = dsn.expose().parse().map_err(|_| {
        Failure::new("SENTRY_DSN is not an address of a project in Sentry")
            .hint("it looks like https://KEY@HOST/NUMBER; leave it unset to report nothing")
    })?;
    let runtime = background()?;
    let (queue, queued) = mpsc::channel(QUEUE);
    let http = start::http_client_builder()
        .timeout(PATIENCE)
        .build()
        .map_err(|err| Failure::new(chain(&err)))?;
    runtime.spawn(send_all(queued, http, dsn));
    let report = Report {
        queue: queue.clone(),
        environment: env.get("SENTRY_ENVIRONMENT").cloned(),
    };
    let listener = report.with_filter(LevelFilter::ERROR).boxed();
    Ok(Some((Errors { queue, runtime }, listener)))
}

impl Errors {
    /// Sends what is in the queue.
    pub fn flush(self) {
        let Self { queue, runtime } = self;
        let (flush, flushed) = oneshot::channel();
        let all = async {
            if queue.send(Queued::Flush(flush)).await.is_ok() {
                // It is dropped if the task has ended.
                let _ = flushed.await;
            }
        };
        let flushed = runtime.block_on(async { timeout(LAST_EVENTS, all).await });
        if flushed.is_err() {
            tracing::warn!("the last errors were not reported: Sentry does not answer");
        }
    }
}

/// Makes an event of each log line that it hears.
struct Report {
    queue: mpsc::Sender<Queued>,
    environment: Option<String>,
}

impl Layer<Registry> for Report {
    fn on_event(&self, told: &tracing::Event<'_>, _: Context<'_, Registry>) {
        let mut line = Line::default();
        told.record(&mut line);
        let metadata = told.metadata();
        // Whoever repeats a line with other ids in it says the same.
        let here = format!(
            "{}:{} {}",
            metadata.file().unwrap_or_default(),
            metadata.line().unwrap_or_default(),
            line.location
        );
        let mut event = Event {
            message: Some(commontrace_redact::redact(&line.message).text.into_owned()),
            logger: Some(metadata.target().to_owned()),
            fingerprint: vec![here.into()].into(),
            release: Some(concat!("commontrace@", env!("CARGO_PKG_VERSION")).into()),
            environment: self.environment.clone().map(Into::into),
            ..Event::default()
        };
        if let Some(context) = telemetry::current() {
            let id = context.shown_trace_id();
            event.tags.insert("request.trace_id".to_owned(), id);
        }
        // A full queue is no reason to wait in the middle of a request.
        let _ = self.queue.try_send(Queued::Send(Box::new(event)));
    }
}

/// What is taken of a log line.
#[derive(Default)]
struct Line {
    message: String,
    /// Where a panic began.
    location: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            "location" => self.location = value.to_owned(),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

async fn send_all(mut queue: mpsc::Receiver<Queued>, http: reqwest::Client, dsn: Dsn) {
    let mut is_away = false;
    while let Some(queued) = queue.recv().await {
        let event = match queued {
            Queued::Send(event) => event,
            Queued::Flush(flushed) => {
                // Nobody waits any more if this fails.
                let _ = flushed.send(());
                continue;
            }
        };
        let fault = match send(&http, &dsn, *event).await {
            Ok(None) => None,
            Ok(Some(pause)) => {
                sleep(pause).await;
                continue;
            }
            Err(fault) => Some(fault),
        };
        // A warning, because an error would be reported in turn.
        match &fault {
            Some(fault) if !is_away => {
                tracing::warn!(
                    error = fault,
                    "errors cannot be reported to Sentry: {fault}"
                );
            }
            None if is_away => tracing::info!("errors are reported to Sentry again"),
            _ => {}
        }
        is_away = fault.is_some();
    }
}

/// Sends one event; the answer is how long to be silent, if Sentry asks for that.
async fn send(
    http: &reqwest::Client,
    dsn: &Dsn,
    event: Event<'static>,
) -> Result<Option<Duration>, String> {
    let mut body = Vec::new();
    let envelope = Envelope::from(event);
    envelope
        .to_writer(&mut body)
        .map_err(|err| err.to_string())?;
    let request = http
        .post(dsn.envelope_api_url())
        .header("x-sentry-auth", dsn.to_auth(Some(AGENT)).to_string())
        .header(CONTENT_TYPE, "application/x-sentry-envelope")
        .body(body);
    // Its address has the project's number only, but may be behind one that holds more.
    let answer = request.send().await;
    let answer = answer.map_err(|err| chain(&err.without_url()))?;
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => {
            let asked = answer.headers().get(RETRY_AFTER);
            let seconds = asked.and_then(|value| value.to_str().ok()?.parse().ok());
            Ok(Some(seconds.map_or(PAUSE, Duration::from_secs)))
        }
        status if status.is_success() => Ok(None),
        status => Err(format!("it answers {status}")),
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What is queued when this is logged.
    fn reported(log: impl FnOnce()) -> Vec<Event<'static>> {
        let (queue, mut queued) = mpsc::channel(QUEUE);
        let report = Report {
            queue,
            environment: None,
        };
        let report = report.with_filter(LevelFilter::ERROR);
        tracing::subscriber::with_default(Registry::default().with(report), log);
        let mut events = Vec::new();
        while let Ok(Queued::Send(event)) = queued.try_recv() {
            events.push(*event);
        }
        events
    }

    #[test]
    fn errors_are_reported_without_what_looks_like_a_secret_and_nothing_else_is() {
        let events = reported(|| {
            tracing::warn!("a warning");
            tracing::error!(
                body = "hello",
                "refused postgres://ada:hunter2@db/commons for ada.lovelace@gmail.com"
            );
        });
        let [event] = &events[..] else {
            panic!("one of them is an error: {events:?}")
        };
        let sent = serde_json::to_string(event).unwrap();
        assert!(sent.contains("refused postgres://"), "{sent}");
        for hidden in [
            "hunter2",
            "ada.lovelace@gmail",
            "hello",
            "server_name",
            "\"user\"",
        ] {
            assert!(!sent.contains(hidden), "{sent}");
        }
    }

    #[test]
    fn panics_are_told_apart_by_where_they_began() {
        let events = reported(|| {
            for location in ["src/a.rs:1:2", "src/b.rs:3:4", "src/b.rs:3:4"] {
                tracing::error!(location, "panicked at {location}: on purpose");
            }
        });
        let prints: Vec<_> = events.iter().map(|event| &event.fingerprint).collect();
        assert!(
            prints[0] != prints[1] && prints[1] == prints[2],
            "{prints:?}"
        );
    }

    #[test]
    fn a_flood_is_dropped_and_holds_up_nobody() {
        let events = reported(|| {
            for number in 0..10 * QUEUE {
                tracing::error!("number {number}");
            }
        });
        assert_eq!(events.len(), QUEUE);
    }
}

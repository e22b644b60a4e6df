//! The server that the settings name: the one door through which anything leaves this machine.
//!
//! What goes out is looked at once more by the redactor and written to the log first.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use commontrace_mcp::{Answer, Away, Call};
use commontrace_server::clock::Clock;
use commontrace_server::error::chain;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::breaker::Breaker;
use super::sent::{Sent, SentLog, marks};
use crate::config::{BaseUrl, Config, SearchScope};
use crate::failure::Failure;
use crate::start;

/// The header that every server takes keys in.
const KEY: &str = "x-api-key";
/// Pause before the one repetition of a request that may be repeated.
const AGAIN: Duration = Duration::from_millis(200);
/// Largest answer that is read: fifty whole traces.
const ANSWER_MAX: usize = 8 * 1024 * 1024;
/// Longest wait for a connection where somebody waits who wants to go on.
const HASTY_CONNECT: Duration = Duration::from_millis(300);

/// A server elsewhere, and the key for it.
#[derive(Debug)]
pub struct Remote {
    http: reqwest::Client,
    base: BaseUrl,
    key: Option<String>,
    /// On whose behalf, for the log of what is sent.
    command: String,
    log: SentLog,
    /// Whether nothing may be sent.
    offline: bool,
    breaker: Mutex<Breaker>,
    answered: AtomicBool,
}

/// A request of the HTTP API.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'static str,
    pub path: &'a str,
    pub body: Option<&'a Value>,
    /// Under which name the server does it once, however often it comes.
    pub idempotency_key: Option<&'a str>,
    pub deadline: Duration,
    /// Whether it is sent a second time if the first fails.
    pub twice: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The server has certainly not got it.
    NotSent(Away),
    /// It may have.
    Unknown(Away),
}

impl From<Lost> for Away {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::NotSent(away) | Lost::Unknown(away) => away,
        }
    }
}

impl<'a> Request<'a> {
    /// The request of a tool. Reads may come twice, a contribution under its name.
    pub fn of(call: &'a Call, path: &'a str, idempotency_key: Option<&'a str>) -> Self {
        Self {
            method: call.method(),
            path,
            body: call.body(),
            idempotency_key,
            deadline: call.deadline(),
            twice: call.reads() || idempotency_key.is_some(),
        }
    }
}

impl Remote {
    /// Returns the server that the settings name, if they do. `command` says on whose behalf it is asked.
    pub fn of(config: &Config, command: &str) -> Result<Option<Self>, Failure> {
        let Some(base) = &config.remote.api_base_url else {
            return Ok(None);
        };
        let key = config.remote.api_key.as_ref();
        let key = key.map(|key| key.expose().to_owned());
        Self::at(base.clone(), key, config, command).map(Some)
    }

    /// Returns this server, which the settings need not name.
    pub fn at(
        base: BaseUrl,
        key: Option<String>,
        config: &Config,
        command: &str,
    ) -> Result<Self, Failure> {
        Self::new(base, key, config, command, start::http_client_builder())
    }

    fn new(
        base: BaseUrl,
        key: Option<String>,
        config: &Config,
        command: &str,
        builder: reqwest::ClientBuilder,
    ) -> Result<Self, Failure> {
        // A key goes to the server it is for, and nowhere it is sent on to.
        let mut builder = builder.redirect(Policy::none());
        if base.is_local() {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build().map_err(|err| Failure::new(chain(&err)))?,
            base,
            key,
            command: command.to_owned(),
            log: SentLog::in_dir(&config.storage.data_dir),
            offline: config.remote.offline,
            breaker: Mutex::default(),
            answered: AtomicBool::new(false),
        })
    }

    /// Returns the server's scheme, host and port.
    pub fn origin(&self) -> String {
        self.base.origin()
    }

    /// Whether it has answered anything yet.
    pub fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        // A count is whole whoever panicked beside it.
        self.breaker
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sends a tool's request, no longer than `patience`.
    pub async fn call(&self, call: &Call, patience: Duration) -> Result<Answer, Away> {
        let path = call.path();
        let request = Request::of(call, &path, None);
        let deadline = request.deadline.min(patience);
        Ok(self
            .send(Request {
                deadline,
                ..request
            })
            .await?)
    }

    /// Sends a request and waits for the answer, no longer than its deadline.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, Lost> {
        let origin = self.origin();
        if self.offline {
            return Err(Lost::NotSent(Away::Unavailable(format!(
                "Offline: {origin} is not asked. `--offline=false` or COMMONTRACE_OFFLINE=false asks it."
            ))));
        }
        let is_registration = request.path == "/api/v1/keys";
        if self.key.is_none() && !self.base.is_local() && !is_registration {
            return Err(Lost::NotSent(Away::Unconfigured(format!(
                "There is no API key for {origin}. `commontrace remote add {origin}` gets one; or the user sets \
                 COMMONTRACE_API_KEY, or api_key under [remote] in the settings file of commontrace."
            ))));
        }
        let body = request.body.map(|body| self.checked(body)).transpose()?;
        self.breaker().admit(Instant::now()).map_err(|pause| {
            Lost::NotSent(Away::Unavailable(format!(
                "{origin} failed again and again and is left alone for {} s. Go on without it.",
                pause.as_secs().max(1)
            )))
        })?;
        let sent = timeout(request.deadline, self.send_twice(request, body.as_deref())).await;
        let sent = sent.unwrap_or_else(|_| {
            let unsure = if request.twice {
                ""
            } else {
                " It may have been done all the same: look before doing it again."
            };
            Err(Lost::Unknown(Away::NoAnswer(format!(
                "{origin} did not answer within {} s.{unsure}",
                request.deadline.as_secs_f32()
            ))))
        });
        match &sent {
            Ok(answer) => {
                self.answered.store(true, Ordering::Relaxed);
                if answer.status < 500 {
                    self.breaker().answered();
                } else {
                    self.breaker().failed(Instant::now());
                }
            }
            Err(lost) => {
                self.breaker().failed(Instant::now());
                tracing::info!("no answer to {} {}: {lost:?}", request.method, request.path);
            }
        }
        sent
    }

    /// Spells a body as it will be sent, if the redactor finds nothing in that.
    fn checked(&self, body: &Value) -> Result<String, Lost> {
        let text = body.to_string();
        let found =
            serde_json::from_str(&text).map(|mut read| commontrace_mcp::redact_request(&mut read));
        match found {
            Ok(found) if found.is_empty() => Ok(text),
            _ => {
                tracing::error!("a request was held back: a secret was left in its final text");
                Err(Lost::NotSent(Away::Unavailable(format!(
                    "Nothing was sent to {}: a secret or personal detail was left in the final text. This is a defect of \
                     commontrace worth reporting.",
                    self.origin()
                ))))
            }
        }
    }

    /// Sends it, and once more if it failed and may be sent twice.
    async fn send_twice(&self, request: Request<'_>, body: Option<&str>) -> Result<Answer, Lost> {
        let first = self.send_once(request, body).await;
        let failed = match &first {
            Ok(answer) => matches!(answer.status, 502..=504),
            Err(_) => true,
        };
        if !failed || !request.twice {
            return first;
        }
        sleep(AGAIN).await;
        let second = self.send_once(request, body).await;
        match (first, second) {
            // The first may have arrived although the second did not.
            (Err(Lost::Unknown(_)) | Ok(_), Err(Lost::NotSent(away))) => Err(Lost::Unknown(away)),
            (_, second) => second,
        }
    }

    async fn send_once(&self, request: Request<'_>, body: Option<&str>) -> Result<Answer, Lost> {
        let Request { method, path, .. } = request;
        self.note(request, body)?;
        let url = self.base.join(path);
        let mut built = match method {
            "GET" => self.http.get(url),
            _ => self.http.post(url),
        };
        if let Some(key) = &self.key {
            built = built.header(KEY, key);
        }
        if let Some(name) = request.idempotency_key {
            built = built.header("idempotency-key", name);
        }
        if let Some(body) = body {
            built = built.header(CONTENT_TYPE, "application/json");
            built = built.body(body.to_owned());
        }
        let mut response = built.send().await.map_err(|err| self.no_answer(err))?;
        let seconds = response.headers().get(RETRY_AFTER);
        let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|err| self.no_answer(err))? {
            if body.len() + part.len() > ANSWER_MAX {
                let origin = self.origin();
                return Err(Lost::Unknown(Away::NoAnswer(format!(
                    "{origin} answered more than {ANSWER_MAX} bytes."
                ))));
            }
            body.extend_from_slice(&part);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: seconds,
            body,
        })
    }

    /// Writes down what is about to be sent. What cannot be written down is not sent.
    fn note(&self, request: Request<'_>, body: Option<&str>) -> Result<(), Lost> {
        let sent = Sent {
            time: now(),
            command: self.command.clone(),
            host: self.origin(),
            method: request.method.to_owned(),
            path: self.base.path(request.path),
            idempotency_key: request.idempotency_key.map(str::to_owned),
            body: body.map(str::to_owned),
            redactions: body.map(marks).unwrap_or_default(),
        };
        self.log.append(&sent).map_err(|err| {
            Lost::NotSent(Away::Unavailable(format!(
                "Nothing was sent: the log of what is sent, {}, cannot be written ({err}).",
                self.log.path().display()
            )))
        })
    }

    fn no_answer(&self, err: reqwest::Error) -> Lost {
        let origin = self.origin();
        let connecting = err.is_connect();
        let why = chain(&err.without_url());
        if connecting {
            Lost::NotSent(Away::NoAnswer(format!(
                "No server answers at {origin} ({why})."
            )))
        } else {
            Lost::Unknown(Away::NoAnswer(format!(
                "The connection to {origin} failed ({why})."
            )))
        }
    }
}

/// Searches on the server once, for somebody who goes on without an answer after `deadline`, whatever
/// happens. `body` is redacted and cut. Starts what it needs on this thread and ends it again.
///
/// The settings may forbid it; then, and without a server, the answer is why.
pub fn search_within(
    config: &Config,
    command: &str,
    body: Value,
    deadline: Duration,
) -> Result<Answer, Away> {
    let remote = &config.remote;
    let unconfigured = |why: &str| Err(Away::Unconfigured(why.to_owned()));
    let Some(base) = &remote.api_base_url else {
        return unconfigured("no server is named");
    };
    if remote.offline || remote.search != SearchScope::Network {
        return unconfigured("the settings keep searches on this machine");
    }
    let failed = |why: String| Away::NoAnswer(format!("The search could not be made: {why}."));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|err| failed(err.to_string()))?;
    let builder = start::http_client_builder().connect_timeout(HASTY_CONNECT.min(deadline));
    let key = remote.api_key.as_ref().map(|key| key.expose().to_owned());
    let remote = Remote::new(base.clone(), key, config, command, builder);
    let remote = remote.map_err(|failure| failed(failure.to_string()))?;
    let call = Call::Search(body);
    let path = call.path();
    let request = Request {
        deadline,
        twice: false,
        ..Request::of(&call, &path, None)
    };
    let sent = runtime.block_on(remote.send(request));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    Ok(sent?)
}

/// The time on this machine.
pub fn now() -> DateTime<Utc> {
    Clock::System.now()
}

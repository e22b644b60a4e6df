//! Tools answered by a server elsewhere, over HTTP.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use commontrace_mcp::{Answer, Away, Backend, Call};
use commontrace_server::error::chain;
use commontrace_server::ids::Ids;
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use tokio::time::{sleep, timeout};

use super::breaker::Breaker;
use crate::config::{BaseUrl, Config};
use crate::failure::Failure;
use crate::start;

/// The header that every server takes keys in.
const KEY: &str = "x-api-key";
/// Pause before the one repetition of a request that may be repeated.
const AGAIN: Duration = Duration::from_millis(200);
/// Largest answer that is read: fifty whole traces.
const ANSWER_MAX: usize = 8 * 1024 * 1024;

/// A server elsewhere, and the key for it.
#[derive(Debug)]
pub struct Remote {
    http: reqwest::Client,
    base: BaseUrl,
    key: Option<String>,
    breaker: Mutex<Breaker>,
}

impl Remote {
    /// Returns the server that the settings name, if they do.
    pub fn of(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(base) = config.remote.api_base_url.clone() else {
            return Ok(None);
        };
        // A key goes to the server it is for, and nowhere it is sent on to.
        let mut builder = start::http_client_builder().redirect(Policy::none());
        if base.is_local() {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|err| Failure::new(chain(&err)))?;
        let key = config.remote.api_key.as_ref();
        Ok(Some(Self {
            http,
            base,
            key: key.map(|key| key.expose().to_owned()),
            breaker: Mutex::default(),
        }))
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        // A count is whole whoever panicked beside it.
        self.breaker
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sends it, and once more if it failed and may be sent twice.
    async fn send_twice(&self, call: &Call) -> Result<Answer, Away> {
        // A contribution is kept once, however often it comes under its name.
        let name = matches!(call, Call::Contribute(_)).then(|| Ids::Random.uuid().to_string());
        let first = self.send_once(call, name.as_deref()).await;
        let failed = match &first {
            Ok(answer) => matches!(answer.status, 502..=504),
            Err(_) => true,
        };
        if failed && (call.reads() || name.is_some()) {
            sleep(AGAIN).await;
            return self.send_once(call, name.as_deref()).await;
        }
        first
    }

    async fn send_once(&self, call: &Call, name: Option<&str>) -> Result<Answer, Away> {
        let url = self.base.join(&call.path());
        let mut request = match call.method() {
            "GET" => self.http.get(url),
            _ => self.http.post(url),
        };
        if let Some(key) = &self.key {
            request = request.header(KEY, key);
        }
        if let Some(name) = name {
            request = request.header("idempotency-key", name);
        }
        if let Some(body) = call.body() {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|err| self.no_answer(err))?;
        let seconds = response.headers().get(RETRY_AFTER);
        let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|err| self.no_answer(err))? {
            if body.len() + part.len() > ANSWER_MAX {
                let origin = self.base.origin();
                return Err(Away::NoAnswer(format!(
                    "{origin} answered more than {ANSWER_MAX} bytes."
                )));
            }
            body.extend_from_slice(&part);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: seconds,
            body,
        })
    }

    fn no_answer(&self, err: reqwest::Error) -> Away {
        let origin = self.base.origin();
        let connecting = err.is_connect();
        let why = chain(&err.without_url());
        Away::NoAnswer(if connecting {
            format!("No server answers at {origin} ({why}).")
        } else {
            format!("The connection to {origin} failed ({why}).")
        })
    }
}

impl Backend for Remote {
    async fn send(&self, call: &Call) -> Result<Answer, Away> {
        let origin = self.base.origin();
        if self.key.is_none() && !self.base.is_local() {
            return Err(Away::Unconfigured(format!(
                "There is no API key for {origin}. The user sets COMMONTRACE_API_KEY in the host's configuration of this MCP \
                 server, or api_key under [remote] in the settings file of commontrace."
            )));
        }
        self.breaker().admit(Instant::now()).map_err(|pause| {
            Away::Unavailable(format!(
                "{origin} failed again and again and is left alone for {} s. Go on without it.",
                pause.as_secs().max(1)
            ))
        })?;
        let deadline = call.deadline();
        let sent = timeout(deadline, self.send_twice(call)).await;
        let sent = sent.unwrap_or_else(|_| {
            let unsure = if call.reads() {
                ""
            } else {
                " It may have been done all the same: look before doing it again."
            };
            Err(Away::NoAnswer(format!(
                "{origin} did not answer within {} s.{unsure}",
                deadline.as_secs()
            )))
        });
        match &sent {
            Ok(Answer { status: ..500, .. }) => self.breaker().answered(),
            _ => self.breaker().failed(Instant::now()),
        }
        if let Err(away) = &sent {
            tracing::warn!("no answer to {} {}: {away:?}", call.method(), call.path());
        }
        sent
    }
}

//! One request to a service, and what its refusals mean.

use std::time::Duration;

use commontrace_core::error::chain;
use reqwest::header::{self, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{Failure, Kind, Settings, SettingsError};
use crate::deterministic::Reason;

/// The version of Anthropic's protocol.
const ANTHROPIC_VERSION: &str = "2023-06-01";
/// Bytes of an answer that are read at most.
const ANSWER_BYTES: usize = 4 << 20;
/// Bytes of a refusal that are read at most.
const EXPLANATION_BYTES: usize = 64 << 10;
/// Characters of a service's explanation that are kept for messages.
const MESSAGE_CHARS: usize = 300;

pub struct Http {
    client: reqwest::Client,
    kind: Kind,
    url: Url,
    shown_url: String,
    /// The key as the value of its header, which is never shown.
    key: Option<HeaderValue>,
    secret: Option<SecretString>,
    timeout: Duration,
}

/// A request that failed.
pub struct HttpFailure {
    pub failure: Failure,
    /// Whether the request itself is at fault, so that another one may be taken.
    pub bad_request: bool,
}

impl Http {
    pub fn new(settings: &Settings, client: reqwest::ClientBuilder) -> Result<Self, SettingsError> {
        let mut url = Url::parse(&settings.base_url)
            .map_err(|error| SettingsError::BaseUrl(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SettingsError::BaseUrl(format!("scheme `{}`", url.scheme())));
        }
        let path: &[&str] = match settings.kind {
            Kind::OpenAi => &["chat", "completions"],
            // People write the address with and without the version.
            Kind::Anthropic if url.path().trim_end_matches('/').ends_with("/v1") => &["messages"],
            Kind::Anthropic => &["v1", "messages"],
            Kind::Ollama => &["api", "chat"],
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut client = client.redirect(reqwest::redirect::Policy::none());
        if is_this_machine(&url) {
            client = client.no_proxy();
        }
        let key = settings
            .api_key
            .as_ref()
            .map(|key| header_value(settings.kind, key));
        Ok(Self {
            client: client.build().map_err(SettingsError::Client)?,
            kind: settings.kind,
            shown_url: without_secrets(&url),
            url,
            key: key.transpose()?,
            secret: settings.api_key.clone(),
            timeout: settings.timeout,
        })
    }

    pub fn shown_url(&self) -> &str {
        &self.shown_url
    }

    pub async fn post(&self, body: &Value) -> Result<Value, HttpFailure> {
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(self.timeout)
            .json(body);
        if self.kind == Kind::Anthropic {
            request = request.header("anthropic-version", ANTHROPIC_VERSION);
        }
        if let Some(key) = &self.key {
            let name = match self.kind {
                Kind::Anthropic => HeaderName::from_static("x-api-key"),
                Kind::OpenAi | Kind::Ollama => header::AUTHORIZATION,
            };
            request = request.header(name, key.clone());
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let body = match bounded(response, ANSWER_BYTES).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let what = format!(
                    "the judge at {} answers with more than {} MiB",
                    self.shown_url,
                    ANSWER_BYTES >> 20
                );
                return Err(Failure::new(Reason::SchemaInvalid, what).into());
            }
            Err(error) => return Err(self.unreachable(error)),
        };
        serde_json::from_slice(&body).map_err(|_| {
            let what = format!(
                "the judge at {} answers with something that is not JSON; check the base URL and what is in \
                 front of the service",
                self.shown_url
            );
            Failure::new(Reason::Unreachable, what).into()
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> HttpFailure {
        // The address inside the error may hold credentials.
        let error = error.without_url();
        if error.is_timeout() && !error.is_connect() {
            let what = format!(
                "the judge at {} did not answer within {} s",
                self.shown_url,
                self.timeout.as_secs()
            );
            return Failure::new(Reason::Timeout, what).into();
        }
        let what = format!(
            "cannot reach the judge at {}: {}",
            self.shown_url,
            chain(&error)
        );
        Failure::new(Reason::Unreachable, what).into()
    }

    async fn refusal(&self, response: Response) -> HttpFailure {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = bounded(response, EXPLANATION_BYTES)
            .await
            .ok()
            .flatten()
            .unwrap_or_default();
        let said = self.explanation(&body);
        let url = &self.shown_url;
        let (reason, what) = match status {
            StatusCode::TOO_MANY_REQUESTS => (Reason::RateLimited, "lets us ask no more for now"),
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => {
                (Reason::Timeout, "did not answer in time")
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                (Reason::Refused, "does not let us in; check the key")
            }
            StatusCode::NOT_FOUND => (
                Reason::Refused,
                "does not know the address or the model; check both",
            ),
            _ if status.is_redirection() => (
                Reason::Refused,
                "sends us elsewhere, which is not followed; set the address it really has",
            ),
            _ if status.is_server_error() => (Reason::Unreachable, "is out of order"),
            _ => (Reason::Refused, "refuses the request"),
        };
        let colon = if said.is_empty() { "" } else { ": " };
        let message = format!(
            "the judge at {url} {what} (HTTP {}){colon}{said}",
            status.as_u16()
        );
        HttpFailure {
            failure: Failure {
                retry_after,
                ..Failure::new(reason, message)
            },
            bad_request: matches!(
                status,
                StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
            ),
        }
    }

    /// The start of what a service says, without the key that some repeat.
    fn explanation(&self, body: &[u8]) -> String {
        let parsed: Option<Value> = serde_json::from_slice(body).ok();
        let said = parsed.as_ref().and_then(|value| {
            let error = value.get("error").unwrap_or(value);
            [
                error.get("message"),
                value.get("message"),
                value.get("detail"),
                Some(error),
            ]
            .into_iter()
            .flatten()
            .find_map(Value::as_str)
        });
        let text = match said {
            Some(said) => said.to_owned(),
            None => String::from_utf8_lossy(body).into_owned(),
        };
        let mut text = commontrace_core::text::clean_line(&text);
        if let Some(key) = self
            .secret
            .as_ref()
            .map(SecretString::expose_secret)
            .filter(|key| !key.is_empty())
        {
            text = text.replace(key, "[key]");
        }
        if let Some((end, _)) = text.char_indices().nth(MESSAGE_CHARS) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

impl From<Failure> for HttpFailure {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            bad_request: false,
        }
    }
}

fn header_value(kind: Kind, key: &SecretString) -> Result<HeaderValue, SettingsError> {
    let text = match kind {
        Kind::Anthropic => key.expose_secret().to_owned(),
        Kind::OpenAi | Kind::Ollama => format!("Bearer {}", key.expose_secret()),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| SettingsError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Reads a body; nothing if it has more bytes than that.
async fn bounded(mut response: Response, most: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

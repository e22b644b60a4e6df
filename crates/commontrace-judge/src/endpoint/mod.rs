//! The services that a model can be asked through: OpenAI's shape, Anthropic's, and Ollama's own.
//!
//! One request, one answer; who wants to ask again does so. No redirects are followed, answers are bounded,
//! and a key goes nowhere but into its header.

mod http;
mod shape;

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;

use self::http::Http;
use crate::deterministic::Reason;
use crate::judged::Tokens;

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `POST {base}/chat/completions`: OpenAI, vLLM, LM Studio, llama.cpp, Ollama under `/v1`.
    OpenAi,
    /// `POST {base}/v1/messages`.
    Anthropic,
    /// `POST {base}/api/chat`.
    Ollama,
}

/// Where and how to ask.
#[derive(Clone)]
pub struct Settings {
    /// What the service speaks.
    pub kind: Kind,
    /// The address that the path of the kind is appended to.
    pub base_url: String,
    /// The key, if the service wants one.
    pub api_key: Option<SecretString>,
    /// The model to ask for.
    pub model: String,
    /// The longest wait for an answer.
    pub timeout: Duration,
}

impl Settings {
    /// Settings without a key.
    pub fn new(kind: Kind, base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            kind,
            base_url: base_url.into(),
            api_key: None,
            model: model.into(),
            timeout: Duration::from_secs(180),
        }
    }
}

impl fmt::Debug for Settings {
    /// Without the address, which may hold credentials, and without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("kind", &self.kind)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// What a model is asked.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The rules.
    pub system: String,
    /// The data.
    pub user: String,
    /// The JSON schema of the answer.
    pub schema: Value,
}

/// What a model answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its text, which ought to be JSON of the schema.
    pub text: String,
    /// The model that says it answered.
    pub model: Option<String>,
    /// What it took, as far as the service tells.
    pub tokens: Tokens,
    /// The parameters that were sent, without prompt and schema.
    pub sent: Value,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Which kind of failure.
    pub reason: Reason,
    /// What happened, to what, what to do; without keys.
    pub message: String,
    /// The pause that the service asks for.
    pub retry_after: Option<Duration>,
    /// What it took nevertheless.
    pub tokens: Tokens,
}

impl Failure {
    /// A failure of which nothing more is known.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            retry_after: None,
            tokens: Tokens::default(),
        }
    }
}

/// A model that can be asked.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// The kind of service, as it is kept with the scores.
    fn kind(&self) -> &'static str;
    /// The model that is asked for.
    fn model(&self) -> &str;
    /// Asks once.
    async fn ask(&self, prompt: &Prompt) -> Result<Answer, Failure>;
}

/// Says why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The address is none.
    #[error("the judge's base URL is no http or https address: {0}")]
    BaseUrl(String),
    /// There is no model to ask for.
    #[error("the judge's model has no name")]
    Model,
    /// The key cannot be sent.
    #[error("the judge's API key has characters that no HTTP header can carry")]
    Key,
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client for the judge: {0}")]
    Client(#[source] reqwest::Error),
}

/// A model behind HTTP.
pub struct Remote {
    settings: Settings,
    http: Http,
    /// The parameters that the service does not take.
    refused: Mutex<Vec<&'static str>>,
}

impl Remote {
    /// Makes an endpoint from settings and the program's HTTP client, whose redirects are turned off and
    /// whose proxies are not used for this machine itself. Nothing is sent yet.
    pub fn new(settings: Settings, client: reqwest::ClientBuilder) -> Result<Self, SettingsError> {
        if settings.model.trim().is_empty() {
            return Err(SettingsError::Model);
        }
        let http = Http::new(&settings, client)?;
        Ok(Self {
            settings,
            http,
            refused: Mutex::default(),
        })
    }

    fn refused(&self) -> Vec<&'static str> {
        self.refused
            .lock()
            .map(|refused| refused.clone())
            .unwrap_or_default()
    }
}

#[async_trait]
impl Endpoint for Remote {
    fn kind(&self) -> &'static str {
        match self.settings.kind {
            Kind::OpenAi => "openai",
            Kind::Anthropic => "anthropic",
            Kind::Ollama => "ollama",
        }
    }

    fn model(&self) -> &str {
        &self.settings.model
    }

    async fn ask(&self, prompt: &Prompt) -> Result<Answer, Failure> {
        shape::check_room(self.settings.kind, prompt)?;
        loop {
            let refused = self.refused();
            let body = shape::request(&self.settings, prompt, &refused);
            match self.http.post(&body).await {
                Ok(answer) => return shape::answer(self.settings.kind, prompt, &body, &answer),
                Err(failure) => {
                    // What the service names as what it does not take is left out from now on.
                    let named = failure
                        .bad_request
                        .then(|| shape::named(&body, &failure.failure.message));
                    let Some(name) = named.flatten().filter(|name| !refused.contains(name)) else {
                        return Err(failure.failure);
                    };
                    if let Ok(mut refused) = self.refused.lock()
                        && !refused.contains(&name)
                    {
                        refused.push(name);
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("kind", &self.settings.kind)
            .field("url", &self.http.shown_url())
            .field("model", &self.settings.model)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

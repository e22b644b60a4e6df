//! Embeds text through any endpoint that speaks OpenAI's `POST /embeddings`.
//!
//! Splits batches, waits out overload, and cuts texts the model finds too long. The HTTP client
//! is handed in, and the key goes nowhere but into the request's header.

mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::Url;
use secrecy::SecretString;

use self::wire::{Failure, Problem};
use super::{EmbedError, ModelInfo};

/// Texts sent in one request at most.
const REQUEST_TEXTS: usize = 64;
/// Bytes of text sent in one request at most, far below the protocol's 300,000 tokens.
const REQUEST_BYTES: usize = 256 << 10;
/// The lengths in characters a text is cut to when the model finds it too long: about 8,000
/// tokens of English, of Chinese, and about 512 tokens of either.
const CUT_CHARS: [usize; 4] = [24_000, 8_000, 1_500, 400];
/// A server asking for a longer pause than this gets its next request after this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where and how to embed.
#[derive(Clone, Debug)]
pub struct OpenAiSettings {
    /// The address that `/embeddings` is appended to.
    pub base_url: String,
    /// The bearer token; none is sent if it is absent, as suits local servers.
    pub api_key: Option<SecretString>,
    /// The model to ask for.
    pub model: String,
    /// The length of vector to ask for and to insist on.
    pub dimensions: usize,
    /// How patient to be while a search waits.
    pub query: Patience,
    /// How patient to be in the background.
    pub batch: Patience,
    /// Returns what to send as the header `traceparent`: which trace the work belongs to that the
    /// request is part of.
    pub traceparent: fn() -> Option<String>,
}

/// How long to wait for an answer and how often to ask again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The longest wait for one answer.
    pub timeout: Duration,
    /// Further attempts after the first.
    pub retries: usize,
    /// The pause before the first retry; later ones double.
    pub pause: Duration,
    /// The longest pause, whatever the server asks for.
    pub longest_pause: Duration,
}

impl Default for OpenAiSettings {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            api_key: None,
            model: "text-embedding-3-small".to_owned(),
            dimensions: 1536,
            query: Patience {
                timeout: Duration::from_secs(5),
                retries: 1,
                pause: Duration::from_millis(200),
                longest_pause: Duration::from_secs(1),
            },
            batch: Patience {
                timeout: Duration::from_secs(60),
                retries: 4,
                pause: Duration::from_secs(1),
                longest_pause: LONGEST_PAUSE,
            },
            traceparent: || None,
        }
    }
}

/// Says why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenAiSettingsError {
    /// The base URL is not an `http` or `https` address.
    #[error("the embedding base URL is not an http or https address: {0}")]
    BaseUrl(String),
    /// No vector has this length.
    #[error("the embedding dimensions must be at least 1")]
    Dimensions,
}

/// A remote embedder. Cheap to clone.
#[derive(Clone)]
pub struct OpenAi {
    inner: Arc<Inner>,
}

struct Inner {
    client: reqwest::Client,
    settings: OpenAiSettings,
    model: ModelInfo,
    url: Url,
    /// The address without credentials and parameters, for messages.
    shown_url: String,
    /// Cleared when the endpoint says its model has one length of vector only.
    send_dimensions: AtomicBool,
}

impl OpenAi {
    /// Makes an embedder from settings; nothing is sent yet.
    pub fn new(
        settings: OpenAiSettings,
        client: reqwest::Client,
    ) -> Result<Self, OpenAiSettingsError> {
        if settings.dimensions == 0 {
            return Err(OpenAiSettingsError::Dimensions);
        }
        let mut url = Url::parse(&settings.base_url)
            .map_err(|e| OpenAiSettingsError::BaseUrl(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OpenAiSettingsError::BaseUrl(format!(
                "scheme `{}`",
                url.scheme()
            )));
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("embeddings");
        }
        let shown_url = wire::without_secrets(&url);
        let model = ModelInfo {
            id: settings.model.clone(),
            // The protocol has no release of a model; a new release has a new name.
            version: "1".to_owned(),
            dimensions: settings.dimensions,
        };
        let send_dimensions = AtomicBool::new(true);
        let inner = Inner {
            client,
            settings,
            model,
            url,
            shown_url,
            send_dimensions,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the model's name and vector length.
    #[must_use]
    pub fn model(&self) -> &ModelInfo {
        &self.inner.model
    }

    /// Embeds one text with little patience, because somebody waits for a search.
    pub async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.inner
            .embed_cutting(text, self.inner.settings.query)
            .await
    }

    /// Embeds texts, several to a request; a text the endpoint refuses fails alone.
    pub async fn embed_batch(&self, texts: Vec<String>) -> Vec<Result<Vec<f32>, EmbedError>> {
        let mut results = Vec::with_capacity(texts.len());
        for texts in requests(&texts) {
            results.extend(self.inner.embed_together(texts).await);
        }
        results
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("url", &self.inner.shown_url)
            .field("model", &self.inner.model)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Embeds texts in one request, or one by one if the endpoint refuses them together.
    async fn embed_together(&self, texts: &[String]) -> Vec<Result<Vec<f32>, EmbedError>> {
        let patience = self.settings.batch;
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let problem = match self.embed_patiently(&borrowed, patience).await {
            Ok(vectors) => return vectors.into_iter().map(Ok).collect(),
            Err(problem) => problem,
        };
        if !problem.may_be_one_text() {
            return vec![Err(problem.error); texts.len()];
        }
        let mut results = Vec::with_capacity(texts.len());
        for text in texts {
            results.push(self.embed_cutting(text, patience).await);
        }
        results
    }

    /// Embeds one text, cutting it shorter as long as the endpoint finds it too long.
    async fn embed_cutting(&self, text: &str, patience: Patience) -> Result<Vec<f32>, EmbedError> {
        let mut problem = match self.embed_patiently(&[text], patience).await {
            Ok(mut vectors) => return Ok(vectors.swap_remove(0)),
            Err(problem) => problem,
        };
        for chars in CUT_CHARS {
            let EmbedError::TooLong { .. } = problem.error else {
                break;
            };
            let Some((end, _)) = text.char_indices().nth(chars) else {
                continue;
            };
            match self.embed_patiently(&[&text[..end]], patience).await {
                Ok(mut vectors) => return Ok(vectors.swap_remove(0)),
                Err(next) => problem = next,
            }
        }
        Err(problem.error)
    }

    /// Sends one request, again while the trouble looks passing and patience lasts.
    async fn embed_patiently(
        &self,
        texts: &[&str],
        patience: Patience,
    ) -> Result<Vec<Vec<f32>>, Problem> {
        let pauses = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(patience.pause)
            .with_max_delay(patience.longest_pause)
            .with_max_times(patience.retries);
        (|| self.embed_once(texts, patience.timeout))
            .retry(pauses)
            .when(Problem::is_passing)
            .adjust(|problem, pause| {
                Some(pause?.max(problem.retry_after.unwrap_or_default()))
                    .map(|pause| pause.min(patience.longest_pause))
            })
            .notify(|problem, pause| {
                let pause_ms = pause.as_millis() as u64;
                tracing::debug!(error = %problem.error, pause_ms, "embedding request failed, retrying");
            })
            .await
    }

    async fn embed_once(
        &self,
        texts: &[&str],
        timeout: Duration,
    ) -> Result<Vec<Vec<f32>>, Problem> {
        let with_dimensions = self.send_dimensions.load(Ordering::Relaxed);
        match self.send(texts, timeout, with_dimensions).await {
            Err(Failure::FixedDimensions(_)) if with_dimensions => {
                tracing::info!(
                    endpoint = %self.shown_url,
                    model = %self.model.id,
                    "the embedding model has a fixed vector length, asking without `dimensions`"
                );
                self.send_dimensions.store(false, Ordering::Relaxed);
                self.send(texts, timeout, false)
                    .await
                    .map_err(Failure::into_problem)
            }
            result => result.map_err(Failure::into_problem),
        }
    }

    async fn send(
        &self,
        texts: &[&str],
        timeout: Duration,
        with_dimensions: bool,
    ) -> Result<Vec<Vec<f32>>, Failure> {
        let dimensions = self.model.dimensions;
        let body = wire::Request {
            model: &self.model.id,
            input: texts,
            dimensions: with_dimensions.then_some(dimensions),
            encoding_format: "float",
        };
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(timeout)
            .json(&body);
        if let Some(key) = &self.settings.api_key {
            request = request.bearer_auth(wire::expose(key));
        }
        if let Some(traceparent) = (self.settings.traceparent)() {
            request = request.header("traceparent", traceparent);
        }
        let unreachable = |error| Failure::unreachable(&self.shown_url, error);
        let response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(wire::refusal(response, self.settings.api_key.as_ref()).await);
        }
        let body = wire::answer(response, &self.shown_url).await?;
        wire::vectors(&body, texts.len(), dimensions).map_err(Failure::from)
    }
}

/// Splits texts into runs that fit one request each; a run holds at least one text.
fn requests(texts: &[String]) -> impl Iterator<Item = &[String]> {
    let mut left = texts;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = left
            .iter()
            .take(REQUEST_TEXTS)
            .take_while(|text| {
                bytes += text.len();
                bytes <= REQUEST_BYTES
            })
            .count();
        let (run, rest) = left.split_at(fitting.max(1).min(left.len()));
        left = rest;
        (!run.is_empty()).then_some(run)
    })
}

#[cfg(test)]
mod tests;

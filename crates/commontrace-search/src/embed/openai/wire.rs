//! The shapes of OpenAI's embeddings protocol and what its refusals mean.

use std::time::Duration;

use commontrace_core::error::chain;
use reqwest::{Response, StatusCode, Url, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::embed::EmbedError;

/// Characters of a server's explanation that are kept for messages.
const MESSAGE_CHARS: usize = 300;
/// Bytes of a refusal that are read at most.
const EXPLANATION_BYTES: usize = 64 << 10;
/// Bytes of an answer that are read at most: three times what 64 vectors of 8,192 numbers take.
const ANSWER_BYTES: usize = 32 << 20;

/// The body of a request.
#[derive(Serialize)]
pub struct Request<'a> {
    pub model: &'a str,
    pub input: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<usize>,
    pub encoding_format: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

/// A failed request, with what decides on the next step.
#[derive(Debug)]
pub struct Problem {
    pub error: EmbedError,
    /// The pause the server asks for.
    pub retry_after: Option<Duration>,
}

/// A failed request as read off the wire.
pub enum Failure {
    /// The endpoint does not take `dimensions`; its explanation.
    FixedDimensions(EmbedError),
    Other(Problem),
}

impl Problem {
    /// Whether the same request may succeed after a pause.
    pub fn is_passing(&self) -> bool {
        matches!(
            self.error,
            EmbedError::Unreachable { .. } | EmbedError::Unavailable { .. }
        )
    }

    /// Whether one text of a batch may be at fault, so that the others deserve another try.
    pub fn may_be_one_text(&self) -> bool {
        matches!(
            self.error,
            EmbedError::Refused { .. } | EmbedError::TooLong { .. } | EmbedError::BadAnswer(_)
        )
    }
}

impl Failure {
    /// A request that got no answer.
    pub fn unreachable(endpoint: &str, error: reqwest::Error) -> Self {
        // The address inside the error may hold credentials.
        let error = error.without_url();
        let reason = if error.is_timeout() {
            "no answer in time".to_owned()
        } else {
            chain(&error)
        };
        EmbedError::Unreachable {
            endpoint: endpoint.to_owned(),
            reason,
        }
        .into()
    }

    pub fn into_problem(self) -> Problem {
        match self {
            Self::FixedDimensions(error) => Problem {
                error,
                retry_after: None,
            },
            Self::Other(problem) => problem,
        }
    }
}

impl From<EmbedError> for Failure {
    fn from(error: EmbedError) -> Self {
        Self::Other(Problem {
            error,
            retry_after: None,
        })
    }
}

/// Reads a refusal: which kind it is and how long to wait.
pub async fn refusal(response: Response, key: Option<&SecretString>) -> Failure {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = bounded(response, EXPLANATION_BYTES).await;
    let body = body.ok().flatten().unwrap_or_default();
    let message = explanation(&String::from_utf8_lossy(&body), key);
    let lower = message.to_lowercase();
    let code = status.as_u16();
    let error = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => EmbedError::Unavailable {
            status: code,
            message,
        },
        _ if status.is_server_error() => EmbedError::Unavailable {
            status: code,
            message,
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            EmbedError::Denied {
                status: code,
                message,
            }
        }
        StatusCode::PAYLOAD_TOO_LARGE => EmbedError::TooLong { message },
        _ if speaks_of_length(&lower) => EmbedError::TooLong { message },
        _ if lower.contains("dimension") || lower.contains("matryoshka") => {
            return Failure::FixedDimensions(EmbedError::Refused {
                status: code,
                message,
            });
        }
        _ => EmbedError::Refused {
            status: code,
            message,
        },
    };
    Failure::Other(Problem { error, retry_after })
}

/// Whether a refusal says that the input exceeds the model's context. Servers word it differently.
fn speaks_of_length(message: &str) -> bool {
    [
        "context length",
        "context_length",
        "too long",
        "too large",
        "too many tokens",
        "max tokens",
    ]
    .iter()
    .any(|phrase| message.contains(phrase))
        || (message.contains("token")
            && ["maximum", "exceed", "limit", "less than"]
                .iter()
                .any(|w| message.contains(w)))
}

/// The server's own words, shortened and without the key should it echo that.
fn explanation(body: &str, key: Option<&SecretString>) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let words = parsed.as_ref().and_then(|json| {
        json.pointer("/error/message")
            .or_else(|| json.get("message"))
            .or_else(|| json.get("detail"))
            .or_else(|| json.get("error"))?
            .as_str()
    });
    let mut words = words.unwrap_or(body).trim().to_owned();
    if let Some(key) = key.map(expose)
        && !key.is_empty()
    {
        words = words.replace(key, "[key]");
    }
    if let Some((end, _)) = words.char_indices().nth(MESSAGE_CHARS) {
        words.truncate(end);
        words.push('…');
    }
    words
}

/// Reads what was answered; an endpoint that sends without end must not fill the memory.
pub async fn answer(response: Response, endpoint: &str) -> Result<Vec<u8>, Failure> {
    match bounded(response, ANSWER_BYTES).await {
        Ok(Some(body)) => Ok(body),
        Ok(None) => {
            let what = format!("it has more than {} MiB", ANSWER_BYTES >> 20);
            Err(EmbedError::BadAnswer(what).into())
        }
        Err(error) => Err(Failure::unreachable(endpoint, error)),
    }
}

/// Reads a body; none if it has more bytes than that.
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

/// Reads an answer and returns its vectors in the order of the texts, at unit length.
pub fn vectors(body: &[u8], texts: usize, dimensions: usize) -> Result<Vec<Vec<f32>>, EmbedError> {
    let bad = |what: String| EmbedError::BadAnswer(what);
    let answer: Answer = serde_json::from_slice(body).map_err(|e| {
        bad(format!(
            "it is no list of vectors ({e}); check the base URL and what is in front of the endpoint"
        ))
    })?;
    let mut vectors = vec![Vec::new(); texts];
    let count = answer.data.len();
    for Item { index, embedding } in answer.data {
        if embedding.len() != dimensions {
            let (found, expected) = (embedding.len(), dimensions);
            return Err(EmbedError::WrongDimensions { found, expected });
        }
        let place = vectors
            .get_mut(index)
            .ok_or_else(|| bad(format!("index {index}")))?;
        *place = unit_length(embedding).ok_or_else(|| bad("a vector without length".to_owned()))?;
    }
    if vectors.iter().any(Vec::is_empty) {
        return Err(bad(format!("{count} vectors for {texts} texts")));
    }
    Ok(vectors)
}

/// Scales a vector to length 1; nothing for vectors of no or infinite length.
fn unit_length(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        .sqrt();
    if !length.is_finite() || length == 0.0 {
        return None;
    }
    vector
        .iter_mut()
        .for_each(|x| *x = (f64::from(*x) / length) as f32);
    Some(vector)
}

/// The key itself, for the one header it belongs in.
pub fn expose(key: &SecretString) -> &str {
    key.expose_secret()
}

/// An address fit for messages: no credentials, no parameters.
pub fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

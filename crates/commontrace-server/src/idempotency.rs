//! Requests that may come twice and must act once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commontrace_store::Idempotency;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{ApiError, ApiResult};

/// A repeatable request, before its answer is known.
#[derive(Debug)]
pub struct Repeatable {
    key: String,
    request_hash: Vec<u8>,
}

impl Repeatable {
    /// Names a request by its key and everything that it asks for. The key is kept as a hash: a client
    /// may have put anything into it.
    pub fn new(key: &str, asked: &[&[u8]]) -> Self {
        let mut content = Sha256::new();
        asked.iter().for_each(|part| content.update(part));
        Self {
            key: URL_SAFE_NO_PAD.encode(Sha256::digest(key)),
            request_hash: content.finalize().to_vec(),
        }
    }

    /// Adds the answer to repeat.
    pub fn with_answer(self, answer: &impl Serialize) -> Idempotency {
        let response = serde_json::to_value(answer).expect("an answer has only string keys");
        Idempotency {
            key: self.key,
            request_hash: self.request_hash,
            response,
        }
    }
}

/// Reads the answer to repeat.
pub fn repeat<T: DeserializeOwned>(answer: Value) -> ApiResult<T> {
    serde_json::from_value(answer)
        .map_err(|err| ApiError::internal(format!("a kept answer is unreadable: {err}")))
}

/// 422 for a key under which something else was asked.
pub fn key_reused() -> ApiError {
    ApiError::unprocessable("this Idempotency-Key was used for another request; take a new one")
}

//! Turns text into vectors: in process with MiniLM, or through an OpenAI-compatible endpoint.
//!
//! Knows nothing of traces, storage or ranking, and reads no settings by itself.

pub mod error;
pub mod minilm;
pub mod model_files;
pub mod openai;
pub mod query_cache;

use std::sync::Arc;

pub use error::EmbedError;
pub use minilm::MiniLm;
pub use openai::OpenAi;
pub use query_cache::{QueryCache, query_hash};

/// Says which model made a vector; vectors of different models cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelInfo {
    /// The model's published name, such as `sentence-transformers/all-MiniLM-L6-v2`.
    pub id: String,
    /// What tells two releases of the same model apart.
    pub version: String,
    /// Length of its vectors.
    pub dimensions: usize,
}

/// The embedder in use. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Embedder {
    /// all-MiniLM-L6-v2 inside this process.
    MiniLm(Arc<MiniLm>),
    /// A remote endpoint speaking OpenAI's protocol.
    OpenAi(OpenAi),
}

impl Embedder {
    /// Returns the model that makes the vectors.
    #[must_use]
    pub fn model(&self) -> &ModelInfo {
        match self {
            Self::MiniLm(local) => local.model(),
            Self::OpenAi(remote) => remote.model(),
        }
    }

    /// Returns the unit-length vector of a search query, ahead of any batch in progress.
    pub async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        match self {
            Self::MiniLm(local) => Arc::clone(local).embed_query(text).await,
            Self::OpenAi(remote) => remote.embed_query(text).await,
        }
    }

    /// Returns the vector of each text, in order, in the background of queries.
    ///
    /// One text that cannot be embedded does not fail the others.
    pub async fn embed_batch(&self, texts: Vec<String>) -> Vec<Result<Vec<f32>, EmbedError>> {
        match self {
            Self::MiniLm(local) => local.embed_batch(texts).await,
            Self::OpenAi(remote) => remote.embed_batch(texts).await,
        }
    }
}

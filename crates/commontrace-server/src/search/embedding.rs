//! The model in use: what turns texts into vectors, and which vectors in the store are its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use commontrace_search::embed::{Embedder, QueryCache};
use commontrace_store::EmbeddingModel;

use crate::metrics;

/// How long a search waits for the query's vector before it goes by words alone. Clients give up
/// after three seconds.
const QUERY_EMBEDDING: Duration = Duration::from_millis(2000);

/// Memory for the vectors of recent queries: some 8,000 of the local model.
const QUERY_CACHE_BYTES: usize = 16 << 20;

/// An embedder, the name its vectors are stored under, and the vectors of recent queries.
#[derive(Debug)]
pub struct Embedding {
    embedder: Embedder,
    model: EmbeddingModel,
    cache: QueryCache,
}

impl Embedding {
    /// Names the embedder's model as the store does.
    pub fn new(embedder: Embedder) -> Self {
        let model = embedder.model();
        let model = EmbeddingModel {
            id: model.id.clone(),
            version: model.version.clone(),
            dimensions: model.dimensions,
        };
        Self {
            embedder,
            model,
            cache: QueryCache::new(QUERY_CACHE_BYTES),
        }
    }

    /// Returns what turns texts into vectors.
    pub fn embedder(&self) -> &Embedder {
        &self.embedder
    }

    /// Returns the model as the store names it.
    pub fn model(&self) -> &EmbeddingModel {
        &self.model
    }

    /// Returns the query's vector; `None` when it cannot be had in time.
    pub async fn query_vector(&self, text: &str) -> Option<Arc<[f32]>> {
        let begun = Instant::now();
        let misses = self.cache.counts().misses;
        let embedding = self.cache.embed_query(&self.embedder, text);
        match tokio::time::timeout(QUERY_EMBEDDING, embedding).await {
            Ok(Ok(vector)) => {
                if self.cache.counts().misses > misses {
                    metrics::embedding(&self.model.id, begun.elapsed());
                }
                Some(vector)
            }
            Ok(Err(err)) => {
                tracing::warn!(error = %err, "searching by words alone: {err}");
                None
            }
            Err(_) => {
                tracing::warn!("searching by words alone: the model took too long");
                None
            }
        }
    }
}

//! The model in use: what turns texts into vectors, and which vectors in the store are its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use commontrace_search::embed::{EmbedError, Embedder, QueryCache, query_hash};
use commontrace_store::EmbeddingModel;
use tracing::Instrument as _;

use crate::metrics;
use crate::shared::QueryVectors;
use crate::telemetry;

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
    /// What other nodes have computed, if nodes share it.
    shared: Option<QueryVectors>,
    /// When a text to be stored was embedded last.
    last_success: Mutex<Option<DateTime<Utc>>>,
}

impl Embedding {
    /// Names the embedder's model as the store does. Where nodes share the vectors of queries, they
    /// are asked for them before one is computed, and told of it.
    pub fn new(embedder: Embedder, shared: Option<QueryVectors>) -> Self {
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
            shared,
            last_success: Mutex::default(),
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

    /// Notes that texts to be stored were embedded.
    pub fn note_success(&self, now: DateTime<Utc>) {
        *self.last_success_mut() = Some(now);
    }

    /// Returns when that was the case last, if this process has seen it.
    pub fn last_success(&self) -> Option<DateTime<Utc>> {
        *self.last_success_mut()
    }

    fn last_success_mut(&self) -> MutexGuard<'_, Option<DateTime<Utc>>> {
        self.last_success
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the query's vector; `None` when it cannot be had in time.
    pub async fn query_vector(&self, text: &str) -> Option<Arc<[f32]>> {
        let compute = || self.shared_or_embedded(text);
        let embedding = self
            .cache
            .get_or_compute(self.embedder.model(), text, compute);
        match tokio::time::timeout(QUERY_EMBEDDING, embedding).await {
            Ok(Ok(vector)) => Some(vector),
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

    /// Returns a vector that another node has computed, or else computes it for all.
    async fn shared_or_embedded(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let model = self.embedder.model();
        let hash = query_hash(model, text);
        if let Some(shared) = &self.shared
            && let Some(vector) = shared.find(&hash, model.dimensions).await
        {
            return Ok(vector);
        }
        let begun = Instant::now();
        let span = telemetry::embedding_span(&model.id, 1);
        let vector = self.embedder.embed_query(text).instrument(span).await?;
        metrics::embedding(&model.id, begun.elapsed());
        if let Some(shared) = &self.shared {
            shared.put(&hash, &vector);
        }
        Ok(vector)
    }
}

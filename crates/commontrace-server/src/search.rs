//! The search engine as the server uses it: an index inside the process that is derived from the
//! store, kept up with it, and asked with vectors of the configured model.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::{JobId, TraceId};
use commontrace_search::document::{Answer, Document, Query};
use commontrace_search::embed::{EmbedError, Embedder, QueryCache, query_hash};
use commontrace_search::index::SearchIndex;
use commontrace_store::{EmbeddingModel, IndexRow, Store};
use tokio::sync::Notify;

use crate::error::chain;
use crate::ids::Ids;
use crate::metrics;
use crate::shared::QueryVectors;

/// Rows read at once while the index is built.
const LOAD_PAGE: i64 = 1000;
/// Changes read at once while keeping up.
const CHANGES_PAGE: i64 = 10_000;
/// How far behind what was seen last the next look begins, because transactions may commit in
/// another order than they took their times.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);
/// How long a search waits for the query's vector before it goes by words alone. Clients give up
/// after three seconds.
const QUERY_EMBEDDING: Duration = Duration::from_millis(2000);

/// Memory for the vectors of recent queries: some 8,000 of the local model.
const QUERY_CACHE_BYTES: usize = 16 << 20;

/// The index, the embedder, and what connects them to the store.
#[derive(Debug)]
pub struct Search {
    index: SearchIndex,
    embedder: Option<Embedder>,
    model: Option<EmbeddingModel>,
    cache: QueryCache,
    /// What other nodes have computed, if nodes share it.
    shared: Option<QueryVectors>,
    /// What the index was told of each trace last, so that an older reading never replaces a newer.
    known: Mutex<HashMap<TraceId, Known>>,
    wake: Notify,
}

/// A state of a trace.
#[derive(Debug, Clone, Copy)]
struct Known {
    changed_at: DateTime<Utc>,
    revision: i64,
}

impl Search {
    /// Creates an empty index; without an embedder it will search by words alone.
    pub fn new(embedder: Option<Embedder>) -> Self {
        let model = embedder.as_ref().map(|embedder| {
            let model = embedder.model();
            EmbeddingModel {
                id: model.id.clone(),
                version: model.version.clone(),
                dimensions: model.dimensions,
            }
        });
        Self {
            index: SearchIndex::new(),
            embedder,
            model,
            cache: QueryCache::new(QUERY_CACHE_BYTES),
            shared: None,
            known: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Asks other nodes for the vectors of queries before computing them, and tells them.
    pub fn sharing(self, vectors: QueryVectors) -> Self {
        Self {
            shared: Some(vectors),
            ..self
        }
    }

    /// Returns the embedder, if there is one.
    pub fn embedder(&self) -> Option<&Embedder> {
        self.embedder.as_ref()
    }

    /// Returns the model whose vectors are searched.
    pub fn model(&self) -> Option<&EmbeddingModel> {
        self.model.as_ref()
    }

    /// Returns how many traces can be found.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether nothing can be found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the job to enqueue for a text that needs a vector; none without an embedder.
    pub fn embedding_job(&self, ids: &Ids) -> Option<(JobId, String)> {
        self.model.as_ref().map(|model| (ids.id(), model.queue()))
    }

    /// Tells the embedding worker that there is something to do.
    pub fn wake_worker(&self) {
        self.wake.notify_one();
    }

    /// Waits until there may be something to embed.
    pub async fn work_arrives(&self) {
        self.wake.notified().await;
    }

    /// Builds the index from the store and returns the moment from which to follow changes.
    pub async fn load(&self, store: &Store) -> commontrace_store::Result<DateTime<Utc>> {
        let (mut after, mut newest) = (None, DateTime::<Utc>::UNIX_EPOCH);
        loop {
            let rows = store.index_rows(self.model(), after, LOAD_PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id);
            newest = rows
                .iter()
                .map(|row| row.changed_at)
                .fold(newest, DateTime::max);
            for row in rows {
                self.apply(row);
            }
        }
        self.report_backlog();
        Ok(newest)
    }

    /// Brings the index up to date with one trace that this process has just changed or deleted.
    ///
    /// The change is committed, so a failure here is no failure of the request: following the
    /// store's changes makes up for it.
    pub async fn refresh(&self, store: &Store, id: TraceId) {
        match store.index_row(self.model(), id).await {
            Ok(Some(row)) => self.apply(row),
            Ok(None) => self.forget(id),
            Err(err) => {
                tracing::warn!(trace.id = %id, error = %chain(&err), "trace `{id}` enters the index later: {err}");
            }
        }
        self.report_backlog();
    }

    /// Brings the index up to date with what other processes have changed since `since`. Returns
    /// the moment from which to look next, and whether they left a trace without a vector.
    pub async fn catch_up(
        &self,
        store: &Store,
        since: DateTime<Utc>,
    ) -> commontrace_store::Result<(DateTime<Utc>, bool)> {
        let (mut vectorless, mut newest, mut from) = (false, since, since - OVERLAP);
        loop {
            let changes = store.changes(from, CHANGES_PAGE).await?;
            let Some(last) = changes.last() else { break };
            for (id, _) in &changes.deleted {
                self.forget(*id);
            }
            for &(id, changed_at) in &changes.changed {
                if !self.knows(id, changed_at)
                    && let Some(row) = store.index_row(self.model(), id).await?
                {
                    vectorless |= row.vector.is_none();
                    self.apply(row);
                }
            }
            newest = newest.max(last);
            from = last + TimeDelta::microseconds(1);
        }
        self.report_backlog();
        Ok((newest, vectorless && self.model.is_some()))
    }

    fn knows(&self, id: TraceId, changed_at: DateTime<Utc>) -> bool {
        self.known()
            .get(&id)
            .is_some_and(|known| known.changed_at >= changed_at)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TraceId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, row: IndexRow) {
        // Held while the index changes, so that of two readings the newer one is applied last.
        let mut known = self.known();
        let before = known.get(&row.id).copied();
        if before.is_some_and(|before| before.changed_at > row.changed_at) {
            return;
        }
        known.insert(
            row.id,
            Known {
                changed_at: row.changed_at,
                revision: row.revision,
            },
        );
        let id = row.id;
        if row.hidden {
            self.index.remove(id);
            return;
        }
        let valid_until = row.valid_until.map(|end| end.timestamp_micros());
        let review_after = row.review_after.map(|due| due.timestamp_micros());
        let same_text = before.is_some_and(|before| before.revision == row.revision);
        if same_text && self.index.contains(id) {
            self.index.update_trust(id, row.trust_score);
            self.index.update_validity(id, valid_until);
            self.index.update_review(id, review_after);
        } else {
            self.index.upsert(&Document {
                id,
                title: row.title,
                context: row.context_text,
                solution: row.solution_text,
                tags: row.tags,
                fingerprint: row.context,
                trust: row.trust_score,
                valid_until,
                created_at: row.created_at.timestamp_micros(),
                review_after,
            });
        }
        if let Some(vector) = row.vector
            && let Err(err) = self.index.set_vector(id, &vector)
        {
            tracing::error!(trace.id = %id, "trace `{id}` is found by its words only: {err}");
        }
    }

    fn forget(&self, id: TraceId) {
        let mut known = self.known();
        known.remove(&id);
        self.index.remove(id);
    }

    fn report_backlog(&self) {
        let backlog = if self.model.is_some() {
            self.index.vectorless()
        } else {
            0
        };
        metrics::embedding_backlog(backlog);
    }

    /// Returns the query's vector; `None` without a model, or when it cannot be had in time.
    pub async fn query_vector(&self, text: &str) -> Option<Arc<[f32]>> {
        let embedder = self.embedder.as_ref()?;
        let compute = || self.shared_or_embedded(embedder, text);
        let embedding = self.cache.get_or_compute(embedder.model(), text, compute);
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
    async fn shared_or_embedded(
        &self,
        embedder: &Embedder,
        text: &str,
    ) -> Result<Vec<f32>, EmbedError> {
        let model = embedder.model();
        let hash = query_hash(model, text);
        if let Some(shared) = &self.shared
            && let Some(vector) = shared.find(&hash, model.dimensions).await
        {
            return Ok(vector);
        }
        let begun = Instant::now();
        let vector = embedder.embed_query(text).await?;
        metrics::embedding(&model.id, begun.elapsed());
        if let Some(shared) = &self.shared {
            shared.put(&hash, &vector);
        }
        Ok(vector)
    }

    /// Answers a search. Writes nothing that any later search reads.
    pub fn search(&self, query: &Query<'_>) -> Answer {
        self.index.search(query)
    }
}

//! Finding traces: the model and the index that requests search with, and the move from one model
//! to another while they go on.
//!
//! The index is the database itself where that can search, and else one in this process's memory.
//!
//! A [`Generation`] is a model with the index of its vectors. Requests take the current one once. To
//! move to another model, [`Search::switch_to`] records the wish; `worker::switch` builds the coming
//! generation beside the current one and puts it in its place when it lacks nothing.

mod database;
mod embedding;
mod memory;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use commontrace_core::TraceId;
use commontrace_search::document::{Answer, Query};
use commontrace_search::embed::Embedder;
use commontrace_store::{EmbeddingModel, NewJob, Result, Store};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use self::database::DatabaseIndex;
pub use self::database::{MAKE_DOCUMENT, fill};
pub use self::embedding::Embedding;
use self::memory::MemoryIndex;
use crate::error::chain;
use crate::ids::Ids;
use crate::metrics;
use crate::shared::QueryVectors;
use crate::telemetry;

/// Where traces are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Memory,
    /// In the database, which knows this process by a name.
    Database(Uuid),
}

/// What finds traces.
#[derive(Debug, Clone)]
enum Index {
    Memory(Arc<MemoryIndex>),
    Database(Arc<DatabaseIndex>),
}

/// A model with the index of its vectors.
#[derive(Debug)]
pub struct Generation {
    /// The model; none to search by words alone.
    embedding: Option<Embedding>,
    index: Index,
    wake: Notify,
}

impl Generation {
    /// Creates one whose index knows nothing yet.
    fn new(embedding: Option<Embedding>, place: Place) -> Self {
        let model = embedding
            .as_ref()
            .map(|embedding| embedding.model().clone());
        let index = match place {
            Place::Memory => Index::Memory(Arc::new(MemoryIndex::new(model))),
            Place::Database(node) => Index::Database(Arc::new(DatabaseIndex::new(model, node))),
        };
        Self {
            embedding,
            index,
            wake: Notify::new(),
        }
    }

    /// Creates one with this index and the embedder of `other`, which is of the same model: with
    /// another key or endpoint, say.
    pub fn with_embedding(&self, other: Self) -> Self {
        Self {
            embedding: other.embedding,
            index: self.index.clone(),
            wake: Notify::new(),
        }
    }

    /// Returns what makes vectors; `None` if searches go by words alone.
    pub fn embedding(&self) -> Option<&Embedding> {
        self.embedding.as_ref()
    }

    /// Returns the model whose vectors are searched.
    pub fn model(&self) -> Option<&EmbeddingModel> {
        self.embedding().map(Embedding::model)
    }

    /// Returns the model's name, `none` without one.
    pub fn model_name(&self) -> &str {
        self.model().map_or("none", |model| model.id.as_str())
    }

    /// Returns how many traces can be found.
    pub fn len(&self) -> usize {
        match &self.index {
            Index::Memory(index) => index.len(),
            Index::Database(index) => index.len(),
        }
    }

    /// Returns whether nothing can be found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many traces lack a vector of the model; zero without a model.
    pub fn vectorless(&self) -> usize {
        match &self.index {
            Index::Memory(index) => index.vectorless(),
            Index::Database(index) => index.vectorless(),
        }
    }

    /// Builds the index from the store and returns the moment from which to follow changes.
    pub async fn load(&self, store: &Store) -> Result<DateTime<Utc>> {
        match &self.index {
            Index::Memory(index) => index.load(store).await,
            Index::Database(index) => index.load(store).await,
        }
    }

    /// Brings the index up to date with what other processes have changed since `since`. Returns
    /// the moment from which to look next, and whether they left a trace without a vector.
    pub async fn catch_up(
        &self,
        store: &Store,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(DateTime<Utc>, bool)> {
        match &self.index {
            Index::Memory(index) => index.catch_up(store, since).await,
            Index::Database(index) => index.catch_up(store, since, now).await,
        }
    }

    /// Learns of one trace that this process has just changed or deleted.
    async fn refresh(&self, store: &Store, id: TraceId) -> Result<()> {
        match &self.index {
            Index::Memory(index) => index.refresh(store, id).await,
            Index::Database(index) => index.refresh(store).await,
        }
    }

    /// Returns the query's vector; `None` without a model, or when it cannot be had in time.
    pub async fn query_vector(&self, text: &str) -> Option<Arc<[f32]>> {
        self.embedding()?.query_vector(text).await
    }

    /// Tells the store that this process searches with the model no longer.
    pub async fn leave(&self, store: &Store) {
        if let Index::Database(index) = &self.index
            && let Err(err) = index.leave(store).await
        {
            tracing::warn!(error = %chain(&err), "the vectors of {} seem to be in use for another while: {err}", self.model_name());
        }
    }

    /// Answers a search for whoever `store` reads for. Writes nothing that any later search reads.
    pub async fn search(&self, store: &Store, query: &Query<'_>) -> Result<Answer> {
        match &self.index {
            Index::Memory(index) => Ok(index.search(query)),
            Index::Database(index) => index.search(store, query).await,
        }
    }

    /// Tells whoever embeds for this model that there is something to do.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until there may be something to embed.
    pub async fn work_arrives(&self) {
        self.wake.notified().await;
    }
}

/// What is searched with, and what will be.
#[derive(Debug, Clone)]
pub struct Generations {
    /// What requests search with.
    pub current: Arc<Generation>,
    /// What takes its place when it lacks nothing.
    pub coming: Option<Arc<Generation>>,
}

impl Generations {
    /// Lists both, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Generation>> {
        [&self.current].into_iter().chain(&self.coming)
    }
}

/// The generations of this process, and the model that the operator wants.
#[derive(Debug)]
pub struct Search {
    generations: watch::Sender<Generations>,
    wanted: watch::Sender<Option<Embedder>>,
    /// The vectors of queries that nodes share.
    shared: Option<QueryVectors>,
    place: Place,
}

impl Search {
    /// Prepares to search what `store` holds; without an embedder, by words alone. With `shared`,
    /// nodes share the vectors of queries. `node` tells this process from others on the same store.
    pub fn new(
        store: &Store,
        embedder: Option<Embedder>,
        shared: Option<QueryVectors>,
        node: Uuid,
    ) -> Self {
        let place = if store.can_search() {
            Place::Database(node)
        } else {
            Place::Memory
        };
        let embedding = |embedder| Embedding::new(embedder, shared.clone());
        let current = Generation::new(embedder.clone().map(embedding), place);
        Self {
            generations: watch::Sender::new(Generations {
                current: Arc::new(current),
                coming: None,
            }),
            wanted: watch::Sender::new(embedder),
            shared,
            place,
        }
    }

    /// Creates a generation of this embedder's model, or one that searches by words alone.
    pub fn generation(&self, embedder: Option<Embedder>) -> Generation {
        let embedding = embedder.map(|embedder| Embedding::new(embedder, self.shared.clone()));
        Generation::new(embedding, self.place)
    }

    /// Returns whether the database is the index.
    pub fn is_in_database(&self) -> bool {
        self.place != Place::Memory
    }

    /// Returns what a request searches with. It takes this once, so that the query's vector and the
    /// index are of the same model.
    pub fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.generations.borrow().current)
    }

    /// Returns the current and the coming generation.
    pub fn generations(&self) -> Generations {
        self.generations.borrow().clone()
    }

    /// Follows the generations as they come and go.
    pub fn watch(&self) -> watch::Receiver<Generations> {
        self.generations.subscribe()
    }

    /// Asks for searches with this embedder, or by words alone. The newest wish wins.
    pub fn switch_to(&self, embedder: Option<Embedder>) {
        self.wanted.send_replace(embedder);
    }

    /// Follows what is asked for.
    pub fn wanted(&self) -> watch::Receiver<Option<Embedder>> {
        self.wanted.subscribe()
    }

    /// Lets writes and changes reach a generation that is to take the current one's place. It has to
    /// be loaded after this, or it misses what is written in between.
    pub fn announce(&self, coming: Arc<Generation>) {
        self.generations
            .send_modify(|generations| generations.coming = Some(coming));
        self.report();
    }

    /// Gives up the coming generation.
    pub fn abandon(&self) {
        self.generations
            .send_modify(|generations| generations.coming = None);
        self.report();
    }

    /// Searches with `next` from now on, and returns what was searched with before.
    pub fn replace(&self, next: Arc<Generation>) -> Arc<Generation> {
        let mut before = None;
        self.generations.send_modify(|generations| {
            generations.coming = None;
            before = Some(std::mem::replace(&mut generations.current, next));
        });
        let before = before.expect("the closure was called");
        metrics::search_model(before.model_name(), false);
        self.report();
        before
    }

    /// Returns the jobs to enqueue for a text that needs vectors: one for each model, and part of
    /// the trace that the caller is part of.
    pub fn embedding_jobs(&self, ids: &Ids) -> Vec<NewJob> {
        self.generations()
            .all()
            .filter_map(|generation| generation.model())
            .map(|model| NewJob {
                id: ids.id(),
                queue: model.queue(),
                trace_context: telemetry::current(),
            })
            .collect()
    }

    /// Tells the embedding workers that there is something to do.
    pub fn wake_workers(&self) {
        for generation in self.generations().all() {
            generation.wake();
        }
    }

    /// Brings the indexes up to date with one trace that this process has just changed or deleted.
    ///
    /// The change is committed, so a failure here is no failure of the request: following the
    /// store's changes makes up for it.
    pub async fn refresh(&self, store: &Store, id: TraceId) {
        for generation in self.generations().all() {
            if let Err(err) = generation.refresh(store, id).await {
                tracing::warn!(trace.id = %id, error = %chain(&err), "trace `{id}` enters the index later: {err}");
            }
        }
        self.report();
    }

    /// Tells the metrics which model is searched with and what waits for a vector.
    pub fn report(&self) {
        let generations = self.generations();
        metrics::search_model(generations.current.model_name(), true);
        metrics::embedding_backlog(generations.current.vectorless());
        let coming = generations.coming.map_or(0, |coming| coming.vectorless());
        metrics::embedding_switch_backlog(coming);
    }
}

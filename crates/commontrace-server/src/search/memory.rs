//! The index inside the process: built from the store, kept up with it, and holding the vectors of
//! one model.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::TraceId;
use commontrace_search::document::{Answer, Document, Query};
use commontrace_search::index::SearchIndex;
use commontrace_store::{EmbeddingModel, IndexRow, Result, Store};

/// Rows read at once while the index is built.
const LOAD_PAGE: i64 = 1000;
/// Changes read at once while keeping up.
const CHANGES_PAGE: i64 = 10_000;
/// How far behind what was seen last the next look begins, because transactions may commit in
/// another order than they took their times.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);

/// The index and what it was told.
#[derive(Debug)]
pub struct MemoryIndex {
    /// Whose vectors it holds; none if it goes by words alone.
    model: Option<EmbeddingModel>,
    index: SearchIndex,
    /// What the index was told of each trace last, so that an older reading never replaces a newer.
    known: Mutex<HashMap<TraceId, Known>>,
}

/// A state of a trace.
#[derive(Debug, Clone, Copy)]
struct Known {
    changed_at: DateTime<Utc>,
    revision: i64,
}

impl MemoryIndex {
    /// Creates an empty index for the vectors of `model`.
    pub fn new(model: Option<EmbeddingModel>) -> Self {
        Self {
            model,
            index: SearchIndex::new(),
            known: Mutex::default(),
        }
    }

    /// Returns how many traces can be found.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns how many traces have no vector of the model; zero without a model.
    pub fn vectorless(&self) -> usize {
        match self.model {
            Some(_) => self.index.vectorless(),
            None => 0,
        }
    }

    /// Reads every trace from the store and returns the moment from which to follow changes.
    pub async fn load(self: &Arc<Self>, store: &Store) -> Result<DateTime<Utc>> {
        let (mut after, mut newest) = (None, DateTime::<Utc>::UNIX_EPOCH);
        loop {
            let rows = store
                .index_rows(self.model.as_ref(), after, LOAD_PAGE)
                .await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id);
            newest = rows
                .iter()
                .map(|row| row.changed_at)
                .fold(newest, DateTime::max);
            let index = Arc::clone(self);
            // While the server serves with another index, its requests must not wait for this.
            let applied = tokio::task::spawn_blocking(move || {
                for row in rows {
                    index.apply(row);
                }
            });
            if let Err(err) = applied.await
                && let Ok(panic) = err.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        Ok(newest)
    }

    /// Reads one trace that this process has just changed or deleted.
    pub async fn refresh(&self, store: &Store, id: TraceId) -> Result<()> {
        match store.index_row(self.model.as_ref(), id).await? {
            Some(row) => self.apply(row),
            None => self.forget(id),
        }
        Ok(())
    }

    /// Reads what other processes have changed since `since`. Returns the moment from which to look
    /// next, and whether they left a trace without a vector.
    pub async fn catch_up(
        &self,
        store: &Store,
        since: DateTime<Utc>,
    ) -> Result<(DateTime<Utc>, bool)> {
        let (mut vectorless, mut newest, mut from) = (false, since, since - OVERLAP);
        loop {
            let changes = store.changes(from, CHANGES_PAGE).await?;
            let Some(last) = changes.last() else { break };
            for (id, _) in &changes.deleted {
                self.forget(*id);
            }
            for &(id, changed_at) in &changes.changed {
                if !self.knows(id, changed_at)
                    && let Some(row) = store.index_row(self.model.as_ref(), id).await?
                {
                    vectorless |= row.vector.is_none();
                    self.apply(row);
                }
            }
            newest = newest.max(last);
            from = last + TimeDelta::microseconds(1);
        }
        Ok((newest, vectorless && self.model.is_some()))
    }

    /// Answers a search.
    pub fn search(&self, query: &Query<'_>) -> Answer {
        self.index.search(query)
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
}

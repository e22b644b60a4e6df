//! The search index: every trace's words, vector, tags and ranking facts, in memory.
//!
//! Derived from the store and rebuilt from it at start; it persists nothing. A document can be found
//! the moment `upsert` returns. Searching changes nothing, so the same query gives the same answer
//! however often it is asked.

mod rank;
mod state;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use commontrace_core::TraceId;

use self::state::State;
use crate::bm25::Counted;
use crate::document::{Answer, Document, Query};
use crate::query::analyze;
use crate::signature::signatures;
use crate::vectors::VectorError;

/// The index, shared by all requests of a process.
#[derive(Debug, Default)]
pub struct SearchIndex {
    state: RwLock<State>,
}

impl SearchIndex {
    /// Creates an empty index; the first vector set decides the dimension.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a document or replaces the one with its id, whose vector stays until it is set anew.
    pub fn upsert(&self, document: &Document) {
        // Tokenising is the slow part, so it is done before anyone is made to wait.
        let counted = Counted::of(document.fields());
        let errors = [document.title.as_str(), &document.context].join("\n");
        self.write().upsert(document, counted, signatures(&errors));
    }

    /// Sets the vector of a document; `false` if there is no such document.
    pub fn set_vector(&self, id: TraceId, vector: &[f32]) -> Result<bool, VectorError> {
        self.write().set_vector(id, vector)
    }

    /// Removes a document; `false` if there was none.
    pub fn remove(&self, id: TraceId) -> bool {
        self.write().remove(id)
    }

    /// Changes a document's trust; `false` if there is no such document.
    pub fn update_trust(&self, id: TraceId, trust: f64) -> bool {
        self.write().change(id, |facts| facts.trust = trust)
    }

    /// Changes when a document stops being valid; `false` if there is no such document.
    pub fn update_validity(&self, id: TraceId, valid_until: Option<i64>) -> bool {
        self.write()
            .change(id, |facts| facts.valid_until = valid_until)
    }

    /// Changes when a document is due for a review; `false` if there is no such document.
    pub fn update_review(&self, id: TraceId, review_after: Option<i64>) -> bool {
        self.write()
            .change(id, |facts| facts.review_after = review_after)
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.read().slots.len()
    }

    /// Tells whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether a document is indexed.
    pub fn contains(&self, id: TraceId) -> bool {
        self.read().slots.contains_key(&id)
    }

    /// Number of documents that have no vector and are found by their words only.
    pub fn vectorless(&self) -> usize {
        let state = self.read();
        state.slots.len() - state.vectors.len()
    }

    /// Bytes held, roughly: words and facts, then vectors.
    pub fn memory(&self) -> (usize, usize) {
        let state = self.read();
        (state.memory(), state.vectors.memory())
    }

    /// Answers a query.
    ///
    /// With text, hits are ordered by [`commontrace_core::fusion`]'s score. With tags alone (or
    /// nothing) all documents that have them are equally relevant: valid ones come before expired
    /// ones, then those with the better priors, then newer ones. Ties end at the id.
    ///
    /// A vector that cannot be compared is ignored; [`Answer::semantic`] tells.
    #[must_use]
    pub fn search(&self, query: &Query<'_>) -> Answer {
        let analysis = query
            .text
            .filter(|text| !text.trim().is_empty())
            .map(analyze);
        rank::search(&self.read(), query, analysis.as_ref())
    }

    // A panic while the lock is held would be a bug here; the index is derived data, and answering
    // from it beats answering nothing until the process is restarted.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

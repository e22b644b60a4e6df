//! Counts how often traces are opened, in memory, and writes the counts down now and then.
//!
//! Being shown in a search is not counted, and no ranking reads these counts.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use commontrace_core::TraceId;
use commontrace_store::Store;

/// Different traces counted between two writes at most; further ones are not counted.
const TRACES_MAX: usize = 100_000;

/// Counts that were not written down yet. A crash loses these and nothing else.
#[derive(Debug, Default)]
pub struct Usage {
    opened: Mutex<HashMap<TraceId, i64>>,
}

impl Usage {
    /// Counts that somebody opened a trace.
    pub fn note(&self, id: TraceId) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() < TRACES_MAX || opened.contains_key(&id) {
            *opened.entry(id).or_default() += 1;
        }
    }

    /// Writes the counts to the store.
    pub async fn flush(&self, store: &Store) -> commontrace_store::Result<()> {
        let opened =
            std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        if opened.is_empty() {
            return Ok(());
        }
        store.add_retrievals(opened.into_iter().collect()).await
    }
}

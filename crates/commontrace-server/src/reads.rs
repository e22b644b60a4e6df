//! Notes who has opened which trace, because only they may report what came of it.
//!
//! Notes are taken in memory and written down behind the answers, a moment later and many at once. This node
//! knows of them at once, others when they are written. A crash loses those of that moment: whoever is
//! then told to read the trace first reads it again. No ranking reads any of this.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::{TraceId, UserId};
use commontrace_store::{Read, Store};
use tokio::sync::Notify;

/// Notes kept in memory at most, of those that wait to be written and of those that are known.
const NOTES_MAX: usize = 20_000;
/// How long a note that was written is not written again, which keeps what is read every day from being
/// forgotten.
const FRESH: TimeDelta = TimeDelta::days(1);

/// Who has opened what, as far as this node knows.
#[derive(Debug, Default)]
pub struct Reads {
    notes: Mutex<Notes>,
    due: Notify,
}

#[derive(Debug, Default)]
struct Notes {
    known: HashMap<(UserId, TraceId), (i64, DateTime<Utc>)>,
    unwritten: HashMap<(UserId, TraceId), Read>,
}

impl Notes {
    /// Puts a note with those that wait, unless a newer one is there or there are too many.
    fn put(&mut self, read: Read) -> bool {
        let key = (read.user, read.trace);
        if self.unwritten.len() >= NOTES_MAX && !self.unwritten.contains_key(&key) {
            return false;
        }
        let note = self.unwritten.entry(key).or_insert(read);
        if note.revision <= read.revision {
            *note = read;
        }
        true
    }
}

impl Reads {
    /// Notes that an account has opened a revision of a trace.
    pub fn note(&self, user: UserId, trace: TraceId, revision: i64, now: DateTime<Utc>) {
        let key = (user, trace);
        let mut notes = self.lock();
        if let Some(&(known, at)) = notes.known.get(&key)
            && known >= revision
            && now - at < FRESH
        {
            return;
        }
        let read = Read {
            user,
            trace,
            revision,
            at: now,
        };
        if !notes.put(read) {
            return;
        }
        if notes.known.len() >= NOTES_MAX {
            notes.known.clear();
        }
        notes.known.insert(key, (revision, now));
        drop(notes);
        self.due.notify_one();
    }

    /// Returns the newest revision of a trace that this node has seen an account open.
    pub fn revision(&self, user: UserId, trace: TraceId) -> Option<i64> {
        let notes = self.lock();
        notes.known.get(&(user, trace)).map(|&(known, _)| known)
    }

    /// Waits until there is something to write.
    pub async fn due(&self) {
        self.due.notified().await;
    }

    /// Writes the notes to the store; what cannot be written waits for the next time.
    pub async fn flush(&self, store: &Store) -> commontrace_store::Result<()> {
        let unwritten = std::mem::take(&mut self.lock().unwritten);
        if unwritten.is_empty() {
            return Ok(());
        }
        let reads: Vec<Read> = unwritten.into_values().collect();
        let written = store.add_reads(reads.clone()).await;
        if written.is_err() {
            let mut notes = self.lock();
            for read in reads {
                notes.put(read);
            }
            self.due.notify_one();
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

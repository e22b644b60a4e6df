//! Recordings of agents on their way into the store.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use commontrace_core::UserId;
use commontrace_core::hex;
use commontrace_session::import::{Batch, Found, SessionKey};
use commontrace_session::posted::is_session_id;
use commontrace_session::stored::Blobs;
use commontrace_session::{Event, Session};
use commontrace_store::{Append, AppendEvents, NewEvent, NewSession, Result, Store};
use sha2::{Digest, Sha256};

use super::intake::{new_blobs, new_event};
use super::present::Kept;
use crate::ids::Ids;

/// Stores what an importer finds as sessions of one account.
#[derive(Debug)]
pub struct Import {
    store: Store,
    user: UserId,
    ids: Ids,
    now: DateTime<Utc>,
    /// The sessions that were found, by the ids that they have here.
    sessions: HashMap<SessionKey, String>,
    counts: Imported,
}

/// What came of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Sessions that were found.
    pub sessions: u64,
    /// Events that were not there before.
    pub events: u64,
    /// Events that were.
    pub known: u64,
    /// Those of them that were there with other content, which stays.
    pub changed: u64,
    /// Events that were left out, because their session is another's or full.
    pub refused: u64,
}

impl Import {
    /// Begins an import at the moment `now`.
    pub fn new(store: Store, user: UserId, ids: Ids, now: DateTime<Utc>) -> Self {
        Self {
            store,
            user,
            ids,
            now,
            sessions: HashMap::new(),
            counts: Imported::default(),
        }
    }

    /// Goes on at the moment `now`, for an import that takes long.
    pub fn at(&mut self, now: DateTime<Utc>) {
        self.now = now;
    }

    /// Stores what was found next.
    pub async fn take(&mut self, found: Found) -> Result<()> {
        match found {
            Found::Session { key, session } => self.session(key, *session).await,
            Found::Batch(batch) => self.batch(batch).await,
        }
    }

    /// Returns what came of it so far.
    pub fn counts(&self) -> Imported {
        self.counts
    }

    async fn session(&mut self, key: SessionKey, session: Session) -> Result<()> {
        let id = session_id(&key);
        let kept = Kept {
            schema_version: "1.0".to_owned(),
            session,
        };
        let session = &kept.session;
        let header = kept.to_json();
        let new = NewSession {
            key: self.ids.id(),
            user_id: self.user,
            id: id.clone(),
            content_hash: Sha256::digest(&header).to_vec(),
            developer_id: without_nul(&session.developer_id),
            bug_id: session.bug_id.as_deref().map(without_nul),
            repo_name: without_nul(&session.repo.name),
            format: Some(key.format.to_owned()),
            start_time: session.start_time.unwrap_or(self.now),
            header,
            events: Vec::new(),
            blobs: Vec::new(),
        };
        let ours = self.store.import_session(new, self.now).await?;
        if ours && self.sessions.insert(key, id).is_none() {
            self.counts.sessions += 1;
        }
        Ok(())
    }

    async fn batch(&mut self, batch: Batch) -> Result<()> {
        let mut events: BTreeMap<SessionKey, Vec<Event>> = BTreeMap::new();
        for (key, event) in batch.events {
            events.entry(key).or_default().push(event);
        }
        for kept in &batch.kept {
            events.entry(kept.session.clone()).or_default();
        }
        for (key, events) in events {
            let Some(id) = self.sessions.get(&key).cloned() else {
                self.counts.refused += events.len() as u64;
                continue;
            };
            let keeps = batch.kept.iter().any(|kept| kept.session == key);
            self.append(id, &events, &batch.blob.bytes, keeps).await?;
        }
        Ok(())
    }

    /// Appends events and the records that they were made of; `keeps` says that some of the records have
    /// no event.
    async fn append(
        &mut self,
        id: String,
        events: &[Event],
        records: &[u8],
        keeps: bool,
    ) -> Result<()> {
        let mut blobs = Blobs::default();
        let rows: Vec<_> = events
            .iter()
            .map(|event| {
                let row = new_event(event, &mut blobs);
                let id = without_nul(&row.id);
                NewEvent { id, ..row }
            })
            .collect();
        let mut kept = Blobs::default();
        if keeps {
            kept.add(records);
        } else {
            blobs.add(records);
        }
        let count = rows.len() as u64;
        let append = Append {
            events: rows,
            blobs: new_blobs(blobs),
            records: new_blobs(kept),
            ..Append::default()
        };
        let done = self
            .store
            .append_events(self.user, id, append, self.now)
            .await?;
        match done {
            AppendEvents::Appended {
                appended, changed, ..
            } => {
                self.counts.changed += changed.len() as u64;
                self.counts.events += appended as u64;
                self.counts.known += count - appended as u64;
            }
            _ => self.counts.refused += count,
        }
        Ok(())
    }
}

/// Returns a text that PostgreSQL takes.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Returns the id that a recorded session has here: the tool's own, or a hash of one that could not be
/// part of an address.
fn session_id(key: &SessionKey) -> String {
    if is_session_id(&key.id) {
        return key.id.to_string();
    }
    let hash = Sha256::digest(key.id.as_bytes());
    hex::encode(&hash[..16])
}

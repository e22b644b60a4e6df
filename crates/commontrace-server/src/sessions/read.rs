//! Reading events out of the store, with their large texts, a bounded amount at a time.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use commontrace_core::SessionKey;
use commontrace_session::stored::{self, Broken, Hash};
use commontrace_store::{Event, EventOrder, Store};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use serde_json::Value;

use crate::error::{ApiError, ApiResult};

/// Events read at once. Without their large texts they are small.
const PAGE: i64 = 200;
/// Bytes that a large text may have: more than any body may.
const TEXT_MAX: u64 = 1 << 30;
/// Bytes of JSON gathered before they are sent.
const CHUNK: usize = 64 * 1024;

/// Reads the events of one session in order.
#[derive(Debug)]
pub struct EventReader {
    store: Store,
    session: SessionKey,
    order: EventOrder,
    through: i64,
    read: VecDeque<Event>,
    /// Whether the store has no more than what was read.
    finished: bool,
}

impl EventReader {
    /// Begins to read in the order of time, all events up to the one numbered `through`.
    pub fn in_time(store: Store, session: SessionKey, through: i64) -> Self {
        Self::new(store, session, EventOrder::Happened(None), through)
    }

    /// Begins to read as they were stored, those behind the one numbered `after`.
    pub fn as_stored(store: Store, session: SessionKey, after: i64, through: i64) -> Self {
        Self::new(store, session, EventOrder::Stored(after), through)
    }

    fn new(store: Store, session: SessionKey, order: EventOrder, through: i64) -> Self {
        Self {
            store,
            session,
            order,
            through,
            read: VecDeque::new(),
            finished: false,
        }
    }

    /// Returns the next event as clients see it, and its number.
    pub async fn next(&mut self) -> ApiResult<Option<(i64, Value)>> {
        if self.read.is_empty() && !self.finished {
            self.fill().await?;
        }
        let Some(event) = self.read.pop_front() else {
            return Ok(None);
        };
        let texts = self.texts(&event).await?;
        let mut value = stored::unpack(&event.event, event.large.as_deref(), &texts)
            .map_err(|broken| damaged(event.seq, &broken))?;
        if let Value::Object(members) = &mut value {
            members.insert("seq".to_owned(), event.seq.into());
        }
        Ok(Some((event.seq, value)))
    }

    async fn fill(&mut self) -> ApiResult<()> {
        let page = self
            .store
            .session_events(self.session, self.order, self.through, PAGE)
            .await?;
        self.finished = (page.len() as i64) < PAGE;
        if let Some(last) = page.last() {
            self.order = match self.order {
                EventOrder::Stored(_) => EventOrder::Stored(last.seq),
                EventOrder::Happened(_) => EventOrder::Happened(Some(place(last))),
            };
        }
        self.read = page.into();
        Ok(())
    }

    async fn texts(&self, event: &Event) -> ApiResult<HashMap<Hash, String>> {
        let Some(large) = &event.large else {
            return Ok(HashMap::new());
        };
        let hashes = stored::hashes(large).map_err(|broken| damaged(event.seq, &broken))?;
        let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.to_vec()).collect();
        let mut texts = HashMap::new();
        for (hash, content) in self.store.session_blobs(self.session, &hashes).await? {
            let text = stored::decompress(&content, TEXT_MAX)
                .map_err(|broken| damaged(event.seq, &broken))?;
            if let (Ok(hash), Ok(text)) = (Hash::try_from(hash), String::from_utf8(text)) {
                texts.insert(hash, text);
            }
        }
        Ok(texts)
    }

    /// Turns it into the JSON of a list, in chunks, between `before` and `after`.
    pub fn into_json(
        self,
        before: String,
        after: &'static str,
    ) -> impl Stream<Item = Result<Bytes, axum::BoxError>> {
        struct State {
            events: EventReader,
            chunk: String,
            first: bool,
            done: bool,
        }
        let state = State {
            events: self,
            chunk: before,
            first: true,
            done: false,
        };
        try_unfold(state, move |mut state| async move {
            if state.done {
                return Ok(None);
            }
            while state.chunk.len() < CHUNK {
                // The answer has begun: all that is left is to cut it off, and to say why in the log.
                let next = state.events.next().await.map_err(|err| {
                    tracing::error!(error = ?err, "an answer with a session was cut off");
                    axum::BoxError::from("reading the session failed")
                })?;
                let Some((_, event)) = next else {
                    state.chunk.push_str(after);
                    state.done = true;
                    break;
                };
                if !std::mem::take(&mut state.first) {
                    state.chunk.push(',');
                }
                state.chunk.push_str(&event.to_string());
            }
            let chunk = Bytes::from(std::mem::take(&mut state.chunk));
            Ok(Some((chunk, state)))
        })
    }
}

fn place(event: &Event) -> (DateTime<Utc>, i64) {
    (event.at, event.seq)
}

fn damaged(seq: i64, broken: &Broken) -> ApiError {
    ApiError::internal(format!("event {seq} of a session: {}", broken.0))
}

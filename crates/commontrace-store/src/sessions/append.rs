//! Appending events: each once, numbered without gaps, at a cost that does not grow with the session.

pub(super) mod changed;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use commontrace_core::{SessionKey, UserId};
use futures_util::FutureExt;
use serde_json::Value;
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::blobs::{self, NewBlob};
use super::usage;
use crate::idempotency::{self, Earlier};
use crate::tx::{Tx, on_tx};
use crate::{Idempotency, Result, Store};

/// Events that a session may have.
pub const SESSION_EVENTS_MAX: i64 = 1_000_000;
/// Events in one statement: six values each, and SQLite takes 32,766.
const ROWS: usize = 1000;

/// An event to store.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Identifies it within its session.
    pub id: String,
    /// When it happened, if that is known.
    pub at: Option<DateTime<Utc>>,
    /// The event as JSON, without its large texts.
    pub event: String,
    /// Where its large texts belong, as JSON, if it has any.
    pub large: Option<String>,
}

/// Events to append.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// The events in their order.
    pub events: Vec<NewEvent>,
    /// Large texts that they need, and their records. Kept if any of the events is new.
    pub blobs: Vec<NewBlob>,
    /// Texts to keep in any case.
    pub records: Vec<NewBlob>,
    /// How many events the session must have, if the client cares.
    pub expected_seq: Option<i64>,
    /// How to tell a repeated request. The answer's `appended_events`, `duplicates` and `last_seq` are
    /// filled in, and a warning is added to its `warnings` where there is cause.
    pub idempotency: Option<Idempotency>,
}

/// How appending went.
#[derive(Debug, Clone, PartialEq)]
pub enum AppendEvents {
    /// All events are in the session now.
    Appended {
        /// How many were not there before.
        appended: i64,
        /// How many the session has.
        last_seq: i64,
        /// The ids of those that were there with other content, which stays as it was.
        changed: Vec<String>,
    },
    /// The account has no such session.
    Unknown,
    /// The session has another number of events than was expected.
    Unexpected {
        /// How many it has.
        last_seq: i64,
    },
    /// It would have more events than it may have.
    Full,
    /// The account's sessions take up all the room that they may.
    NoRoom,
    /// The same request was carried out before; this was its answer.
    Replayed(Value),
    /// The key was used for another request.
    KeyReused,
}

impl From<Earlier> for AppendEvents {
    fn from(earlier: Earlier) -> Self {
        match earlier {
            Earlier::Answered(answer) => Self::Replayed(answer),
            Earlier::Other => Self::KeyReused,
        }
    }
}

impl Store {
    /// Appends to the account's session with this id. Events that it has already, by their ids, are left
    /// out.
    pub async fn append_events(
        &self,
        user: UserId,
        id: String,
        append: Append,
        now: DateTime<Utc>,
    ) -> Result<AppendEvents> {
        let most = self.session_bytes_max;
        self.write(move |tx| {
            async move { append_to(tx, user, &id, append, most, now).await }.boxed()
        })
        .await
    }
}

async fn append_to(
    tx: &mut Tx<'_>,
    user: UserId,
    id: &str,
    append: Append,
    most: Option<i64>,
    now: DateTime<Utc>,
) -> Result<AppendEvents> {
    if let Some(request) = &append.idempotency
        && let Some(earlier) = idempotency::recall(tx, user, request).await?
    {
        return Ok(earlier.into());
    }
    // Whoever has changed the row is alone with the session until the end of the transaction.
    let blobs = append.blobs.iter().chain(&append.records);
    let expected_bytes = event_bytes(append.events.iter())
        + blobs.map(|blob| blob.content.len() as i64).sum::<i64>();
    let held: Option<(SessionKey, i64, DateTime<Utc>)> = on_tx!(tx, |db| sqlx::query_as(
        "UPDATE sessions SET last_seq = last_seq + $3, updated_at = $4,
             stored_bytes = stored_bytes + $7
         WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL AND last_seq + $3 <= $5
           AND ($6 IS NULL OR last_seq = $6)
           AND ($8 IS NULL OR $8 > COALESCE(
                   (SELECT stored_bytes FROM session_usage WHERE user_id = $1), 0))
         RETURNING key, last_seq, start_time",
    )
    .bind(user)
    .bind(id)
    .bind(append.events.len() as i64)
    .bind(now)
    .bind(SESSION_EVENTS_MAX)
    .bind(append.expected_seq)
    .bind(expected_bytes)
    .bind(most)
    .fetch_optional(db)
    .await)?;
    let Some((session, claimed, begun)) = held else {
        let events = append.events.len() as i64;
        return refusal(tx, user, id, events, append.expected_seq).await;
    };
    let before = claimed - append.events.len() as i64;
    let Stored {
        last_seq,
        mut bytes,
        known,
    } = store(tx, session, before, begun, &append.events).await?;
    let changed = changed::of(tx, session, &known).await?;
    if last_seq != before {
        bytes += blobs::put(tx, session, &append.blobs, now).await?;
    }
    bytes += blobs::put(tx, session, &append.records, now).await?;
    if (last_seq, bytes) != (claimed, expected_bytes) {
        on_tx!(tx, |db| sqlx::query(
            "UPDATE sessions SET last_seq = $2, stored_bytes = stored_bytes + $3 WHERE key = $1"
        )
        .bind(session)
        .bind(last_seq)
        .bind(bytes - expected_bytes)
        .execute(db)
        .await
        .map(drop))?;
    }
    // Late, because all writes of the account meet there.
    usage::add(tx, user, bytes).await?;
    let appended = last_seq - before;
    if let Some(mut request) = append.idempotency {
        request.response["appended_events"] = appended.into();
        request.response["duplicates"] = (append.events.len() as i64 - appended).into();
        request.response["last_seq"] = last_seq.into();
        if let Some(warnings) = request.response["warnings"].as_array_mut() {
            warnings.extend(changed::warning(&changed).map(Value::from));
        }
        idempotency::remember_done(tx, user, &request, now).await?;
    }
    Ok(AppendEvents::Appended {
        appended,
        last_seq,
        changed,
    })
}

/// Says why nothing was appended.
async fn refusal(
    tx: &mut Tx<'_>,
    user: UserId,
    id: &str,
    events: i64,
    expected: Option<i64>,
) -> Result<AppendEvents> {
    let last_seq: Option<i64> = on_tx!(tx, |db| sqlx::query_scalar(
        "SELECT last_seq FROM sessions WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL"
    )
    .bind(user)
    .bind(id)
    .fetch_optional(db)
    .await)?;
    Ok(match (last_seq, expected) {
        (None, _) => AppendEvents::Unknown,
        (Some(last_seq), Some(expected)) if expected != last_seq => {
            AppendEvents::Unexpected { last_seq }
        }
        (Some(last_seq), _) if last_seq + events > SESSION_EVENTS_MAX => AppendEvents::Full,
        (Some(_), _) => AppendEvents::NoRoom,
    })
}

fn event_bytes<'e>(events: impl Iterator<Item = &'e NewEvent>) -> i64 {
    let bytes = |event: &NewEvent| event.event.len() + event.large.as_ref().map_or(0, String::len);
    events.map(|event| bytes(event) as i64).sum()
}

/// What came of storing events.
pub(super) struct Stored<'e> {
    /// The number of the last event of the session.
    pub(super) last_seq: i64,
    /// The bytes of those that are new.
    pub(super) bytes: i64,
    /// Those that the session had already, by their ids.
    known: Vec<&'e NewEvent>,
}

impl<'e> Stored<'e> {
    /// These rows, behind the event numbered `before`.
    fn of(before: i64, rows: &[Row<'_>], known: Vec<&'e NewEvent>) -> Self {
        Self {
            last_seq: before + rows.len() as i64,
            bytes: event_bytes(rows.iter().map(|row| row.event)),
            known,
        }
    }
}

/// Stores events behind the one numbered `before`.
pub(super) async fn store<'e>(
    tx: &mut Tx<'_>,
    session: SessionKey,
    before: i64,
    begun: DateTime<Utc>,
    events: &'e [NewEvent],
) -> Result<Stored<'e>> {
    let mut at = begun;
    if events.first().is_some_and(|first| first.at.is_none())
        && let Some(last) = moment_of(tx, session, before).await?
    {
        at = last;
    }
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(events.len());
    for event in events {
        at = event.at.unwrap_or(at);
        let seq = before + 1 + rows.len() as i64;
        rows.push(Row { seq, at, event });
    }
    if insert(tx, session, &rows).await? == rows.len() as u64 {
        return Ok(Stored::of(before, &rows, Vec::new()));
    }
    // Some were there before, which leaves gaps: those that are new are numbered again.
    let stored: HashSet<String> = on_tx!(tx, |db| sqlx::query_scalar::<_, String>(
        "DELETE FROM session_events WHERE session_key = $1 AND seq > $2 RETURNING event_id"
    )
    .bind(session)
    .bind(before)
    .fetch_all(db)
    .await)?
    .into_iter()
    .collect();
    let known = events
        .iter()
        .filter(|event| !stored.contains(&event.id))
        .collect();
    let mut seen = HashSet::new();
    rows.retain(|row| {
        let id = row.event.id.as_str();
        stored.contains(id) && seen.insert(id)
    });
    for (seq, row) in (before + 1..).zip(&mut rows) {
        row.seq = seq;
    }
    insert(tx, session, &rows).await?;
    Ok(Stored::of(before, &rows, known))
}

/// Returns when the event with this number happened.
async fn moment_of(
    tx: &mut Tx<'_>,
    session: SessionKey,
    seq: i64,
) -> Result<Option<DateTime<Utc>>> {
    Ok(on_tx!(tx, |db| sqlx::query_scalar(
        "SELECT at FROM session_events WHERE session_key = $1 AND seq = $2"
    )
    .bind(session)
    .bind(seq)
    .fetch_optional(db)
    .await)?)
}

#[derive(Clone, Copy)]
struct Row<'e> {
    seq: i64,
    at: DateTime<Utc>,
    event: &'e NewEvent,
}

/// Inserts those whose ids are not there, and returns how many those are.
async fn insert(tx: &mut Tx<'_>, session: SessionKey, rows: &[Row<'_>]) -> Result<u64> {
    let mut inserted = 0;
    for rows in rows.chunks(ROWS) {
        // One at a time is what recorders send: that statement is worth being kept prepared.
        let often = rows.len() == 1;
        inserted += on_tx!(tx, |db| {
            statement(session, rows)
                .build()
                .persistent(often)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
    }
    Ok(inserted)
}

fn statement<'a, DB: Database>(session: SessionKey, rows: &'a [Row<'a>]) -> QueryBuilder<DB>
where
    SessionKey: Encode<'a, DB> + Type<DB>,
    i64: Encode<'a, DB> + Type<DB>,
    DateTime<Utc>: Encode<'a, DB> + Type<DB>,
    &'a str: Encode<'a, DB> + Type<DB>,
    Option<&'a str>: Encode<'a, DB> + Type<DB>,
{
    let mut query = QueryBuilder::new(
        "INSERT INTO session_events (session_key, seq, event_id, at, event, large) ",
    );
    query.push_values(rows, |mut row, stored| {
        row.push_bind(session)
            .push_bind(stored.seq)
            .push_bind(stored.event.id.as_str())
            .push_bind(stored.at)
            .push_bind(stored.event.event.as_str())
            .push_bind(stored.event.large.as_deref());
    });
    query.push(" ON CONFLICT (session_key, event_id) DO NOTHING");
    query
}

//! Beginning a session.

use chrono::{DateTime, Utc};
use commontrace_core::{SessionKey, UserId};
use futures_util::FutureExt;
use serde_json::Value;

use super::append::{self, NewEvent};
use super::blobs::{self, NewBlob};
use super::usage;
use crate::idempotency::{self, Earlier};
use crate::tx::{Tx, on_tx};
use crate::{Idempotency, Result, Store};

/// A session to store.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Identifies it in the store.
    pub key: SessionKey,
    /// Whose it is.
    pub user_id: UserId,
    /// Identifies it within the account.
    pub id: String,
    /// A hash of what it is created with.
    pub content_hash: Vec<u8>,
    /// Who debugged.
    pub developer_id: String,
    /// The bug that it is about.
    pub bug_id: Option<String>,
    /// The name of the repository.
    pub repo_name: String,
    /// The recording tool; `None` if a client posted it.
    pub format: Option<String>,
    /// When it began.
    pub start_time: DateTime<Utc>,
    /// The rest of what it says of itself, as JSON.
    pub header: String,
    /// Its first events.
    pub events: Vec<NewEvent>,
    /// Large texts that it needs.
    pub blobs: Vec<NewBlob>,
}

/// How creating a session went.
#[derive(Debug, Clone, PartialEq)]
pub enum CreateSession {
    /// It is stored.
    Created,
    /// The account has it, created with the same content.
    Same,
    /// The account has another one with this id.
    Taken,
    /// The account's sessions take up all the room that they may.
    NoRoom,
    /// The same request was carried out before; this was its answer.
    Replayed(Value),
    /// The key was used for another request.
    KeyReused,
}

impl From<Earlier> for CreateSession {
    fn from(earlier: Earlier) -> Self {
        match earlier {
            Earlier::Answered(answer) => Self::Replayed(answer),
            Earlier::Other => Self::KeyReused,
        }
    }
}

impl Store {
    /// Stores a new session with its first events; with `idempotency`, at most once per account and key.
    pub async fn create_session(
        &self,
        new: NewSession,
        idempotency: Option<Idempotency>,
        now: DateTime<Utc>,
    ) -> Result<CreateSession> {
        let most = self.session_bytes_max;
        self.write(move |tx| async move { create(tx, new, idempotency, most, now).await }.boxed())
            .await
    }
}

impl Store {
    /// Stores what a recording says of itself, in place of what an earlier reading of it said. Events are
    /// appended apart. False if the account has a session with this id that is of another origin.
    pub async fn import_session(&self, new: NewSession, now: DateTime<Utc>) -> Result<bool> {
        self.write(move |tx| {
            async move {
                if insert(tx, &new, now).await? {
                    usage::add(tx, new.user_id, header_bytes(&new)).await?;
                    return Ok(true);
                }
                Ok(on_tx!(tx, |db| sqlx::query(
                    "UPDATE sessions SET content_hash = $4, developer_id = $5, bug_id = $6, repo_name = $7,
                         start_time = $8, header = $9
                     WHERE user_id = $1 AND id = $2 AND format = $3 AND deleted_at IS NULL",
                )
                .bind(new.user_id)
                .bind(&new.id)
                .bind(&new.format)
                .bind(&new.content_hash)
                .bind(&new.developer_id)
                .bind(&new.bug_id)
                .bind(&new.repo_name)
                .bind(new.start_time)
                .bind(&new.header)
                .execute(db)
                .await
                .map(|done| done.rows_affected() > 0))?)
            }
            .boxed()
        })
        .await
    }
}

async fn create(
    tx: &mut Tx<'_>,
    new: NewSession,
    idempotency: Option<Idempotency>,
    most: Option<i64>,
    now: DateTime<Utc>,
) -> Result<CreateSession> {
    if let Some(request) = &idempotency
        && let Some(earlier) = idempotency::recall(tx, new.user_id, request).await?
    {
        return Ok(earlier.into());
    }
    let has_room = usage::has_room(tx, new.user_id, most).await?;
    if !has_room || !insert(tx, &new, now).await? {
        let known: Option<Vec<u8>> = on_tx!(tx, |db| sqlx::query_scalar(
            "SELECT content_hash FROM sessions
             WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL"
        )
        .bind(new.user_id)
        .bind(&new.id)
        .fetch_optional(db)
        .await)?;
        return Ok(match known {
            Some(hash) if hash == new.content_hash => CreateSession::Same,
            None if !has_room => CreateSession::NoRoom,
            _ => CreateSession::Taken,
        });
    }
    if let Some(request) = &idempotency {
        // Now, so that of two at once the later one has done nothing yet when it is undone.
        idempotency::remember_done(tx, new.user_id, request, now).await?;
    }
    let blobs = blobs::put(tx, new.key, &new.blobs, now).await?;
    let stored = append::store(tx, new.key, 0, new.start_time, &new.events).await?;
    let bytes = blobs + stored.bytes;
    on_tx!(tx, |db| sqlx::query(
        "UPDATE sessions SET last_seq = $2, stored_bytes = stored_bytes + $3 WHERE key = $1"
    )
    .bind(new.key)
    .bind(stored.last_seq)
    .bind(bytes)
    .execute(db)
    .await
    .map(drop))?;
    usage::add(tx, new.user_id, header_bytes(&new) + bytes).await?;
    Ok(CreateSession::Created)
}

/// Bytes of what a session says of itself.
fn header_bytes(new: &NewSession) -> i64 {
    new.header.len() as i64
}

/// Stores the session's row, unless the account has one with its id.
async fn insert(tx: &mut Tx<'_>, new: &NewSession, now: DateTime<Utc>) -> Result<bool> {
    Ok(on_tx!(tx, |db| {
        sqlx::query(
        "INSERT INTO sessions (key, user_id, id, content_hash, developer_id, bug_id, repo_name, format,
                               start_time, header, last_seq, created_at, updated_at, stored_bytes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $11, $12)
         ON CONFLICT (user_id, id) WHERE deleted_at IS NULL DO NOTHING",
    )
    .bind(new.key)
    .bind(new.user_id)
    .bind(&new.id)
    .bind(&new.content_hash)
    .bind(&new.developer_id)
    .bind(&new.bug_id)
    .bind(&new.repo_name)
    .bind(&new.format)
    .bind(new.start_time)
    .bind(&new.header)
    .bind(now)
    .bind(header_bytes(new))
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0)
    })?)
}

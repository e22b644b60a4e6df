//! Large texts, each stored once, named by the SHA-256 of what it says.

use chrono::{DateTime, Utc};
use commontrace_core::{SessionKey, UserId};
use futures_util::FutureExt;
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::usage;
use crate::pool::on_pool;
use crate::tx::{Tx, on_tx};
use crate::{Result, Store};

/// A large text to keep.
#[derive(Debug, Clone)]
pub struct NewBlob {
    /// SHA-256 of the text.
    pub hash: Vec<u8>,
    /// Length of the text in bytes.
    pub size: i64,
    /// The text, compressed by zlib.
    pub content: Vec<u8>,
}

/// Keeps blobs and notes that a session needs them. Returns how many bytes those have that it did not need
/// before.
pub(super) async fn put(
    tx: &mut Tx<'_>,
    session: SessionKey,
    blobs: &[NewBlob],
    now: DateTime<Utc>,
) -> Result<i64> {
    let mut added = 0;
    for blob in blobs {
        // The update does nothing but hold the row, so that it is not removed before it is needed.
        on_tx!(tx, |db| sqlx::query(
            "INSERT INTO blobs (hash, size, content, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (hash) DO UPDATE SET size = excluded.size",
        )
        .bind(&blob.hash)
        .bind(blob.size)
        .bind(&blob.content)
        .bind(now)
        .execute(db)
        .await
        .map(drop))?;
        if link(tx, session, &blob.hash).await? {
            added += blob.content.len() as i64;
        }
    }
    Ok(added)
}

/// Notes that a session needs a blob, which is held. Returns whether it did not before.
async fn link(tx: &mut Tx<'_>, session: SessionKey, hash: &[u8]) -> Result<bool> {
    Ok(on_tx!(tx, |db| sqlx::query(
        "INSERT INTO session_blobs (session_key, hash) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(session)
    .bind(hash)
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0))?)
}

/// Holds a session's row to the end of the transaction and returns whose it is, unless it is gone or its
/// account has no room left.
async fn hold(tx: &mut Tx<'_>, session: SessionKey, most: Option<i64>) -> Result<Option<UserId>> {
    let owner: Option<UserId> = on_tx!(tx, |db| sqlx::query_scalar(
        "UPDATE sessions SET last_seq = last_seq WHERE key = $1 AND deleted_at IS NULL
         RETURNING user_id"
    )
    .bind(session)
    .fetch_optional(db)
    .await)?;
    Ok(match owner {
        Some(owner) if usage::has_room(tx, owner, most).await? => Some(owner),
        _ => None,
    })
}

impl Store {
    /// Keeps a text for a session, unless that is gone or there is no room; returns whether it is kept.
    pub async fn keep_blob(
        &self,
        session: SessionKey,
        blob: NewBlob,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let most = self.session_bytes_max;
        self.write(move |tx| {
            async move {
                let Some(owner) = hold(tx, session, most).await? else {
                    return Ok(false);
                };
                let added = put(tx, session, &[blob], now).await?;
                usage::add_to_session(tx, owner, session, added).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }

    /// Keeps a text for a session that is kept for another one; returns whether there is one with this hash.
    pub async fn share_blob(&self, session: SessionKey, hash: Vec<u8>) -> Result<bool> {
        let most = self.session_bytes_max;
        self.write(move |tx| {
            async move {
                // As everywhere, the session's row is held before a blob's.
                let Some(owner) = hold(tx, session, most).await? else {
                    return Ok(false);
                };
                // The update does nothing but hold the row, as in `put`.
                let bytes: Option<i64> = on_tx!(tx, |db| sqlx::query_scalar(
                    "UPDATE blobs SET size = size WHERE hash = $1
                     RETURNING CAST(octet_length(content) AS BIGINT)"
                )
                .bind(&hash)
                .fetch_optional(db)
                .await)?;
                let Some(bytes) = bytes else {
                    return Ok(false);
                };
                if link(tx, session, &hash).await? {
                    usage::add_to_session(tx, owner, session, bytes).await?;
                }
                Ok(true)
            }
            .boxed()
        })
        .await
    }

    /// Reads those of `hashes` that the session needs, compressed as they are kept.
    pub async fn session_blobs(
        &self,
        session: SessionKey,
        hashes: &[Vec<u8>],
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        Ok(on_pool!(self, |db| {
            wanted(session, hashes)
                .build_query_as()
                .persistent(false)
                .fetch_all(db)
                .await
        })?)
    }

    /// Removes up to `limit` blobs that no session needs, and returns how many there were.
    pub(super) async fn remove_unneeded_blobs(&self, limit: i64) -> Result<u64> {
        self.write(move |tx| {
            async move {
                Ok(on_tx!(tx, |db| sqlx::query(
                    "DELETE FROM blobs WHERE hash IN (
                         SELECT b.hash FROM blobs b
                         WHERE NOT EXISTS (SELECT 1 FROM session_blobs s WHERE s.hash = b.hash)
                         LIMIT $1)",
                )
                .bind(limit)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?)
            }
            .boxed()
        })
        .await
    }
}

fn wanted<'a, DB: Database>(session: SessionKey, hashes: &'a [Vec<u8>]) -> QueryBuilder<DB>
where
    SessionKey: Encode<'a, DB> + Type<DB>,
    &'a [u8]: Encode<'a, DB> + Type<DB>,
{
    let mut query = QueryBuilder::new(
        "SELECT b.hash, b.content FROM session_blobs s JOIN blobs b ON b.hash = s.hash
         WHERE s.session_key = ",
    );
    query.push_bind(session);
    query.push(" AND s.hash IN (");
    let mut list = query.separated(", ");
    for hash in hashes {
        list.push_bind(hash.as_slice());
    }
    query.push(")");
    query
}

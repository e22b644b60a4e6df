//! Large texts, each stored once, named by the SHA-256 of what it says.

use chrono::{DateTime, Utc};
use commontrace_core::SessionKey;
use futures_util::FutureExt;
use sqlx::{Database, Encode, QueryBuilder, Type};

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

/// Keeps blobs and notes that a session needs them.
pub(super) async fn put(
    tx: &mut Tx<'_>,
    session: SessionKey,
    blobs: &[NewBlob],
    now: DateTime<Utc>,
) -> Result<()> {
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
        link(tx, session, &blob.hash).await?;
    }
    Ok(())
}

/// Notes that a session needs a blob, which is held.
async fn link(tx: &mut Tx<'_>, session: SessionKey, hash: &[u8]) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO session_blobs (session_key, hash) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(session)
    .bind(hash)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

/// Holds a session's row to the end of the transaction, unless the session is gone.
async fn hold(tx: &mut Tx<'_>, session: SessionKey) -> Result<bool> {
    let held = on_tx!(tx, |db| sqlx::query(
        "UPDATE sessions SET last_seq = last_seq WHERE key = $1 AND deleted_at IS NULL"
    )
    .bind(session)
    .execute(db)
    .await
    .map(|done| done.rows_affected()))?;
    Ok(held > 0)
}

impl Store {
    /// Keeps a text for a session, unless that is gone; returns whether it is kept.
    pub async fn keep_blob(
        &self,
        session: SessionKey,
        blob: NewBlob,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        self.write(move |tx| {
            async move {
                if !hold(tx, session).await? {
                    return Ok(false);
                }
                put(tx, session, &[blob], now).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }

    /// Keeps a text for a session that is kept for another one; returns whether there is one with this hash.
    pub async fn share_blob(&self, session: SessionKey, hash: Vec<u8>) -> Result<bool> {
        self.write(move |tx| {
            async move {
                // The update does nothing but hold the row, as in `put`.
                let size: Option<i64> = on_tx!(tx, |db| sqlx::query_scalar(
                    "UPDATE blobs SET size = size WHERE hash = $1 RETURNING size"
                )
                .bind(&hash)
                .fetch_optional(db)
                .await)?;
                if size.is_none() || !hold(tx, session).await? {
                    return Ok(false);
                }
                link(tx, session, &hash).await?;
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

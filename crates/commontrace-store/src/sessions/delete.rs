//! Deleting sessions, and removing what they leave in small steps.

use chrono::{DateTime, Utc};
use commontrace_core::{SessionKey, UserId};
use futures_util::FutureExt;

use super::usage;
use crate::pool::on_pool;
use crate::tx::{Tx, on_tx};
use crate::{Result, Store};

/// Rows removed in one transaction.
const STEP: i64 = 1000;

impl Store {
    /// Deletes the account's session with this id: it is gone at once. Returns whether it was there.
    /// What it leaves is removed by [`Store::remove_deleted_sessions`].
    pub async fn delete_session(
        &self,
        user: UserId,
        id: String,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        self.write(move |tx| {
            async move {
                let deleted: Vec<(UserId, i64)> = on_tx!(tx, |db| sqlx::query_as(
                    "UPDATE sessions SET deleted_at = $3
                     WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL
                     RETURNING user_id, stored_bytes"
                )
                .bind(user)
                .bind(&id)
                .bind(now)
                .fetch_all(db)
                .await)?;
                Ok(usage::give_back(tx, deleted).await? > 0)
            }
            .boxed()
        })
        .await
    }

    /// Deletes all sessions to which nothing was appended since `before`, and returns how many.
    pub async fn delete_idle_sessions(
        &self,
        before: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let step = self
                .write(move |tx| delete_step(tx, before, now).boxed())
                .await?;
            if step == 0 {
                return Ok(deleted);
            }
            deleted += step;
        }
    }

    /// Counts the sessions that [`Store::delete_idle_sessions`] would delete.
    pub async fn idle_sessions(&self, before: DateTime<Utc>) -> Result<i64> {
        Ok(on_pool!(self, |db| sqlx::query_scalar(
            "SELECT COUNT(*) FROM sessions WHERE updated_at < $1 AND deleted_at IS NULL"
        )
        .bind(before)
        .fetch_one(db)
        .await)?)
    }

    /// Removes the events of deleted sessions, the sessions, and the blobs that no other session needs.
    pub async fn remove_deleted_sessions(&self) -> Result<()> {
        while let Some(session) = self.deleted_session().await? {
            while self
                .write(move |tx| remove_step(tx, session).boxed())
                .await?
            {}
        }
        while self.remove_unneeded_blobs(STEP).await? == STEP as u64 {}
        Ok(())
    }

    async fn deleted_session(&self) -> Result<Option<SessionKey>> {
        Ok(on_pool!(self, |db| sqlx::query_scalar(
            "SELECT key FROM sessions WHERE deleted_at IS NOT NULL LIMIT 1"
        )
        .fetch_optional(db)
        .await)?)
    }
}

async fn delete_step(tx: &mut Tx<'_>, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64> {
    let deleted: Vec<(UserId, i64)> = on_tx!(tx, |db| sqlx::query_as(
        "UPDATE sessions SET deleted_at = $2
         WHERE key IN (SELECT key FROM sessions
                       WHERE updated_at < $1 AND deleted_at IS NULL LIMIT $3)
         RETURNING user_id, stored_bytes"
    )
    .bind(before)
    .bind(now)
    .bind(STEP)
    .fetch_all(db)
    .await)?;
    usage::give_back(tx, deleted).await
}

/// Removes some of what a deleted session left; false when that was all.
async fn remove_step(tx: &mut Tx<'_>, session: SessionKey) -> Result<bool> {
    for (of, column) in [("session_events", "seq"), ("session_blobs", "hash")] {
        // Both tables' names are written above.
        let sql = sqlx::AssertSqlSafe(format!(
            "DELETE FROM {of} WHERE session_key = $1 AND {column} IN (
                 SELECT {column} FROM {of} WHERE session_key = $1 LIMIT $2)"
        ));
        let removed = on_tx!(tx, |db| sqlx::query(sql)
            .bind(session)
            .bind(STEP)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        if removed > 0 {
            return Ok(true);
        }
    }
    on_tx!(tx, |db| sqlx::query("DELETE FROM sessions WHERE key = $1")
        .bind(session)
        .execute(db)
        .await
        .map(drop))?;
    Ok(false)
}

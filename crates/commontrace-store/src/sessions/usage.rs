//! What an account's sessions take up, and how much that may be. The sum is kept as it changes, at the end of
//! each write, so that nobody counts and nobody waits for long.

use commontrace_core::{SessionKey, UserId};

use crate::pool::on_pool;
use crate::tx::{Tx, on_tx};
use crate::{Result, Store};

impl Store {
    /// Lets each account's sessions take up so many bytes; as many as they like with nothing. A write that
    /// begins below the limit is carried out whole.
    #[must_use]
    pub fn limiting_sessions(mut self, bytes: Option<i64>) -> Self {
        self.session_bytes_max = bytes;
        self
    }

    /// Returns how many bytes an account's sessions take up.
    pub async fn session_usage(&self, user: UserId) -> Result<i64> {
        let stored: Option<i64> = on_pool!(self, |db| sqlx::query_scalar(
            "SELECT stored_bytes FROM session_usage WHERE user_id = $1"
        )
        .bind(user)
        .fetch_optional(db)
        .await)?;
        Ok(stored.unwrap_or(0))
    }
}

/// Returns whether an account may store more.
pub(super) async fn has_room(tx: &mut Tx<'_>, user: UserId, most: Option<i64>) -> Result<bool> {
    let Some(most) = most else {
        return Ok(true);
    };
    let stored: Option<i64> = on_tx!(tx, |db| sqlx::query_scalar(
        "SELECT stored_bytes FROM session_usage WHERE user_id = $1"
    )
    .bind(user)
    .fetch_optional(db)
    .await)?;
    Ok(stored.unwrap_or(0) < most)
}

/// Adds to what an account's sessions take up.
pub(super) async fn add(tx: &mut Tx<'_>, user: UserId, bytes: i64) -> Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO session_usage (user_id, stored_bytes) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE
         SET stored_bytes = session_usage.stored_bytes + excluded.stored_bytes"
    )
    .bind(user)
    .bind(bytes)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

/// Adds to what a session takes up, whose row is held, and with it to its account's sum.
pub(super) async fn add_to_session(
    tx: &mut Tx<'_>,
    user: UserId,
    session: SessionKey,
    bytes: i64,
) -> Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    on_tx!(tx, |db| sqlx::query(
        "UPDATE sessions SET stored_bytes = stored_bytes + $2 WHERE key = $1"
    )
    .bind(session)
    .bind(bytes)
    .execute(db)
    .await
    .map(drop))?;
    add(tx, user, bytes).await
}

/// Gives accounts the room of deleted sessions again. In the order of the accounts, so that two who delete do
/// not wait for each other crosswise.
pub(super) async fn give_back(tx: &mut Tx<'_>, mut deleted: Vec<(UserId, i64)>) -> Result<u64> {
    deleted.sort_unstable_by_key(|(user, _)| user.0);
    let count = deleted.len() as u64;
    for of_one in deleted.chunk_by(|(a, _), (b, _)| a == b) {
        let bytes: i64 = of_one.iter().map(|(_, bytes)| bytes).sum();
        add(tx, of_one[0].0, -bytes).await?;
    }
    Ok(count)
}

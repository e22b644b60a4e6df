//! Forgetting what was only kept for a while.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;

use crate::tx::on_tx;
use crate::{Result, Store};

/// How long a repeated request is recognised.
const IDEMPOTENCY: TimeDelta = TimeDelta::hours(48);

impl Store {
    /// Removes idempotency keys older than 48 hours.
    pub async fn tidy(&self, now: DateTime<Utc>) -> Result<()> {
        self.write(move |tx| {
            async move {
                on_tx!(tx, |db| sqlx::query(
                    "DELETE FROM idempotency_keys WHERE created_at < $1"
                )
                .bind(now - IDEMPOTENCY)
                .execute(db)
                .await
                .map(drop))?;
                Ok(())
            }
            .boxed()
        })
        .await
    }
}

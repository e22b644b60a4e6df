//! Forgetting what was only kept for a while.

use chrono::{DateTime, TimeDelta, Utc};

use crate::write::execute;
use crate::{Result, Store};

/// How long a repeated request is recognised.
const IDEMPOTENCY: TimeDelta = TimeDelta::hours(48);

impl Store {
    /// Removes idempotency keys older than 48 hours, and what is known of who opened which trace after 30 days.
    pub async fn tidy(&self, now: DateTime<Utc>) -> Result<()> {
        execute!(
            self,
            sqlx::query("DELETE FROM idempotency_keys WHERE created_at < $1")
                .bind(now - IDEMPOTENCY)
        )?;
        self.forget_reads(now).await
    }
}

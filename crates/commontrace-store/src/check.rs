//! Whether the store can be read and written at this moment, found out by doing both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::pool::on_pool;
use crate::write::execute;
use crate::{Error, Result, Store};

/// What writes have met since the last check went well; shared by all copies of a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<&'static str>>>);

impl Trouble {
    /// Keeps in mind why a write failed, if the next one will fail for the same reason.
    pub(crate) fn note(&self, err: &Error) {
        if matches!(err, Error::Full(_) | Error::ReadOnly(_)) {
            self.set(Some(err.summary()));
        }
    }

    fn set(&self, trouble: Option<&'static str>) {
        *self.lock() = trouble;
    }

    fn lock(&self) -> MutexGuard<'_, Option<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Reads, and writes `now` the way every write is written: committed before this returns.
    ///
    /// A database that is full or read-only answers every question and keeps nothing, so only a
    /// write tells. `now` must differ from the last check's, because an engine may skip writing
    /// what is there already.
    pub async fn check(&self, now: DateTime<Utc>) -> Result<()> {
        on_pool!(self, |db| sqlx::query("SELECT 1")
            .execute(db)
            .await
            .map(drop))?;
        execute!(
            self,
            sqlx::query(
                "INSERT INTO meta (name, value) VALUES ('last_check', $1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value"
            )
            .bind(now.to_rfc3339_opts(SecondsFormat::Micros, true))
        )?;
        self.trouble.set(None);
        Ok(())
    }

    /// Returns in a few words why a write failed for want of room or of permission, until a
    /// [`Store::check`] goes well.
    pub fn trouble(&self) -> Option<&'static str> {
        *self.trouble.lock()
    }
}

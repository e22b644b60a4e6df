//! Which accounts have opened which traces lately.
//!
//! Nothing that ranks reads this: it only decides who may report what came of a trace.

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::{TraceId, UserId};
use futures_util::FutureExt;
use sqlx::QueryBuilder;

use crate::tx::{Tx, on_tx};
use crate::write::execute;
use crate::{Result, Store};

/// How long it is known that an account has opened a trace.
const KEPT: TimeDelta = TimeDelta::days(30);
/// Rows written by one statement.
const BATCH: usize = 500;
/// Rows removed by one statement, because nothing else is written meanwhile.
const REMOVED: i64 = 10_000;

/// An account that has opened a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Who.
    pub user: UserId,
    /// The trace.
    pub trace: TraceId,
    /// The revision that was read.
    pub revision: i64,
    /// When.
    pub at: DateTime<Utc>,
}

impl Store {
    /// Notes who has opened what, at most once per account and trace in one call.
    pub async fn add_reads(&self, mut reads: Vec<Read>) -> Result<()> {
        // In one order, so that two nodes never wait for each other's rows crosswise.
        reads.sort_by_key(|read| (read.user, read.trace));
        for batch in reads.chunks(BATCH) {
            let batch = batch.to_vec();
            self.write(move |tx| async move { add(tx, &batch).await }.boxed())
                .await?;
        }
        Ok(())
    }

    /// Forgets what was opened more than 30 days ago.
    pub(crate) async fn forget_reads(&self, now: DateTime<Utc>) -> Result<()> {
        loop {
            let removed = execute!(
                self,
                sqlx::query(
                    "DELETE FROM trace_reads WHERE (user_id, trace_id) IN (
                         SELECT user_id, trace_id FROM trace_reads WHERE read_at < $1 LIMIT $2)"
                )
                .bind(now - KEPT)
                .bind(REMOVED)
            )?;
            if removed < REMOVED.unsigned_abs() {
                return Ok(());
            }
        }
    }
}

async fn add(tx: &mut Tx<'_>, reads: &[Read]) -> Result<()> {
    on_tx!(tx, |db| {
        let mut query =
            QueryBuilder::new("INSERT INTO trace_reads (user_id, trace_id, revision, read_at) ");
        query.push_values(reads, |mut row, read| {
            row.push_bind(read.user)
                .push_bind(read.trace)
                .push_bind(read.revision)
                .push_bind(read.at);
        });
        query.push(
            " ON CONFLICT (user_id, trace_id) DO UPDATE SET
                 revision = CASE WHEN excluded.revision > trace_reads.revision
                                 THEN excluded.revision ELSE trace_reads.revision END,
                 read_at = excluded.read_at",
        );
        query.build().execute(db).await.map(drop)
    })?;
    Ok(())
}

/// Returns the newest revision of a trace that an account has opened.
pub(crate) async fn revision(tx: &mut Tx<'_>, user: UserId, trace: TraceId) -> Result<Option<i64>> {
    Ok(on_tx!(tx, |db| sqlx::query_scalar(
        "SELECT revision FROM trace_reads WHERE user_id = $1 AND trace_id = $2"
    )
    .bind(user)
    .bind(trace)
    .fetch_optional(db)
    .await)?)
}

//! The queue of work to do later.
//!
//! A worker leases a job for a while; one that dies lets the lease run out and another takes over.
//! Claiming counts as an attempt, so that a job which kills its worker ends as a dead letter too.

use std::time::Duration;

use chrono::{DateTime, Utc};
use commontrace_core::backoff::MAX_ATTEMPTS;
use commontrace_core::{JobId, TraceContext, TraceId};
use futures_util::FutureExt;
use uuid::Uuid;

use crate::pool::on_pool;
use crate::tx::{Tx, on_tx};
use crate::write::execute;
use crate::{Result, Store};

/// Both engines evaluate the list of due jobs once, before anything is updated.
macro_rules! claim_sql {
    ($lock:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (
                 SELECT id FROM jobs
                 WHERE kind = $3 AND queue = $4 AND state = 'queued' AND run_at <= $5
                   AND (leased_until IS NULL OR leased_until <= $5)
                 ORDER BY run_at LIMIT $6",
            $lock,
            ")
             UPDATE jobs SET
                 state = CASE WHEN attempts < $7 THEN 'queued' ELSE 'dead' END,
                 attempts = CASE WHEN attempts < $7 THEN attempts + 1 ELSE attempts END,
                 lease = CASE WHEN attempts < $7 THEN $1 END,
                 leased_until = CASE WHEN attempts < $7 THEN $2 END,
                 last_error = CASE WHEN attempts < $7 THEN last_error
                              ELSE COALESCE(last_error, 'no attempt came to an end') END
             WHERE id IN (SELECT id FROM due)
             RETURNING id, subject_id, attempts, run_at, state, traceparent"
        )
    };
}

/// The kind of job that embeds a trace.
pub(crate) const EMBED: &str = "embed";

const SQLITE: &str = claim_sql!("");
/// Two PostgreSQL workers that ask at once must not wait for the same rows.
const POSTGRES: &str = claim_sql!(" FOR UPDATE SKIP LOCKED");

/// A job to be done by whoever takes it from its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Which workers may take it; for embeddings, the model.
    pub queue: String,
    /// The trace that whoever asks for it is part of.
    pub trace_context: Option<TraceContext>,
}

/// A job under lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// The job's id.
    pub id: JobId,
    /// What it is about.
    pub subject_id: TraceId,
    /// How often it was tried, this time included.
    pub attempts: i64,
    /// The trace that whoever asked for it last is part of.
    pub trace_context: Option<TraceContext>,
}

/// How a leased job failed.
#[derive(Debug, Clone)]
pub struct FailedJob {
    /// The job.
    pub id: JobId,
    /// Why it failed.
    pub error: String,
    /// When to try again; `None` gives it up.
    pub retry_after: Option<Duration>,
}

/// How many jobs are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobOutcome {
    /// Jobs that wait or are under lease.
    pub queued: i64,
    /// Jobs that were given up.
    pub dead: i64,
}

impl Store {
    /// Leases up to `limit` due embedding jobs of `queue` until `now + lease_for`, oldest first.
    pub async fn claim_embeddings(
        &self,
        queue: String,
        lease: Uuid,
        lease_for: Duration,
        limit: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<Job>> {
        self.write(move |tx| {
            async move {
                let until = now + lease_for;
                loop {
                    let claimed = claim(tx, &queue, lease, until, limit, now).await?;
                    let any = !claimed.is_empty();
                    let jobs: Vec<Job> = claimed
                        .into_iter()
                        .filter(|(_, leased)| *leased)
                        .map(|(job, _)| job)
                        .collect();
                    // When all that was due had been tried too often, there may be more behind it.
                    if !any || !jobs.is_empty() {
                        return Ok(jobs);
                    }
                }
            }
            .boxed()
        })
        .await
    }

    /// Puts failed jobs back in the queue, or aside as dead letters.
    pub async fn fail_jobs(
        &self,
        lease: Uuid,
        failed: Vec<FailedJob>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.write(move |tx| {
            async move {
                for job in &failed {
                    fail(tx, lease, job, now).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Lets the lease of these jobs last until `now + lease_for`; returns how many are still held.
    pub async fn renew_leases(
        &self,
        lease: Uuid,
        jobs: Vec<JobId>,
        lease_for: Duration,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        self.write(move |tx| {
            async move {
                let mut held = 0;
                for job in &jobs {
                    held += on_tx!(tx, |db| sqlx::query(
                        "UPDATE jobs SET leased_until = $3 WHERE id = $1 AND lease = $2"
                    )
                    .bind(job)
                    .bind(lease)
                    .bind(now + lease_for)
                    .execute(db)
                    .await
                    .map(|done| done.rows_affected()))?;
                }
                Ok(held)
            }
            .boxed()
        })
        .await
    }

    /// Gives leased jobs back untried, as a worker does that stops: others may take them at once,
    /// and the attempt does not count.
    pub async fn return_jobs(&self, lease: Uuid, jobs: Vec<JobId>) -> Result<()> {
        self.write(move |tx| {
            async move {
                for job in &jobs {
                    on_tx!(tx, |db| sqlx::query(
                        "UPDATE jobs SET lease = NULL, leased_until = NULL, attempts = attempts - 1
                         WHERE id = $1 AND lease = $2",
                    )
                    .bind(job)
                    .bind(lease)
                    .execute(db)
                    .await
                    .map(drop))?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Queues the embedding jobs of `queue` that were given up anew, and returns how many.
    pub async fn revive_embeddings(&self, queue: String, now: DateTime<Utc>) -> Result<u64> {
        execute!(
            self,
            sqlx::query(
                "UPDATE jobs SET state = 'queued', attempts = 0, run_at = $3
                 WHERE kind = $1 AND queue = $2 AND state = 'dead'",
            )
            .bind(EMBED)
            .bind(&queue)
            .bind(now)
        )
    }

    /// Returns whether no embedding job of `queue` could be claimed right now.
    pub async fn nothing_due(&self, queue: &str, now: DateTime<Utc>) -> Result<bool> {
        let due: Option<(JobId,)> = on_pool!(self, |db| sqlx::query_as(
            "SELECT id FROM jobs WHERE kind = $1 AND queue = $2 AND state = 'queued'
               AND run_at <= $3 AND (leased_until IS NULL OR leased_until <= $3) LIMIT 1",
        )
        .bind(EMBED)
        .bind(queue)
        .bind(now)
        .fetch_optional(db)
        .await)?;
        Ok(due.is_none())
    }

    /// Counts the embedding jobs of `queue` by state.
    pub async fn embedding_jobs(&self, queue: &str) -> Result<JobOutcome> {
        let rows: Vec<(String, i64)> = on_pool!(self, |db| sqlx::query_as(
            "SELECT state, COUNT(*) FROM jobs WHERE kind = $1 AND queue = $2 GROUP BY state"
        )
        .bind(EMBED)
        .bind(queue)
        .fetch_all(db)
        .await)?;
        let of = |name: &str| {
            rows.iter()
                .find(|(state, _)| state == name)
                .map_or(0, |row| row.1)
        };
        Ok(JobOutcome {
            queued: of("queued"),
            dead: of("dead"),
        })
    }
}

/// What claiming returns of each job: id, subject, attempts, when it was due, state, trace context.
type Claimed = (JobId, TraceId, i64, DateTime<Utc>, String, Option<String>);

/// Leases due jobs, or buries those whose attempts are used up. Returns each with whether it was
/// leased, the longest due first.
async fn claim(
    tx: &mut Tx<'_>,
    queue: &str,
    lease: Uuid,
    until: DateTime<Utc>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<(Job, bool)>> {
    macro_rules! rows {
        ($sql:expr, $db:expr) => {
            sqlx::query_as($sql)
                .bind(lease)
                .bind(until)
                .bind(EMBED)
                .bind(queue)
                .bind(now)
                .bind(limit)
                .bind(i64::from(MAX_ATTEMPTS))
                .fetch_all(&mut **$db)
                .await
        };
    }
    let mut rows: Vec<Claimed> = match tx {
        Tx::Sqlite(db, _) => rows!(SQLITE, db),
        Tx::Postgres(db, _) => rows!(POSTGRES, db),
    }?;
    rows.sort_by_key(|&(id, _, _, run_at, ..)| (run_at, id));
    Ok(rows
        .into_iter()
        .map(|(id, subject_id, attempts, _, state, traceparent)| {
            (
                Job {
                    id,
                    subject_id,
                    attempts,
                    trace_context: traceparent.and_then(|text| TraceContext::parse(&text)),
                },
                state == "queued",
            )
        })
        .collect())
}

async fn fail(tx: &mut Tx<'_>, lease: Uuid, job: &FailedJob, now: DateTime<Utc>) -> Result<()> {
    // Whoever asks for another attempt gets it, however many there were.
    let (state, run_at, attempts) = match job.retry_after {
        Some(wait) => ("queued", now + wait, i64::from(MAX_ATTEMPTS) - 1),
        None => ("dead", now, i64::MAX),
    };
    on_tx!(tx, |db| sqlx::query(
        "UPDATE jobs SET state = $3, run_at = $4, last_error = $5,
             attempts = CASE WHEN attempts > $6 THEN $6 ELSE attempts END,
             lease = NULL, leased_until = NULL
         WHERE id = $1 AND lease = $2",
    )
    .bind(job.id)
    .bind(lease)
    .bind(state)
    .bind(run_at)
    .bind(&job.error)
    .bind(attempts)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::assert_indexed;

    #[tokio::test]
    async fn jobs_are_claimed_from_an_index() {
        assert_indexed(SQLITE).await;
    }
}

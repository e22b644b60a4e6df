//! The queue as its operator sees it: what waits, what failed and why, and another try for what was
//! given up.

use std::fmt;

use chrono::{DateTime, Utc};
use commontrace_core::{JobId, TraceId};
use futures_util::FutureExt;

use crate::pool::on_pool;
use crate::tx::on_tx;
use crate::{Result, Store};

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum JobState {
    /// A worker, or the time at which it is to be tried again.
    Waiting,
    /// The worker that has it.
    Leased,
    /// Somebody who finds out why it was given up: a dead letter.
    Dead,
}

impl JobState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Leased, Self::Dead];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Leased => "leased",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A job in the queue.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct QueuedJob {
    /// The job's id.
    pub id: JobId,
    /// Which workers may take it.
    pub queue: String,
    /// The trace it is about.
    pub subject_id: TraceId,
    /// What it waits for.
    pub state: JobState,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was or is due; of a dead letter, when it was given up.
    pub run_at: DateTime<Utc>,
    /// When whoever has it loses it, unless he asks for longer.
    pub leased_until: Option<DateTime<Utc>>,
    /// Why it failed last.
    pub last_error: Option<String>,
}

/// How many jobs of a queue are in a state.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct JobCount {
    /// Which workers may take them.
    pub queue: String,
    /// What they wait for.
    pub state: JobState,
    /// How many.
    pub jobs: i64,
    /// When the longest due was due.
    pub oldest: DateTime<Utc>,
}

/// A job's state at the moment `$1`.
macro_rules! state {
    () => {
        "CASE WHEN state = 'dead' THEN 'dead' WHEN leased_until > $1 THEN 'leased' ELSE 'waiting' END"
    };
}

impl Store {
    /// Lists jobs, those of one state or all, the longest due first, at most `limit`.
    pub async fn jobs(
        &self,
        state: Option<JobState>,
        limit: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<QueuedJob>> {
        const SQL: &str = concat!(
            "SELECT id, queue, subject_id, ",
            state!(),
            " AS state, attempts, run_at,
                CASE WHEN leased_until > $1 THEN leased_until END AS leased_until, last_error
             FROM jobs WHERE $2 IN ('', ",
            state!(),
            ") ORDER BY run_at, id LIMIT $3"
        );
        Ok(on_pool!(self, |db| sqlx::query_as(SQL)
            .bind(now)
            .bind(state.map_or("", JobState::as_str))
            .bind(limit)
            .fetch_all(db)
            .await)?)
    }

    /// Counts jobs by queue and state. Reads the whole queue, so no request asks for it.
    pub async fn job_counts(&self, now: DateTime<Utc>) -> Result<Vec<JobCount>> {
        const SQL: &str = concat!(
            "SELECT queue, ",
            state!(),
            " AS state, COUNT(*) AS jobs, MIN(run_at) AS oldest FROM jobs
             GROUP BY queue, 2 ORDER BY queue, 2"
        );
        Ok(on_pool!(self, |db| sqlx::query_as(SQL)
            .bind(now)
            .fetch_all(db)
            .await)?)
    }

    /// Queues a dead letter anew, or all of them, and returns how many there were.
    pub async fn retry_dead_jobs(&self, job: Option<JobId>, now: DateTime<Utc>) -> Result<u64> {
        const ALL: &str = "UPDATE jobs SET state = 'queued', attempts = 0, run_at = $1
                           WHERE state = 'dead'";
        const ONE: &str = "UPDATE jobs SET state = 'queued', attempts = 0, run_at = $1
                           WHERE state = 'dead' AND id = $2";
        self.write(move |tx| {
            async move {
                Ok(on_tx!(tx, |db| {
                    let update = match job {
                        Some(job) => sqlx::query(ONE).bind(now).bind(job),
                        None => sqlx::query(ALL).bind(now),
                    };
                    update.execute(db).await.map(|done| done.rows_affected())
                })?)
            }
            .boxed()
        })
        .await
    }
}

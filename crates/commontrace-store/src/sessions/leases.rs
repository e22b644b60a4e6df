//! The workers' side of runs: leasing one, keeping it, moving it on and ending it.
//!
//! A worker leases a run for a while and says again and again that it is still there; one that dies lets
//! the lease run out, and another goes on from what was kept. Only who holds the lease can write, so a run
//! ends once, with one verdict.

use std::time::Duration;

use chrono::{DateTime, Utc};
use commontrace_core::{RunId, SessionKey, TraceId};
use futures_util::FutureExt;
use uuid::Uuid;

use super::runs::RunState;
use crate::tx::{Tx, on_tx};
use crate::write::execute;
use crate::{Finding, Result, RunVerdict, Store, evidence};

/// Times that a run is begun: one that ends its worker each time must not do so for ever.
const ATTEMPTS: i64 = 3;

/// A run under lease.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ClaimedRun {
    /// Identifies it.
    pub id: RunId,
    /// The session that it is about.
    pub session_key: SessionKey,
    /// Its events up to this number.
    pub events_through: i64,
    /// What is asked for, as JSON.
    pub request: String,
    /// What running the tests gave, if an earlier attempt came that far.
    pub verification: Option<String>,
    /// How often it was begun, this time included.
    pub attempts: i64,
}

/// Whether a worker may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunHold {
    /// It may.
    Held,
    /// Somebody does not want the run any more.
    CancelRequested,
    /// The lease ran out, and the run is another's or has ended.
    Lost,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub enum RunEnd {
    /// With a verdict.
    Done {
        /// Signed, as JSON.
        verdict: String,
        /// What it says to the traces that were made of the session.
        finding: Finding,
        /// How a model words what was found out, as JSON.
        wording: Option<String>,
    },
    /// Without one, for this reason.
    Failed(String),
    /// Because somebody did not want it any more.
    Cancelled,
}

macro_rules! claim_sql {
    ($lock:literal) => {
        concat!(
            "UPDATE session_runs SET lease = $1, leased_until = $2, attempts = attempts + 1,
                 state = CASE WHEN state = 'queued' THEN 'preparing' ELSE state END,
                 started_at = COALESCE(started_at, $3)
             WHERE id IN (
                 SELECT id FROM session_runs
                 WHERE finished_at IS NULL AND (leased_until IS NULL OR leased_until <= $3)
                   AND attempts < $4
                 ORDER BY created_at, id LIMIT 1",
            $lock,
            ")
             RETURNING id, session_key, events_through, options AS request, verification, attempts"
        )
    };
}

const SQLITE: &str = claim_sql!("");
/// Two PostgreSQL workers that ask at once must not wait for the same row.
const POSTGRES: &str = claim_sql!(" FOR UPDATE SKIP LOCKED");

impl Store {
    /// Leases the run that has waited longest until `now + lease_for`.
    pub async fn claim_run(
        &self,
        lease: Uuid,
        lease_for: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<ClaimedRun>> {
        self.write(move |tx| {
            async move {
                give_up(tx, now).await?;
                let until = now + lease_for;
                macro_rules! row {
                    ($sql:expr, $db:expr) => {
                        sqlx::query_as($sql)
                            .bind(lease)
                            .bind(until)
                            .bind(now)
                            .bind(ATTEMPTS)
                            .fetch_optional(&mut **$db)
                            .await
                    };
                }
                Ok(match tx {
                    Tx::Sqlite(db, _) => row!(SQLITE, db),
                    Tx::Postgres(db, _) => row!(POSTGRES, db),
                }?)
            }
            .boxed()
        })
        .await
    }

    /// Lets a lease last until `now + lease_for` and says where the run is.
    pub async fn renew_run(
        &self,
        id: RunId,
        lease: Uuid,
        lease_for: Duration,
        progress: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<RunHold> {
        self.write(move |tx| {
            async move {
                let wanted: Option<bool> = on_tx!(tx, |db| {
                    sqlx::query_scalar(
                    "UPDATE session_runs SET leased_until = $3, progress = COALESCE($4, progress)
                     WHERE id = $1 AND lease = $2 AND finished_at IS NULL
                     RETURNING cancel_requested",
                )
                .bind(id)
                .bind(lease)
                .bind(now + lease_for)
                .bind(&progress)
                .fetch_optional(db)
                .await
                })?;
                Ok(match wanted {
                    Some(false) => RunHold::Held,
                    Some(true) => RunHold::CancelRequested,
                    None => RunHold::Lost,
                })
            }
            .boxed()
        })
        .await
    }

    /// Moves a run on, and keeps what running the tests gave once it is known. False if the lease is lost.
    pub async fn advance_run(
        &self,
        id: RunId,
        lease: Uuid,
        state: RunState,
        verification: Option<String>,
    ) -> Result<bool> {
        execute!(
            self,
            sqlx::query(
                "UPDATE session_runs SET state = $3, verification = COALESCE($4, verification)
                 WHERE id = $1 AND lease = $2 AND finished_at IS NULL"
            )
            .bind(id)
            .bind(lease)
            .bind(state)
            .bind(&verification)
        )
        .map(|changed| changed > 0)
    }

    /// Ends a run and passes its verdict on to the traces that were made of the session, which are
    /// returned if they changed. Nothing if the lease is lost: then the run is another's to end.
    /// `threshold` is how many accounts more than not have to confirm a trace.
    pub async fn finish_run(
        &self,
        id: RunId,
        lease: Uuid,
        end: RunEnd,
        threshold: u32,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<TraceId>>> {
        self.write(move |tx| finish(tx, id, lease, end, threshold, now).boxed())
            .await
    }

    /// Gives a leased run back, as a worker does that stops: another may take it at once, and the attempt
    /// does not count.
    pub async fn return_run(&self, id: RunId, lease: Uuid) -> Result<()> {
        execute!(
            self,
            sqlx::query(
                "UPDATE session_runs SET lease = NULL, leased_until = NULL, attempts = attempts - 1
                 WHERE id = $1 AND lease = $2"
            )
            .bind(id)
            .bind(lease)
        )
        .map(drop)
    }
}

async fn finish(
    tx: &mut Tx<'_>,
    id: RunId,
    lease: Uuid,
    end: RunEnd,
    threshold: u32,
    now: DateTime<Utc>,
) -> Result<Option<Vec<TraceId>>> {
    let (state, found, error) = match end {
        RunEnd::Done {
            verdict,
            finding,
            wording,
        } => (RunState::Done, Some((verdict, finding, wording)), None),
        RunEnd::Failed(error) => (RunState::Failed, None, Some(error)),
        RunEnd::Cancelled => (RunState::Cancelled, None, None),
    };
    let (verdict, wording) = found
        .as_ref()
        .map_or((None, None), |(verdict, _, wording)| {
            (Some(verdict), wording.as_ref())
        });
    let ended: Option<(SessionKey, i64)> = on_tx!(tx, |db| sqlx::query_as(
        "UPDATE session_runs SET state = $3, verdict = $4, error = $5, finished_at = $6,
             wording = $7, lease = NULL, leased_until = NULL
         WHERE id = $1 AND lease = $2 AND finished_at IS NULL
         RETURNING session_key, events_through"
    )
    .bind(id)
    .bind(lease)
    .bind(state)
    .bind(verdict)
    .bind(&error)
    .bind(now)
    .bind(wording)
    .fetch_optional(db)
    .await)?;
    let Some((session, events_through)) = ended else {
        return Ok(None);
    };
    let Some((verdict, finding, wording)) = found else {
        return Ok(Some(Vec::new()));
    };
    let verdict = RunVerdict {
        run: id,
        events_through,
        verdict,
        wording,
    };
    evidence::pass_on(tx, session, &verdict, &finding, threshold, now)
        .await
        .map(Some)
}

/// Ends runs whose attempts are used up.
async fn give_up(tx: &mut Tx<'_>, now: DateTime<Utc>) -> Result<()> {
    on_tx!(tx, |db| {
        sqlx::query(
        "UPDATE session_runs SET state = 'failed', finished_at = $1, lease = NULL, leased_until = NULL,
             error = 'the worker ended in the middle of it each time; its log may say why'
         WHERE finished_at IS NULL AND attempts >= $2 AND leased_until <= $1",
    )
    .bind(now)
    .bind(ATTEMPTS)
    .execute(db)
    .await
    .map(drop)
    })?;
    Ok(())
}

//! What running the tests of a session proved of the trace that was made of it.
//!
//! A trace has the evidence of one session of its contributor's. A later run of that session replaces it
//! if it says more, or refutes it. Like a vote it is about the text that it was given to.

use chrono::{DateTime, Utc};
use commontrace_core::reputation::Proof;
use commontrace_core::{RunId, SessionKey, TraceId, UserId};
use futures_util::FutureExt;

use crate::pool::on_pool;
use crate::traces::{owned, read};
use crate::tx::{Tx, on_tx};
use crate::{Result, Store, Trace, UpdateTrace, votes};

/// Traces that one session's runs are evidence of at most, so that each learns of a later verdict.
pub const EVIDENCE_TRACES_MAX: i64 = 100;

/// What a run found out, as traces carry it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What trust may count.
    pub proof: Option<Proof>,
    /// The session's score.
    pub score: Option<f64>,
    /// What readers see at once, as JSON.
    pub summary: String,
}

/// Evidence to give to a trace: the newest verdict on a session.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvidence {
    /// The session.
    pub session: SessionKey,
    /// Its newest run that has a verdict.
    pub run: RunId,
    /// What that run found out.
    pub finding: Finding,
    /// Whether the trace's text shows the change that was verified.
    pub is_backed: bool,
}

impl NewEvidence {
    /// What of it counts: a refutation does, and a verification if the text shows what was verified.
    pub fn counting(&self) -> Option<Proof> {
        counting(self.finding.proof, self.is_backed)
    }
}

/// What of a proof counts for the text that it was given to.
pub(crate) fn counting(proof: Option<Proof>, is_backed: bool) -> Option<Proof> {
    proof.filter(|proof| *proof == Proof::Refuted || is_backed)
}

/// A verdict on a session.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RunVerdict {
    /// The run that it comes from.
    pub run: RunId,
    /// The session's events that it is about: those up to this number.
    pub events_through: i64,
    /// Signed, as JSON.
    pub verdict: String,
    /// How a model words what the run found out, as JSON.
    pub wording: Option<String>,
}

/// How giving evidence to a trace went.
#[derive(Debug, Clone, PartialEq)]
pub enum AttachEvidence {
    /// The trace has it; this is how it stands now.
    Attached(Box<Trace>),
    /// There is no such trace.
    Unknown,
    /// The trace is somebody else's.
    NotYours,
    /// The session has another verdict by now, or is gone.
    Outdated,
    /// The session is evidence of [`EVIDENCE_TRACES_MAX`] other traces.
    Crowded,
    /// The trace has another revision by now.
    Rewritten,
}

impl Store {
    /// Returns the newest verdict on a session.
    pub async fn newest_verdict(&self, session: SessionKey) -> Result<Option<RunVerdict>> {
        Ok(on_pool!(self, |db| sqlx::query_as(NEWEST)
            .bind(session)
            .fetch_optional(db)
            .await)?)
    }

    /// Returns the signed verdict that a trace carries, as JSON.
    pub async fn evidence_verdict(&self, trace: TraceId) -> Result<Option<String>> {
        Ok(on_pool!(self, |db| sqlx::query_scalar(
            "SELECT verdict FROM trace_evidence WHERE trace_id = $1"
        )
        .bind(trace)
        .fetch_optional(db)
        .await)?)
    }

    /// Gives evidence to `revision` of a trace of `owner`'s, in place of what it has. `threshold` is how
    /// many accounts more than not have to confirm a trace.
    pub async fn attach_evidence(
        &self,
        trace: TraceId,
        revision: i64,
        owner: UserId,
        new: NewEvidence,
        threshold: u32,
        now: DateTime<Utc>,
    ) -> Result<AttachEvidence> {
        self.write(move |tx| {
            async move {
                let Some(verdict) = current(tx, &new).await? else {
                    return Ok(AttachEvidence::Outdated);
                };
                let mut trace = match owned(tx, trace, owner).await? {
                    UpdateTrace::Done(trace) => *trace,
                    UpdateTrace::Unknown => return Ok(AttachEvidence::Unknown),
                    UpdateTrace::NotYours => return Ok(AttachEvidence::NotYours),
                };
                if trace.revision != revision {
                    return Ok(AttachEvidence::Rewritten);
                }
                if is_crowded(tx, new.session, trace.id).await? {
                    return Ok(AttachEvidence::Crowded);
                }
                put(tx, trace.id, trace.revision, &new, &verdict, now).await?;
                trace.evidence_proof = new.finding.proof;
                trace.evidence_is_backed = Some(new.is_backed);
                trace.evidence_revision = Some(trace.revision);
                trace.evidence_summary = Some(new.finding.summary);
                votes::stand_again(tx, &mut trace, threshold, now).await?;
                Ok(AttachEvidence::Attached(Box::new(trace)))
            }
            .boxed()
        })
        .await
    }
}

const NEWEST: &str = "SELECT id AS run, events_through, verdict, wording FROM session_runs
     WHERE session_key = $1 AND state = 'done' ORDER BY created_at DESC, id DESC LIMIT 1";

/// Returns the verdict that evidence is made of, if it is still the newest on its session. Until the
/// transaction ends the session gets no other.
pub(crate) async fn current(tx: &mut Tx<'_>, new: &NewEvidence) -> Result<Option<RunVerdict>> {
    if !lock_session(tx, new.session).await? {
        return Ok(None);
    }
    let newest: Option<RunVerdict> = on_tx!(tx, |db| sqlx::query_as(NEWEST)
        .bind(new.session)
        .fetch_optional(db)
        .await)?;
    Ok(newest.filter(|newest| newest.run == new.run))
}

/// Whether a session is evidence of as many traces as it may be, without this one.
pub(crate) async fn is_crowded(
    tx: &mut Tx<'_>,
    session: SessionKey,
    trace: TraceId,
) -> Result<bool> {
    let others: Vec<TraceId> = on_tx!(tx, |db| sqlx::query_scalar(
        "SELECT trace_id FROM trace_evidence WHERE session_key = $1 AND trace_id <> $2 LIMIT $3"
    )
    .bind(session)
    .bind(trace)
    .bind(EVIDENCE_TRACES_MAX)
    .fetch_all(db)
    .await)?;
    Ok(others.len() as i64 >= EVIDENCE_TRACES_MAX)
}

/// Makes other transactions wait that give the session a verdict or pass one on. False if it is gone.
async fn lock_session(tx: &mut Tx<'_>, session: SessionKey) -> Result<bool> {
    Ok(on_tx!(tx, |db| sqlx::query(
        "UPDATE sessions SET last_seq = last_seq WHERE key = $1 AND deleted_at IS NULL"
    )
    .bind(session)
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0))?)
}

/// Stores evidence that was given to a revision of a trace.
pub(crate) async fn put(
    tx: &mut Tx<'_>,
    trace: TraceId,
    revision: i64,
    new: &NewEvidence,
    verdict: &RunVerdict,
    now: DateTime<Utc>,
) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO trace_evidence (trace_id, session_key, run_id, proof, is_backed, revision,
                                     events_through, score, summary, verdict, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (trace_id) DO UPDATE SET
             session_key = excluded.session_key, run_id = excluded.run_id, proof = excluded.proof,
             is_backed = excluded.is_backed, revision = excluded.revision,
             events_through = excluded.events_through, score = excluded.score,
             summary = excluded.summary, verdict = excluded.verdict,
             created_at = excluded.created_at",
    )
    .bind(trace)
    .bind(new.session)
    .bind(new.run)
    .bind(new.finding.proof)
    .bind(new.is_backed)
    .bind(revision)
    .bind(verdict.events_through)
    .bind(new.finding.score)
    .bind(&new.finding.summary)
    .bind(&verdict.verdict)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

/// What a trace has, as far as a later verdict is compared with it.
#[derive(sqlx::FromRow)]
struct Held {
    trace_id: TraceId,
    proof: Option<Proof>,
    is_backed: bool,
    revision: i64,
    events_through: i64,
    score: Option<f64>,
}

/// Passes a new verdict on to the traces that were made of its session, and returns those that it
/// changed.
pub(crate) async fn pass_on(
    tx: &mut Tx<'_>,
    session: SessionKey,
    verdict: &RunVerdict,
    finding: &Finding,
    threshold: u32,
    now: DateTime<Utc>,
) -> Result<Vec<TraceId>> {
    if !lock_session(tx, session).await? {
        return Ok(Vec::new());
    }
    let held: Vec<Held> = on_tx!(tx, |db| sqlx::query_as(
        "SELECT trace_id, proof, is_backed, revision, events_through, score FROM trace_evidence
         WHERE session_key = $1 ORDER BY trace_id LIMIT $2"
    )
    .bind(session)
    .bind(EVIDENCE_TRACES_MAX)
    .fetch_all(db)
    .await)?;
    let mut changed = Vec::new();
    for held in held {
        if !replaces(finding, verdict.events_through, &held)
            || !read::lock(tx, held.trace_id).await?
        {
            continue;
        }
        let new = NewEvidence {
            session,
            run: verdict.run,
            finding: finding.clone(),
            is_backed: held.is_backed,
        };
        put(tx, held.trace_id, held.revision, &new, verdict, now).await?;
        if let Some(mut trace) = read::trace(tx, held.trace_id).await? {
            votes::stand_again(tx, &mut trace, threshold, now).await?;
            changed.push(held.trace_id);
        }
    }
    Ok(changed)
}

/// Whether a later verdict takes the place of the one that a trace has: a refutation always does; a
/// verification if it is about more events or scores no lower; what is neither, only of its like.
fn replaces(new: &Finding, events_through: i64, held: &Held) -> bool {
    match (new.proof, held.proof) {
        (Some(Proof::Refuted), _) | (Some(Proof::Verified), None | Some(Proof::Refuted)) => true,
        (Some(Proof::Verified), Some(Proof::Verified)) => {
            events_through > held.events_through
                || new.score.unwrap_or(-1.0) >= held.score.unwrap_or(-1.0)
        }
        (None, held) => held.is_none(),
    }
}

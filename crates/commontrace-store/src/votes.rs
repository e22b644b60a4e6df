//! Votes: one per account and text of a trace, never one's own.
//!
//! A vote is about the text that was read. Once the title, the problem or the solution is another,
//! the votes on the old text count no longer, and those who cast them may vote on the new one.

use chrono::{DateTime, Utc};
use commontrace_core::reputation::Standing;
use commontrace_core::vote::VoteType;
use commontrace_core::{OutcomeCounts, Status, TraceId, UserId, VoteId};
use futures_util::FutureExt;
use serde_json::Value;
use sqlx::types::Json;

use crate::traces::read;
use crate::tx::{Tx, on_tx};
use crate::{Result, Store, Trace, outcomes, reputation};

/// A vote to cast, its reason already checked.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct NewVote {
    pub id: VoteId,
    pub trace_id: TraceId,
    pub voter_id: UserId,
    pub vote_type: VoteType,
    /// The revision that the voter read, if they said so.
    pub revision: Option<i64>,
    pub feedback_tag: Option<String>,
    pub feedback_text: Option<String>,
    pub voter_context: Option<Value>,
}

/// A vote that was cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// When it was cast.
    pub created_at: DateTime<Utc>,
}

/// How casting a vote went.
#[derive(Debug, Clone, PartialEq)]
pub enum CastVote {
    /// It counts; this is the trace with its new standing.
    Cast(Box<Trace>),
    /// There is no such trace to see.
    Unknown,
    /// Nobody votes on their own trace.
    OwnTrace,
    /// This account has voted on this text before.
    AlreadyVoted,
    /// The text that the voter read has been replaced; this is the revision to read.
    Rewritten(i64),
    /// The trace has no such revision yet; this is its last.
    NoSuchRevision(i64),
}

impl Store {
    /// Casts a vote and brings the trace's standing and its author's reputation up to date.
    /// `threshold` is how many accounts more than not have to confirm a trace.
    pub async fn cast_vote(
        &self,
        new: NewVote,
        threshold: u32,
        now: DateTime<Utc>,
    ) -> Result<CastVote> {
        self.write(move |tx| cast(tx, new, threshold, now).boxed())
            .await
    }
}

async fn cast(
    tx: &mut Tx<'_>,
    new: NewVote,
    threshold: u32,
    now: DateTime<Utc>,
) -> Result<CastVote> {
    read::lock(tx, new.trace_id).await?;
    let Some(mut trace) = read::trace(tx, new.trace_id).await? else {
        return Ok(CastVote::Unknown);
    };
    if trace.contributor_id == new.voter_id {
        return Ok(CastVote::OwnTrace);
    }
    if trace.hidden_at.is_some() {
        return Ok(CastVote::Unknown);
    }
    match new.revision {
        Some(read) if read > trace.revision => {
            return Ok(CastVote::NoSuchRevision(trace.revision));
        }
        Some(read) if read < trace.text_revision => {
            return Ok(CastVote::Rewritten(trace.revision));
        }
        _ => {}
    }
    let before = earlier(tx, new.trace_id, new.voter_id).await?;
    if before.is_some_and(|(_, revision)| revision >= trace.text_revision) {
        return Ok(CastVote::AlreadyVoted);
    }
    record(tx, &new, trace.revision, now).await?;
    let (up, down) = match new.vote_type {
        VoteType::Up => (1, 0),
        VoteType::Down => (0, 1),
    };
    trace.up_votes += up;
    trace.down_votes += down;
    if outcomes::has_tried(tx, &trace, new.voter_id).await? {
        outcomes::replace_vote(&mut trace, Some(new.vote_type), 1);
    }
    stand_again(tx, &mut trace, threshold, now).await?;
    // One voter counts once for one trace of an author, with the last they said of it.
    let before = before.map(|(vote_type, _)| vote_type);
    reputation::count(tx, trace.contributor_id, &trace.tags, before, new.vote_type).await?;
    Ok(CastVote::Cast(Box::new(trace)))
}

/// Stores a trace's votes and reports and what follows from them and from its evidence.
pub(crate) async fn stand_again(
    tx: &mut Tx<'_>,
    trace: &mut Trace,
    threshold: u32,
    now: DateTime<Utc>,
) -> Result<()> {
    stand(trace, threshold);
    trace.changed_at = now;
    on_tx!(tx, |db| sqlx::query(
        "UPDATE traces SET up_votes = $2, down_votes = $3, trust_score = $4, status = $5,
             changed_at = $6, worked = $7, worked_with_changes = $8, did_not_work = $9,
             not_relevant = $10, replaced_up_votes = $11, replaced_down_votes = $12
         WHERE id = $1",
    )
    .bind(trace.id)
    .bind(trace.up_votes)
    .bind(trace.down_votes)
    .bind(trace.trust_score)
    .bind(trace.status)
    .bind(now)
    .bind(trace.outcomes.worked)
    .bind(trace.outcomes.worked_with_changes)
    .bind(trace.outcomes.did_not_work)
    .bind(trace.outcomes.not_relevant)
    .bind(trace.replaced_up_votes)
    .bind(trace.replaced_down_votes)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

/// Sets what follows from a trace's votes, reports and evidence.
fn stand(trace: &mut Trace, threshold: u32) {
    let standing = Standing {
        up_votes: count(trace.up_votes),
        down_votes: count(trace.down_votes),
        outcomes: trace.outcomes,
        replaced_up_votes: count(trace.replaced_up_votes),
        replaced_down_votes: count(trace.replaced_down_votes),
        proof: trace.proof(),
        is_seed: trace.is_seed,
    };
    trace.trust_score = standing.trust();
    trace.status = if standing.is_validated(threshold) {
        Status::Validated
    } else {
        Status::Pending
    };
}

/// Takes from a trace the standing that it had with another text; its `text_revision` is already the
/// new one, so that its evidence does not count either.
pub(crate) fn forget_standing(trace: &mut Trace) {
    /// Any threshold will do: without votes and reports none is reached.
    const ANY: u32 = 1;
    (trace.up_votes, trace.down_votes) = (0, 0);
    (trace.replaced_up_votes, trace.replaced_down_votes) = (0, 0);
    trace.outcomes = OutcomeCounts::default();
    stand(trace, ANY);
}

/// A count of votes as the formulas take it; a column never goes below zero.
fn count(votes: i64) -> u32 {
    u32::try_from(votes.max(0)).unwrap_or(u32::MAX)
}

/// Returns an account's vote on the text of a trace as it is.
pub(crate) async fn of_text(
    tx: &mut Tx<'_>,
    trace: &Trace,
    voter: UserId,
) -> Result<Option<VoteType>> {
    let vote = earlier(tx, trace.id, voter).await?;
    Ok(vote
        .filter(|(_, revision)| *revision >= trace.text_revision)
        .map(|(vote_type, _)| vote_type))
}

/// Returns what an account said of a trace before, and of which revision.
async fn earlier(
    tx: &mut Tx<'_>,
    trace: TraceId,
    voter: UserId,
) -> Result<Option<(VoteType, i64)>> {
    Ok(on_tx!(tx, |db| sqlx::query_as(
        "SELECT vote_type, revision FROM votes WHERE trace_id = $1 AND voter_id = $2"
    )
    .bind(trace)
    .bind(voter)
    .fetch_optional(db)
    .await)?)
}

/// Stores a vote on `revision` in place of the account's vote on an earlier text.
async fn record(tx: &mut Tx<'_>, new: &NewVote, revision: i64, now: DateTime<Utc>) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO votes (id, trace_id, voter_id, vote_type, feedback_tag, feedback_text,
                            voter_context, revision, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (trace_id, voter_id) DO UPDATE SET
             id = excluded.id, vote_type = excluded.vote_type,
             feedback_tag = excluded.feedback_tag, feedback_text = excluded.feedback_text,
             voter_context = excluded.voter_context, revision = excluded.revision,
             created_at = excluded.created_at",
    )
    .bind(new.id)
    .bind(new.trace_id)
    .bind(new.voter_id)
    .bind(new.vote_type)
    .bind(&new.feedback_tag)
    .bind(&new.feedback_text)
    .bind(new.voter_context.as_ref().map(Json))
    .bind(revision)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

//! Votes: one per account and trace, never one's own, never changed.

use chrono::{DateTime, Utc};
use commontrace_core::reputation::{is_validated, trust};
use commontrace_core::vote::VoteType;
use commontrace_core::{TraceId, UserId, VoteId};
use futures_util::FutureExt;
use serde_json::Value;
use sqlx::types::Json;

use crate::traces::read;
use crate::tx::{Tx, on_tx};
use crate::{Result, Store, Trace, reputation};

/// A vote to cast, its reason already checked.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct NewVote {
    pub id: VoteId,
    pub trace_id: TraceId,
    pub voter_id: UserId,
    pub vote_type: VoteType,
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
    /// This account has voted on this trace before.
    AlreadyVoted,
}

impl Store {
    /// Casts a vote and brings the trace's standing and its author's reputation up to date.
    /// `threshold` is how many net up-votes validate a trace.
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
    if !insert(tx, &new, now).await? {
        return Ok(CastVote::AlreadyVoted);
    }
    let (up, down) = match new.vote_type {
        VoteType::Up => (1, 0),
        VoteType::Down => (0, 1),
    };
    trace.up_votes += up;
    trace.down_votes += down;
    let counts = (count(trace.up_votes), count(trace.down_votes));
    trace.trust_score = trust(counts.0, counts.1, trace.is_seed);
    trace.status = if is_validated(counts.0, counts.1, threshold, trace.is_seed) {
        commontrace_core::Status::Validated
    } else {
        commontrace_core::Status::Pending
    };
    trace.changed_at = now;
    on_tx!(tx, |db| sqlx::query(
        "UPDATE traces SET up_votes = $2, down_votes = $3, trust_score = $4, status = $5,
             changed_at = $6
         WHERE id = $1",
    )
    .bind(trace.id)
    .bind(trace.up_votes)
    .bind(trace.down_votes)
    .bind(trace.trust_score)
    .bind(trace.status)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    reputation::add(tx, trace.contributor_id, &trace.tags, up, down).await?;
    Ok(CastVote::Cast(Box::new(trace)))
}

/// A count of votes as the formulas take it; a column never goes below zero.
fn count(votes: i64) -> u32 {
    u32::try_from(votes.max(0)).unwrap_or(u32::MAX)
}

/// Inserts a vote; false if this account has voted on this trace.
async fn insert(tx: &mut Tx<'_>, new: &NewVote, now: DateTime<Utc>) -> Result<bool> {
    Ok(on_tx!(tx, |db| sqlx::query(
        "INSERT INTO votes (id, trace_id, voter_id, vote_type, feedback_tag, feedback_text,
                            voter_context, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (trace_id, voter_id) DO NOTHING",
    )
    .bind(new.id)
    .bind(new.trace_id)
    .bind(new.voter_id)
    .bind(new.vote_type)
    .bind(&new.feedback_tag)
    .bind(&new.feedback_text)
    .bind(new.voter_context.as_ref().map(Json))
    .bind(now)
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0))?)
}

//! Amendments: a better solution for somebody's trace, and what the trace said before.

use chrono::{DateTime, Utc};
use commontrace_core::trace::AmendmentStatus;
use commontrace_core::{AmendmentId, TraceId, UserId};
use futures_util::FutureExt;
use sqlx::types::Json;

use crate::pool::on_pool;
use crate::traces::{read, revise};
use crate::tx::{Tx, on_tx};
use crate::{NewJob, Result, Store, Trace};

/// A proposed, accepted or rejected amendment.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Amendment {
    pub id: AmendmentId,
    pub trace_id: TraceId,
    pub submitter_id: UserId,
    pub improved_solution: String,
    pub explanation: String,
    pub status: AmendmentStatus,
    pub decided_by: Option<UserId>,
    pub decided_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// An amendment to propose, cleaned and redacted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct NewAmendment {
    pub id: AmendmentId,
    pub trace_id: TraceId,
    pub submitter_id: UserId,
    pub improved_solution: String,
    pub explanation: String,
}

/// How a decision on an amendment went.
#[derive(Debug, Clone, PartialEq)]
pub enum Decide {
    /// Done; the amendment, and the trace as it stands now.
    Decided(Box<Amendment>, Box<Trace>),
    /// There is no such trace or amendment.
    Unknown,
    /// Only the trace's owner or a moderator decides.
    NotYours,
    /// Somebody decided before.
    AlreadyDecided(AmendmentStatus),
}

/// What a trace said at one of its revisions.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Revision {
    pub revision: i64,
    pub title: String,
    pub context_text: String,
    pub solution_text: String,
    pub tags: Json<Vec<String>>,
    pub replaced_by: UserId,
    pub amendment_id: Option<AmendmentId>,
    pub replaced_at: DateTime<Utc>,
}

impl Store {
    /// Proposes an amendment. Returns false if there is no such trace to see.
    pub async fn propose_amendment(&self, new: NewAmendment, now: DateTime<Utc>) -> Result<bool> {
        self.write(move |tx| {
            async move {
                read::lock(tx, new.trace_id).await?;
                match read::trace(tx, new.trace_id).await? {
                    Some(trace) if trace.hidden_at.is_none() => {}
                    _ => return Ok(false),
                }
                on_tx!(tx, |db| sqlx::query(
                    "INSERT INTO amendments (id, trace_id, submitter_id, improved_solution,
                                             explanation, status, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(new.id)
                .bind(new.trace_id)
                .bind(new.submitter_id)
                .bind(&new.improved_solution)
                .bind(&new.explanation)
                .bind(AmendmentStatus::Proposed)
                .bind(now)
                .execute(db)
                .await
                .map(drop))?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }

    /// Lists a trace's amendments, oldest first, at most `limit`.
    pub async fn amendments(&self, trace: TraceId, limit: i64) -> Result<Vec<Amendment>> {
        Ok(on_pool!(self, |db| sqlx::query_as(
            "SELECT id, trace_id, submitter_id, improved_solution, explanation, status,
                    decided_by, decided_at, created_at
             FROM amendments WHERE trace_id = $1 ORDER BY created_at, id LIMIT $2",
        )
        .bind(trace)
        .bind(limit)
        .fetch_all(db)
        .await)?)
    }

    /// Accepts or rejects an amendment; an accepted one becomes the trace's new revision, to be
    /// embedded anew as `embed` says.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one fact of the decision"
    )]
    pub async fn decide_amendment(
        &self,
        trace: TraceId,
        amendment: AmendmentId,
        actor: UserId,
        is_moderator: bool,
        accept: bool,
        embed: Vec<NewJob>,
        now: DateTime<Utc>,
    ) -> Result<Decide> {
        self.write(move |tx| {
            async move {
                read::lock(tx, trace).await?;
                let Some(before) = read::trace(tx, trace).await? else {
                    return Ok(Decide::Unknown);
                };
                if before.contributor_id != actor && !is_moderator {
                    // Others need not learn that a hidden trace is there.
                    let hidden = before.hidden_at.is_some();
                    return Ok(if hidden {
                        Decide::Unknown
                    } else {
                        Decide::NotYours
                    });
                }
                let Some(mut amendment) = find(tx, trace, amendment).await? else {
                    return Ok(Decide::Unknown);
                };
                if amendment.status != AmendmentStatus::Proposed {
                    return Ok(Decide::AlreadyDecided(amendment.status));
                }
                amendment.status = if accept {
                    AmendmentStatus::Accepted
                } else {
                    AmendmentStatus::Rejected
                };
                amendment.decided_by = Some(actor);
                amendment.decided_at = Some(now);
                mark_decided(tx, &amendment).await?;
                let mut after = before.clone();
                if accept {
                    after.solution_text.clone_from(&amendment.improved_solution);
                    revise(
                        tx,
                        &before,
                        &mut after,
                        actor,
                        Some(amendment.id),
                        &embed,
                        now,
                    )
                    .await?;
                }
                Ok(Decide::Decided(Box::new(amendment), Box::new(after)))
            }
            .boxed()
        })
        .await
    }

    /// Lists what a trace said before its current revision, newest first, at most `limit`.
    pub async fn revisions(&self, trace: TraceId, limit: i64) -> Result<Vec<Revision>> {
        Ok(on_pool!(self, |db| sqlx::query_as(
            "SELECT revision, title, context_text, solution_text, tags, replaced_by,
                    amendment_id, replaced_at
             FROM revisions WHERE trace_id = $1 ORDER BY revision DESC LIMIT $2",
        )
        .bind(trace)
        .bind(limit)
        .fetch_all(db)
        .await)?)
    }
}

async fn find(
    tx: &mut Tx<'_>,
    trace: TraceId,
    amendment: AmendmentId,
) -> Result<Option<Amendment>> {
    Ok(on_tx!(tx, |db| sqlx::query_as(
        "SELECT id, trace_id, submitter_id, improved_solution, explanation, status,
                decided_by, decided_at, created_at
         FROM amendments WHERE id = $1 AND trace_id = $2",
    )
    .bind(amendment)
    .bind(trace)
    .fetch_optional(db)
    .await)?)
}

async fn mark_decided(tx: &mut Tx<'_>, amendment: &Amendment) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "UPDATE amendments SET status = $2, decided_by = $3, decided_at = $4 WHERE id = $1"
    )
    .bind(amendment.id)
    .bind(amendment.status)
    .bind(amendment.decided_by)
    .bind(amendment.decided_at)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

//! Changing and deleting a trace.

use chrono::{DateTime, Utc};
use commontrace_core::{AmendmentId, TraceId, UserId};
use futures_util::FutureExt;
use sqlx::types::Json;

use super::read::{self, Trace};
use crate::tx::{Tx, on_tx};
use crate::{NewJob, Result, Store, embeddings, search, tags, votes};

/// What to change of a trace; `None` leaves a part as it is.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Patch {
    pub title: Option<String>,
    pub context_text: Option<String>,
    pub solution_text: Option<String>,
    pub tags: Option<Vec<String>>,
    /// The outer `None` leaves it, the inner one removes it.
    pub review_after: Option<Option<DateTime<Utc>>>,
    pub watch_condition: Option<Option<String>>,
    /// The embeddings to make of the new text: each job's id and its model's queue.
    pub embed: Vec<NewJob>,
}

/// How changing or deleting a trace went.
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateTrace {
    /// Done; this is the trace as it was left or, when deleted, as it was.
    Done(Box<Trace>),
    /// There is no such trace.
    Unknown,
    /// It is somebody else's.
    NotYours,
}

impl Store {
    /// Changes a trace of `owner`'s; the text it had is kept as a revision.
    pub async fn update_trace(
        &self,
        id: TraceId,
        owner: UserId,
        patch: Patch,
        now: DateTime<Utc>,
    ) -> Result<UpdateTrace> {
        self.write(move |tx| update(tx, id, owner, patch, now).boxed())
            .await
    }

    /// Deletes a trace of `owner`'s with everything that hangs on it.
    pub async fn delete_trace(
        &self,
        id: TraceId,
        owner: UserId,
        now: DateTime<Utc>,
    ) -> Result<UpdateTrace> {
        self.write(move |tx| {
            async move {
                match owned(tx, id, owner).await? {
                    UpdateTrace::Done(trace) => {
                        delete(tx, &trace, now).await?;
                        Ok(UpdateTrace::Done(trace))
                    }
                    refused => Ok(refused),
                }
            }
            .boxed()
        })
        .await
    }
}

/// Returns a trace of `owner`'s, locked, or why there is none.
pub(crate) async fn owned(tx: &mut Tx<'_>, id: TraceId, owner: UserId) -> Result<UpdateTrace> {
    read::lock(tx, id).await?;
    Ok(match read::trace(tx, id).await? {
        None => UpdateTrace::Unknown,
        // Others need not learn that a hidden trace is there.
        Some(trace) if trace.contributor_id != owner && trace.hidden_at.is_some() => {
            UpdateTrace::Unknown
        }
        Some(trace) if trace.contributor_id != owner => UpdateTrace::NotYours,
        Some(trace) => UpdateTrace::Done(Box::new(trace)),
    })
}

async fn update(
    tx: &mut Tx<'_>,
    id: TraceId,
    owner: UserId,
    patch: Patch,
    now: DateTime<Utc>,
) -> Result<UpdateTrace> {
    let mut trace = match owned(tx, id, owner).await? {
        UpdateTrace::Done(trace) => *trace,
        refused => return Ok(refused),
    };
    let before = trace.clone();
    trace.title = patch.title.unwrap_or(trace.title);
    trace.context_text = patch.context_text.unwrap_or(trace.context_text);
    trace.solution_text = patch.solution_text.unwrap_or(trace.solution_text);
    trace.tags = patch.tags.map_or(trace.tags, Json);
    trace.review_after = patch.review_after.unwrap_or(trace.review_after);
    trace.watch_condition = patch.watch_condition.unwrap_or(trace.watch_condition);
    revise(tx, &before, &mut trace, owner, None, &patch.embed, now).await?;
    Ok(UpdateTrace::Done(Box::new(trace)))
}

/// Stores `after` in place of `before`, keeping the old text as a revision if the text differs.
/// Another title, problem or solution has yet to earn the votes and reports that the old one had.
pub(crate) async fn revise(
    tx: &mut Tx<'_>,
    before: &Trace,
    after: &mut Trace,
    editor: UserId,
    amendment: Option<AmendmentId>,
    embed: &[NewJob],
    now: DateTime<Utc>,
) -> Result<()> {
    let same_claim = (&before.title, &before.context_text, &before.solution_text)
        == (&after.title, &after.context_text, &after.solution_text);
    if !same_claim || before.tags != after.tags {
        keep_revision(tx, before, editor, amendment, now).await?;
        after.revision += 1;
        if !same_claim {
            after.text_revision = after.revision;
            votes::forget_standing(after);
        }
        embeddings::enqueue(tx, embed, after.id, now).await?;
    }
    after.updated_at = now;
    after.changed_at = now;
    on_tx!(tx, |db| sqlx::query(
        "UPDATE traces SET title = $2, context_text = $3, solution_text = $4, tags = $5,
             review_after = $6, watch_condition = $7, revision = $8, text_revision = $9,
             status = $10, trust_score = $11, up_votes = $12, down_votes = $13, worked = $14,
             worked_with_changes = $15, did_not_work = $16, not_relevant = $17,
             replaced_up_votes = $18, replaced_down_votes = $19,
             updated_at = $20, changed_at = $20
         WHERE id = $1",
    )
    .bind(after.id)
    .bind(&after.title)
    .bind(&after.context_text)
    .bind(&after.solution_text)
    .bind(&after.tags)
    .bind(after.review_after)
    .bind(&after.watch_condition)
    .bind(after.revision)
    .bind(after.text_revision)
    .bind(after.status)
    .bind(after.trust_score)
    .bind(after.up_votes)
    .bind(after.down_votes)
    .bind(after.outcomes.worked)
    .bind(after.outcomes.worked_with_changes)
    .bind(after.outcomes.did_not_work)
    .bind(after.outcomes.not_relevant)
    .bind(after.replaced_up_votes)
    .bind(after.replaced_down_votes)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    if after.revision != before.revision {
        search::put_document_of(tx, after).await?;
    }
    tags::replace(tx, after.id, after.created_at, &before.tags, &after.tags).await
}

async fn keep_revision(
    tx: &mut Tx<'_>,
    before: &Trace,
    editor: UserId,
    amendment: Option<AmendmentId>,
    now: DateTime<Utc>,
) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO revisions (trace_id, revision, title, context_text, solution_text, tags,
                                replaced_by, amendment_id, replaced_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(before.id)
    .bind(before.revision)
    .bind(&before.title)
    .bind(&before.context_text)
    .bind(&before.solution_text)
    .bind(&before.tags)
    .bind(editor)
    .bind(amendment)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

/// Deletes a trace with everything that hangs on it and leaves a note for indexes.
pub(crate) async fn delete(tx: &mut Tx<'_>, trace: &Trace, now: DateTime<Utc>) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "DELETE FROM jobs WHERE subject_id = $1"
    )
    .bind(trace.id)
    .execute(db)
    .await
    .map(drop))?;
    on_tx!(tx, |db| sqlx::query("DELETE FROM traces WHERE id = $1")
        .bind(trace.id)
        .execute(db)
        .await
        .map(drop))?;
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO deleted_traces (id, deleted_at) VALUES ($1, $2)
         ON CONFLICT (id) DO UPDATE SET deleted_at = excluded.deleted_at"
    )
    .bind(trace.id)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    tags::uncount(tx, &trace.tags).await
}

//! Contributing a trace: the row, its tags, its embedding job and what it replaces, or nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commontrace_core::{Status, TraceId, UserId};
use futures_util::FutureExt;
use serde_json::Value;
use sqlx::types::Json;

use super::read;
use crate::idempotency::{self, Earlier};
use crate::tx::{Tx, on_tx};
use crate::{
    Idempotency, NewEvidence, NewJob, Result, Store, Texts, embeddings, evidence, search, tags,
};

/// The revision of a trace that was never changed.
pub const FIRST_REVISION: i64 = 1;

/// A trace to contribute, cleaned, redacted and validated.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct NewTrace {
    pub id: TraceId,
    pub contributor_id: UserId,
    pub title: String,
    pub context_text: String,
    pub solution_text: String,
    pub tags: Vec<String>,
    pub context: BTreeMap<String, String>,
    pub metadata_json: Option<Value>,
    pub agent_model: Option<String>,
    pub agent_version: Option<String>,
    pub is_seed: bool,
    pub status: Status,
    pub trust_score: f64,
    pub review_after: Option<DateTime<Utc>>,
    pub watch_condition: Option<String>,
    /// The contributor's own trace that this one replaces.
    pub supersedes: Option<TraceId>,
    /// The newest verdict on the contributor's session that it was made of.
    pub evidence: Option<NewEvidence>,
    /// The embeddings to make of it: each job's id and its model's queue.
    pub embed: Vec<NewJob>,
}

/// How contributing went.
#[derive(Debug, Clone, PartialEq)]
pub enum Contribute {
    /// The trace is stored.
    Created,
    /// The same request was carried out before; this was its answer.
    Replayed(Value),
    /// The key was used for another request.
    KeyReused,
    /// There is no trace to supersede.
    SupersededUnknown,
    /// The trace to supersede is somebody else's.
    SupersededNotYours,
    /// The session has another verdict by now, or is gone.
    EvidenceOutdated,
    /// The session is evidence of [`EVIDENCE_TRACES_MAX`](crate::EVIDENCE_TRACES_MAX) traces.
    EvidenceCrowded,
}

impl From<Earlier> for Contribute {
    fn from(earlier: Earlier) -> Self {
        match earlier {
            Earlier::Answered(answer) => Self::Replayed(answer),
            Earlier::Other => Self::KeyReused,
        }
    }
}

impl Store {
    /// Stores a new trace; with `idempotency`, at most once per account and key.
    pub async fn contribute(
        &self,
        new: NewTrace,
        idempotency: Option<Idempotency>,
        now: DateTime<Utc>,
    ) -> Result<Contribute> {
        self.write(move |tx| contribute(tx, new, idempotency, now).boxed())
            .await
    }
}

async fn contribute(
    tx: &mut Tx<'_>,
    new: NewTrace,
    idempotency: Option<Idempotency>,
    now: DateTime<Utc>,
) -> Result<Contribute> {
    if let Some(request) = &idempotency
        && let Some(earlier) = idempotency::recall(tx, new.contributor_id, request).await?
    {
        return Ok(earlier.into());
    }
    let verdict = match &new.evidence {
        None => None,
        Some(evidence) => match evidence::current(tx, evidence).await? {
            None => return Ok(Contribute::EvidenceOutdated),
            Some(_) if evidence::is_crowded(tx, evidence.session, new.id).await? => {
                return Ok(Contribute::EvidenceCrowded);
            }
            verdict => verdict,
        },
    };
    // What is replaced is checked before anything is written, so a refusal leaves nothing behind.
    if let Some(old) = new.supersedes {
        read::lock(tx, old).await?;
        match read::trace(tx, old).await? {
            None => return Ok(Contribute::SupersededUnknown),
            // Others need not learn that a hidden trace is there.
            Some(old) if old.contributor_id != new.contributor_id && old.hidden_at.is_some() => {
                return Ok(Contribute::SupersededUnknown);
            }
            Some(old) if old.contributor_id != new.contributor_id => {
                return Ok(Contribute::SupersededNotYours);
            }
            Some(_) => {}
        }
    }
    if let Some(request) = &idempotency
        && let Some(earlier) = idempotency::remember(tx, new.contributor_id, request, now).await?
    {
        return Ok(earlier.into());
    }
    insert(tx, &new, now).await?;
    search::put_document(tx, new.id, FIRST_REVISION, texts(&new)).await?;
    embeddings::enqueue(tx, &new.embed, new.id, now).await?;
    if let (Some(evidence), Some(verdict)) = (&new.evidence, &verdict) {
        evidence::put(tx, new.id, FIRST_REVISION, evidence, verdict, now).await?;
    }
    if let Some(old) = new.supersedes {
        supersede(tx, new.id, old, now).await?;
    }
    tags::replace(tx, new.id, now, &[], &new.tags).await?;
    Ok(Contribute::Created)
}

fn texts(new: &NewTrace) -> Texts<'_> {
    Texts {
        title: &new.title,
        context_text: &new.context_text,
        solution_text: &new.solution_text,
        tags: &new.tags,
    }
}

async fn insert(tx: &mut Tx<'_>, new: &NewTrace, now: DateTime<Utc>) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO traces (id, contributor_id, title, context_text, solution_text, tags, context,
                             metadata_json, agent_model, agent_version, is_seed, status,
                             trust_score, up_votes, down_votes, retrieval_count, revision,
                             review_after, watch_condition, flag_count, created_at, updated_at,
                             changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, 0, $17, $14, $15, 0,
                 $16, $16, $16)",
    )
    .bind(new.id)
    .bind(new.contributor_id)
    .bind(&new.title)
    .bind(&new.context_text)
    .bind(&new.solution_text)
    .bind(Json(&new.tags))
    .bind(Json(&new.context))
    .bind(new.metadata_json.as_ref().map(Json))
    .bind(&new.agent_model)
    .bind(&new.agent_version)
    .bind(new.is_seed)
    .bind(new.status)
    .bind(new.trust_score)
    .bind(new.review_after)
    .bind(&new.watch_condition)
    .bind(now)
    .bind(FIRST_REVISION)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

/// Ends the old trace's validity where the new one's begins.
async fn supersede(tx: &mut Tx<'_>, new: TraceId, old: TraceId, now: DateTime<Utc>) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "UPDATE traces SET changed_at = $2,
             valid_until = CASE WHEN valid_until < $2 THEN valid_until ELSE $2 END
         WHERE id = $1",
    )
    .bind(old)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    on_tx!(tx, |db| sqlx::query(
        "UPDATE traces SET valid_from = $2 WHERE id = $1"
    )
    .bind(new)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO relations (source_id, target_id, relationship_type, created_at)
         VALUES ($1, $2, 'SUPERSEDES', $3)",
    )
    .bind(new)
    .bind(old)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

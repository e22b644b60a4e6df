//! A trace as it is stored, and reading it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commontrace_core::reputation::Proof;
use commontrace_core::{OutcomeCounts, Status, TraceId, UserId};
use serde_json::Value;
use sqlx::QueryBuilder;
use sqlx::types::Json;

use crate::evidence::counting;
use crate::pool::on_pool;
use crate::tx::{Tx, on_tx};
use crate::{Result, Store};

/// A trace with its author's name.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Trace {
    pub id: TraceId,
    pub contributor_id: UserId,
    pub contributor_name: Option<String>,
    pub title: String,
    pub context_text: String,
    pub solution_text: String,
    pub tags: Json<Vec<String>>,
    pub context: Json<BTreeMap<String, String>>,
    pub metadata_json: Option<Json<Value>>,
    pub agent_model: Option<String>,
    pub agent_version: Option<String>,
    pub is_seed: bool,
    pub status: Status,
    pub trust_score: f64,
    pub up_votes: i64,
    pub down_votes: i64,
    #[sqlx(flatten)]
    pub outcomes: OutcomeCounts,
    pub replaced_up_votes: i64,
    pub replaced_down_votes: i64,
    pub retrieval_count: i64,
    pub revision: i64,
    pub text_revision: i64,
    pub review_after: Option<DateTime<Utc>>,
    pub watch_condition: Option<String>,
    pub valid_from: Option<DateTime<Utc>>,
    pub valid_until: Option<DateTime<Utc>>,
    pub flag_count: i64,
    pub flagged_at: Option<DateTime<Utc>>,
    pub hidden_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    pub evidence_proof: Option<Proof>,
    pub evidence_is_backed: Option<bool>,
    pub evidence_revision: Option<i64>,
    pub evidence_summary: Option<String>,
}

impl Trace {
    /// What of the evidence counts for the text as it is: nothing once that is another.
    pub fn proof(&self) -> Option<Proof> {
        let of_this_text = self.evidence_revision >= Some(self.text_revision);
        let counting = counting(
            self.evidence_proof,
            self.evidence_is_backed.unwrap_or(false),
        );
        counting.filter(|_| of_this_text)
    }
}

/// A link from one trace to another.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Relation {
    /// The trace that the link leaves from.
    pub source_id: TraceId,
    /// The trace that it leads to.
    pub target_id: TraceId,
    /// What the first is to the second, such as `SUPERSEDES`.
    pub relationship_type: String,
    /// The other trace's title.
    pub title: String,
}

/// The columns of a [`Trace`], to be followed by conditions.
macro_rules! select_trace {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, t.contributor_id, u.display_name AS contributor_name, t.title, ",
            "t.context_text, t.solution_text, t.tags, t.context, t.metadata_json, t.agent_model, ",
            "t.agent_version, t.is_seed, t.status, t.trust_score, t.up_votes, t.down_votes, ",
            "t.worked, t.worked_with_changes, t.did_not_work, t.not_relevant, ",
            "t.replaced_up_votes, t.replaced_down_votes, ",
            "t.retrieval_count, t.revision, t.text_revision, t.review_after, t.watch_condition, t.valid_from, ",
            "t.valid_until, t.flag_count, t.flagged_at, t.hidden_at, t.created_at, t.updated_at, ",
            "t.changed_at, e.proof AS evidence_proof, e.is_backed AS evidence_is_backed, ",
            "e.revision AS evidence_revision, e.summary AS evidence_summary ",
            "FROM traces t JOIN users u ON u.id = t.contributor_id ",
            "LEFT JOIN trace_evidence e ON e.trace_id = t.id ",
            $rest
        )
    };
}
pub(crate) use select_trace;

impl Store {
    /// Returns a trace, hidden or not.
    pub async fn trace(&self, id: TraceId) -> Result<Option<Trace>> {
        Ok(on_pool!(self, |db| sqlx::query_as(select_trace!(
            "WHERE t.id = $1"
        ))
        .bind(id)
        .fetch_optional(db)
        .await)?)
    }

    /// Returns those of `ids` that exist, in no particular order.
    pub async fn traces(&self, ids: &[TraceId]) -> Result<Vec<Trace>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        Ok(on_pool!(self, |db| {
            let mut query = QueryBuilder::new(select_trace!("WHERE t.id IN ("));
            let mut list = query.separated(", ");
            for id in ids {
                list.push_bind(*id);
            }
            query.push(")");
            query.build_query_as().fetch_all(db).await
        })?)
    }

    /// Returns the links that leave or reach a trace, at most `limit`, newest first.
    pub async fn relations(&self, id: TraceId, limit: i64) -> Result<Vec<Relation>> {
        Ok(on_pool!(self, |db| {
            sqlx::query_as(
            "SELECT r.source_id, r.target_id, r.relationship_type, t.title
             FROM relations r
             JOIN traces t ON t.id = CASE WHEN r.source_id = $1 THEN r.target_id ELSE r.source_id END
             WHERE (r.source_id = $1 OR r.target_id = $1) AND t.hidden_at IS NULL
             ORDER BY r.created_at DESC, r.source_id LIMIT $2",
        )
        .bind(id)
        .bind(limit)
        .fetch_all(db)
        .await
        })?)
    }
}

/// Reads a trace inside a transaction.
pub(crate) async fn trace(tx: &mut Tx<'_>, id: TraceId) -> Result<Option<Trace>> {
    Ok(on_tx!(tx, |db| sqlx::query_as(select_trace!(
        "WHERE t.id = $1"
    ))
    .bind(id)
    .fetch_optional(db)
    .await)?)
}

/// Makes other transactions that change this trace wait for this one.
///
/// SQLite has one writer at a time anyway; on PostgreSQL an update without effect takes the row's
/// lock. Returns false if there is no such trace.
pub(crate) async fn lock(tx: &mut Tx<'_>, id: TraceId) -> Result<bool> {
    Ok(on_tx!(tx, |db| sqlx::query(
        "UPDATE traces SET revision = revision WHERE id = $1"
    )
    .bind(id)
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0))?)
}

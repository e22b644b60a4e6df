//! Many ready-made traces at once, with their vectors, for measurements of a large store.
//!
//! On PostgreSQL by binary `COPY`, on SQLite by rows put together into few statements, each batch in
//! one transaction. No job is made, no idempotency noted and no check run: what is given is taken as
//! it is. Only the generator of a capacity test uses this, hence the feature.

mod copy;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use commontrace_core::{Status, TraceId, UserId};
use futures_util::FutureExt;
use sqlx::types::Json;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::tx::{Tx, on_tx};
use crate::write::execute;
use crate::{EmbeddingModel, Result, Store, embeddings};

/// Rows of a table in one statement on SQLite, whose statements have 32,766 parameters at most.
const SQLITE_ROWS: usize = 200;
/// Traces removed in one transaction.
const REMOVED_AT_ONCE: i64 = 10_000;

/// A ready-made trace.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct BulkTrace {
    pub id: TraceId,
    pub title: String,
    pub context_text: String,
    pub solution_text: String,
    pub tags: Vec<String>,
    /// As many floats as the model has dimensions.
    pub vector: Vec<f32>,
}

/// What the traces of a batch have in common.
#[derive(Debug, Clone)]
struct Batch {
    owner: UserId,
    model: EmbeddingModel,
    traces: Vec<BulkTrace>,
    now: DateTime<Utc>,
}

impl Store {
    /// Stores validated traces of the account `owner` with their vectors of `model`, all or none.
    pub async fn import_bulk(
        &self,
        owner: UserId,
        model: EmbeddingModel,
        traces: Vec<BulkTrace>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        // A transaction that runs again takes the same batch.
        let batch = Arc::new(Batch {
            owner,
            model,
            traces,
            now,
        });
        self.write(move |tx| {
            async move {
                match tx {
                    Tx::Sqlite(db, _) => insert(db, &batch).await?,
                    Tx::Postgres(db, derived) => {
                        copy::batch(db, &batch).await?;
                        if let Some(derived) = *derived {
                            copy::derived(db, derived, &batch).await?;
                        }
                    }
                }
                count_tags(tx, &batch.traces).await
            }
            .boxed()
        })
        .await
    }

    /// Brings the statistics up to date by which the engine plans its queries, and where it searches
    /// by itself, the counts of words and the index of the vectors of `model`.
    pub async fn finish_bulk(&self, model: &EmbeddingModel) -> Result<()> {
        if let Some(mut lock) = self.try_search_lock().await? {
            self.fold_search_changes(true).await?;
            self.build_vector_index(&mut lock, model, 1).await?;
            lock.release().await;
        }
        execute!(self, sqlx::query("ANALYZE")).map(drop)
    }

    /// Removes the account `owner` and all of its traces without a trace: no note of their deletion
    /// stays. A server that runs on the store does not learn of it. Returns how many traces there
    /// were.
    pub async fn remove_bulk(&self, owner: UserId) -> Result<u64> {
        let mut removed = 0;
        loop {
            let some = self.write(move |tx| remove_some(tx, owner).boxed()).await?;
            if some == 0 {
                break;
            }
            removed += some;
        }
        execute!(
            self,
            sqlx::query("DELETE FROM users WHERE id = $1").bind(owner)
        )?;
        Ok(removed)
    }
}

async fn insert(db: &mut SqliteConnection, batch: &Batch) -> Result<()> {
    for traces in batch.traces.chunks(SQLITE_ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(concat!(
            "INSERT INTO traces (id, contributor_id, title, context_text, solution_text, tags, ",
            "context, is_seed, status, trust_score, up_votes, down_votes, retrieval_count, ",
            "revision, flag_count, created_at, updated_at, changed_at) ",
        ));
        query.push_values(traces, |mut row, trace| {
            row.push_bind(trace.id)
                .push_bind(batch.owner)
                .push_bind(&trace.title)
                .push_bind(&trace.context_text)
                .push_bind(&trace.solution_text)
                .push_bind(Json(&trace.tags))
                .push("'{}', FALSE")
                .push_bind(Status::Validated)
                .push("1.0, 0, 0, 0, 1, 0")
                .push_bind(batch.now)
                .push_bind(batch.now)
                .push_bind(batch.now);
        });
        query.build().execute(&mut *db).await?;

        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO embeddings (trace_id, model_id, model_version, dimensions, revision, \
             vector, created_at) ",
        );
        query.push_values(traces, |mut row, trace| {
            row.push_bind(trace.id)
                .push_bind(&batch.model.id)
                .push_bind(&batch.model.version)
                .push_bind(batch.model.dimensions as i64)
                .push("1")
                .push_bind(embeddings::to_bytes(&trace.vector))
                .push_bind(batch.now);
        });
        query.build().execute(&mut *db).await?;

        let tags = traces
            .iter()
            .flat_map(|trace| trace.tags.iter().map(move |tag| (trace.id, tag)));
        let mut query =
            QueryBuilder::<Sqlite>::new("INSERT INTO trace_tags (trace_id, tag, created_at) ");
        let mut any = false;
        query.push_values(tags, |mut row, (trace, tag)| {
            any = true;
            row.push_bind(trace).push_bind(tag).push_bind(batch.now);
        });
        if any {
            query.build().execute(&mut *db).await?;
        }
    }
    Ok(())
}

/// Counts the tags of traces that were just stored.
async fn count_tags(tx: &mut Tx<'_>, traces: &[BulkTrace]) -> Result<()> {
    let mut counts = std::collections::BTreeMap::<&String, i64>::new();
    for tag in traces.iter().flat_map(|trace| &trace.tags) {
        *counts.entry(tag).or_default() += 1;
    }
    crate::tags::count(tx, counts.into_iter().collect()).await
}

/// Removes some of an account's traces, with what belongs to them, and returns how many.
async fn remove_some(tx: &mut Tx<'_>, owner: UserId) -> Result<u64> {
    const SOME: &str = "SELECT id FROM traces WHERE contributor_id = $1
                        ORDER BY created_at, id LIMIT $2";
    let statements = [
        format!(
            "UPDATE tags SET trace_count = trace_count - (
                 SELECT COUNT(*) FROM trace_tags t WHERE t.tag = tags.name
                 AND t.trace_id IN ({SOME}))
             WHERE name IN (SELECT tag FROM trace_tags WHERE trace_id IN ({SOME}))"
        ),
        format!("DELETE FROM jobs WHERE subject_id IN ({SOME})"),
        format!("DELETE FROM traces WHERE id IN ({SOME})"),
    ];
    let mut removed = 0;
    for statement in statements {
        removed = on_tx!(tx, |db| sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(owner)
            .bind(REMOVED_AT_ONCE)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
    }
    // A tag without traces says nothing, whoever used it first.
    on_tx!(tx, |db| sqlx::query(
        "DELETE FROM tags WHERE trace_count = 0"
    )
    .execute(db)
    .await
    .map(drop))?;
    Ok(removed)
}

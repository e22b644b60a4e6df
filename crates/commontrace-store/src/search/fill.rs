//! Making what is missing to search by: after an upgrade, where tables were emptied, and what a
//! process wrote that knows nothing of them.
//!
//! In steps, each of which begins behind the trace where the one before ended, so that filling takes
//! time in proportion to what there is. A step may be carried out by several processes at once
//! without harm.

use chrono::{DateTime, Utc};
use commontrace_core::TraceId;
use futures_util::FutureExt;
use sqlx::SqliteConnection;
use sqlx::types::Json;

use super::{MakeDocument, SearchDocument, Texts, vector};
use crate::jobs::EMBED;
use crate::pool::{Pool, on_pool};
use crate::tx::Tx;
use crate::{EmbeddingModel, Result, Store, embeddings};

/// Traces in one step. Their locks are held while they are written.
const STEP: i64 = 100;

/// Where a step of filling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// The last trace that was looked at; none if there was none left.
    pub last: Option<TraceId>,
    /// How many were made.
    pub made: usize,
}

/// Which traces to look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fill {
    /// Only those behind this one.
    pub after: Option<TraceId>,
    /// Only those that changed at this moment or later.
    pub since: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: TraceId,
    revision: i64,
    title: String,
    context_text: String,
    solution_text: String,
    tags: Json<Vec<String>>,
}

impl Store {
    /// Makes documents that are missing, or are of an earlier text or by older rules than `make`'s.
    pub async fn fill_search_documents(&self, make: MakeDocument, fill: Fill) -> Result<Filled> {
        let wanted = self.demand.one();
        let rows: Vec<Row> = on_pool!(self, |pool| sqlx::query_as(
            "SELECT t.id, t.revision, t.title, t.context_text, t.solution_text, t.tags
             FROM traces t LEFT JOIN search_documents d ON d.trace_id = t.id
             WHERE t.id > $1 AND t.changed_at >= $2 AND t.hidden_at IS NULL
               AND (d.trace_id IS NULL OR d.revision <> t.revision OR d.version < $3)
             ORDER BY t.id LIMIT $4",
        )
        .bind(fill.after())
        .bind(fill.since())
        .bind(make.version)
        .bind(STEP)
        .fetch_all(pool)
        .await)?;
        drop(wanted);
        let last = rows.last().map(|row| row.id);
        // Long texts take a while, which requests on this thread must not wait for.
        let made = tokio::task::spawn_blocking(move || {
            let document = |row: &Row| {
                (make.make)(Texts {
                    title: &row.title,
                    context_text: &row.context_text,
                    solution_text: &row.solution_text,
                    tags: &row.tags,
                })
            };
            let made = rows.iter().map(|row| (row.id, row.revision, document(row)));
            made.collect::<Vec<_>>()
        });
        let made = made
            .await
            .unwrap_or_else(|failed| match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Vec::new(),
            });
        let made = self
            .write(move |tx| put_documents(tx, make.version, made).boxed())
            .await?;
        Ok(Filled { last, made })
    }

    /// Makes vectors of a model ones to search with that are not, or are of an earlier text.
    pub async fn fill_search_vectors(&self, model: &EmbeddingModel, fill: Fill) -> Result<Filled> {
        let Pool::Postgres(pool) = &self.pool else {
            return Ok(Filled {
                last: None,
                made: 0,
            });
        };
        let number = self.search_model(model).await?;
        let wanted = self.demand.one();
        let rows: Vec<(TraceId,)> = sqlx::query_as(
            "SELECT e.trace_id
             FROM embeddings e
             JOIN traces t ON t.id = e.trace_id AND t.hidden_at IS NULL
             LEFT JOIN search_vectors v ON v.trace_id = e.trace_id AND v.model = $1
             WHERE e.model_id = $2 AND e.model_version = $3 AND e.dimensions = $4
               AND e.trace_id > $5 AND t.changed_at >= $6
               AND (v.trace_id IS NULL OR v.revision <> e.revision)
             ORDER BY e.trace_id LIMIT $7",
        )
        .bind(number)
        .bind(&model.id)
        .bind(&model.version)
        .bind(model.dimensions as i64)
        .bind(fill.after())
        .bind(fill.since())
        .bind(STEP)
        .fetch_all(pool)
        .await?;
        drop(wanted);
        let ids: Vec<TraceId> = rows.into_iter().map(|(id,)| id).collect();
        let last = ids.last().copied();
        let model = model.clone();
        let made = self
            .write(move |tx| put_vectors(tx, number, model, ids).boxed())
            .await?;
        Ok(Filled { last, made })
    }
}

impl Store {
    /// Returns when a trace changed last; none if there is no trace.
    pub async fn last_change(&self) -> Result<Option<DateTime<Utc>>> {
        Ok(on_pool!(self, |db| sqlx::query_scalar(
            "SELECT MAX(changed_at) FROM traces"
        )
        .fetch_one(db)
        .await)?)
    }

    /// Returns whether a trace that changed at `since` or later has neither a vector of `model` nor
    /// a job for one.
    pub async fn lacks_embeddings(
        &self,
        model: &EmbeddingModel,
        since: DateTime<Utc>,
    ) -> Result<bool> {
        Ok(on_pool!(self, |db| {
            sqlx::query_scalar(
            "SELECT EXISTS (
                 SELECT 1 FROM traces t
                 WHERE t.changed_at >= $6
                   AND NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.trace_id = t.id
                                   AND e.model_id = $1 AND e.model_version = $2 AND e.dimensions = $3
                                   AND e.revision >= t.revision)
                   AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.kind = $4 AND j.queue = $5
                                   AND j.subject_id = t.id))",
        )
        .bind(&model.id)
        .bind(&model.version)
        .bind(model.dimensions as i64)
        .bind(EMBED)
        .bind(model.queue())
        .bind(since)
        .fetch_one(db)
        .await
        })?)
    }
}

impl Fill {
    fn after(&self) -> TraceId {
        self.after.unwrap_or(TraceId(uuid::Uuid::nil()))
    }

    fn since(&self) -> DateTime<Utc> {
        self.since.unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// Stores documents of traces whose text is still the one that they were made of.
async fn put_documents(
    tx: &mut Tx<'_>,
    version: i32,
    made: Vec<(TraceId, i64, SearchDocument)>,
) -> Result<usize> {
    let db = match tx {
        Tx::Postgres(db, Some(_)) => db,
        Tx::Postgres(_, None) => return Ok(0),
        Tx::Sqlite(db, _) => return put_in_file(db, version, made).await,
    };
    let ids: Vec<TraceId> = made.iter().map(|&(id, ..)| id).collect();
    // In one order, so that two writers never wait for each other's traces crosswise.
    let current: Vec<(TraceId, i64)> = sqlx::query_as(
        "SELECT id, revision FROM traces WHERE id = ANY ($1) AND hidden_at IS NULL
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(&ids)
    .fetch_all(&mut **db)
    .await?;
    let mut written = 0;
    for (id, revision, document) in made {
        if current.binary_search(&(id, revision)).is_err() {
            continue;
        }
        super::document::put(db, id, revision, version, &document).await?;
        written += 1;
    }
    Ok(written)
}

async fn put_in_file(
    db: &mut SqliteConnection,
    version: i32,
    made: Vec<(TraceId, i64, SearchDocument)>,
) -> Result<usize> {
    let mut written = 0;
    for (id, revision, document) in made {
        let current = "SELECT EXISTS (SELECT 1 FROM traces WHERE id = $1 AND revision = $2 AND hidden_at IS NULL)";
        let current = sqlx::query_scalar(current).bind(id).bind(revision);
        if current.fetch_one(&mut *db).await? {
            super::document::put_in_file(db, id, revision, version, &document).await?;
            written += 1;
        }
    }
    Ok(written)
}

async fn put_vectors(
    tx: &mut Tx<'_>,
    number: i32,
    model: EmbeddingModel,
    ids: Vec<TraceId>,
) -> Result<usize> {
    let Tx::Postgres(db, Some(_)) = tx else {
        return Ok(0);
    };
    let vectors: Vec<(TraceId, i64, Vec<u8>)> = sqlx::query_as(
        "WITH locked AS MATERIALIZED (
             SELECT id FROM traces WHERE id = ANY ($1) AND hidden_at IS NULL
             ORDER BY id FOR NO KEY UPDATE)
         SELECT e.trace_id, e.revision, e.vector FROM locked JOIN embeddings e ON e.trace_id = locked.id
         WHERE e.model_id = $2 AND e.model_version = $3 AND e.dimensions = $4",
    )
    .bind(&ids)
    .bind(&model.id)
    .bind(&model.version)
    .bind(model.dimensions as i64)
    .fetch_all(&mut **db)
    .await?;
    let mut written = 0;
    for (id, revision, bytes) in vectors {
        if let Some(vector) = embeddings::from_bytes(&bytes, model.dimensions) {
            vector::put(db, number, id, revision, &vector).await?;
            written += 1;
        }
    }
    Ok(written)
}

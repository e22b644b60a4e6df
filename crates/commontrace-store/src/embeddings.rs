//! Vectors and the jobs that make them.

use chrono::{DateTime, Utc};
use commontrace_core::{JobId, TraceId};
use futures_util::FutureExt;
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::jobs::{EMBED, NewJob};
use crate::pool::on_pool;
use crate::traces::read;
use crate::tx::{Tx, on_tx};
use crate::{Result, Store, search};

/// The model that a vector comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingModel {
    /// The model's name.
    pub id: String,
    /// Which weights of it.
    pub version: String,
    /// Length of its vectors.
    pub dimensions: usize,
}

impl EmbeddingModel {
    /// Returns the name of the queue for this model's jobs.
    pub fn queue(&self) -> String {
        format!("{}@{}/{}", self.id, self.version, self.dimensions)
    }
}

/// What became of the vectors of other models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// How many vectors were removed.
    pub removed: u64,
    /// Models whose vectors were kept, because a server searches with them.
    pub in_use: Vec<EmbeddingModel>,
}

/// A vector made for a job.
#[derive(Debug, Clone)]
pub struct NewVector {
    /// The job that asked for it.
    pub job: JobId,
    /// The trace.
    pub trace_id: TraceId,
    /// The revision that was embedded.
    pub revision: i64,
    /// As many floats as the model has dimensions.
    pub vector: Vec<f32>,
}

impl Store {
    /// Stores vectors and removes their jobs, unless a job was taken over or asked for again.
    pub async fn store_vectors(
        &self,
        model: EmbeddingModel,
        lease: Uuid,
        mut vectors: Vec<NewVector>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        // In one order, so that two writers never wait for each other's traces crosswise.
        vectors.sort_by_key(|new| new.trace_id);
        self.write(move |tx| {
            async move {
                for new in &vectors {
                    store_vector(tx, &model, lease, new, now).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Removes the vectors and jobs of every model but this one, and but those that servers search
    /// with inside the database at `now`: they would lose them under way.
    pub async fn prune_embeddings(
        &self,
        keep: EmbeddingModel,
        now: DateTime<Utc>,
    ) -> Result<Pruned> {
        let mut kept = self.search_models_in_use(now).await?;
        kept.retain(|model| *model != keep);
        let in_use = kept.clone();
        kept.push(keep);
        let models = kept.clone();
        let removed = self
            .write(move |tx| async move { prune(tx, &models).await }.boxed())
            .await?;
        self.forget_search_models(&kept).await?;
        Ok(Pruned { removed, in_use })
    }

    /// Enqueues every trace whose current text has no vector of `model` and no job for one, at most
    /// `limit`; `ids` makes the jobs' ids. Returns how many it found; fewer than `limit` are the last.
    pub async fn enqueue_missing_embeddings(
        &self,
        model: &EmbeddingModel,
        limit: i64,
        mut ids: impl FnMut() -> JobId,
        now: DateTime<Utc>,
    ) -> Result<usize> {
        let queue = model.queue();
        let mut missing: Vec<TraceId> = on_pool!(self, |db| sqlx::query_scalar(
            "SELECT t.id FROM traces t
             WHERE NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.trace_id = t.id
                               AND e.model_id = $1 AND e.model_version = $2 AND e.dimensions = $3
                               AND e.revision >= t.revision)
               AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.kind = $4 AND j.queue = $5
                               AND j.subject_id = t.id)
             LIMIT $6",
        )
        .bind(&model.id)
        .bind(&model.version)
        .bind(model.dimensions as i64)
        .bind(EMBED)
        .bind(&queue)
        .bind(limit)
        .fetch_all(db)
        .await)?;
        missing.sort();
        let jobs: Vec<_> = missing.iter().map(|&trace| (ids(), trace)).collect();
        self.write(move |tx| {
            async move {
                for &(job, trace) in &jobs {
                    // By now the trace may be gone, or another process may have enqueued it.
                    if read::lock(tx, trace).await? {
                        insert(tx, job, &queue, trace, now).await?;
                    }
                }
                Ok(jobs.len())
            }
            .boxed()
        })
        .await
    }
}

async fn prune(tx: &mut Tx<'_>, kept: &[EmbeddingModel]) -> Result<u64> {
    on_tx!(tx, |db| {
        let mut query = QueryBuilder::new("DELETE FROM jobs WHERE kind = ");
        query.push_bind(EMBED).push(" AND queue NOT IN (");
        let mut queues = query.separated(", ");
        for model in kept {
            queues.push_bind(model.queue());
        }
        query.push(")").build().execute(db).await.map(drop)
    })?;
    Ok(on_tx!(tx, |db| {
        let mut query = QueryBuilder::new("DELETE FROM embeddings WHERE TRUE");
        for model in kept {
            query.push(" AND NOT (model_id = ").push_bind(&model.id);
            query
                .push(" AND model_version = ")
                .push_bind(&model.version);
            query
                .push(" AND dimensions = ")
                .push_bind(model.dimensions as i64);
            query.push(")");
        }
        query
            .build()
            .execute(db)
            .await
            .map(|done| done.rows_affected())
    })?)
}

/// Asks for a trace to be embedded by each job's model. A job that is there already starts afresh,
/// and whoever holds it loses the lease, because the text has changed under it.
pub(crate) async fn enqueue(
    tx: &mut Tx<'_>,
    jobs: &[NewJob],
    trace: TraceId,
    now: DateTime<Utc>,
) -> Result<()> {
    for job in jobs {
        on_tx!(tx, |db| sqlx::query(
            "INSERT INTO jobs
                 (id, kind, queue, subject_id, state, attempts, run_at, created_at, traceparent)
             VALUES ($1, $2, $3, $4, 'queued', 0, $5, $5, $6)
             ON CONFLICT (kind, queue, subject_id) DO UPDATE SET
                 state = 'queued', attempts = 0, run_at = $5, lease = NULL, leased_until = NULL,
                 last_error = NULL, traceparent = $6",
        )
        .bind(job.id)
        .bind(EMBED)
        .bind(&job.queue)
        .bind(trace)
        .bind(now)
        .bind(job.trace_context.map(|context| context.to_string()))
        .execute(db)
        .await
        .map(drop))?;
    }
    Ok(())
}

/// Inserts a job, unless the trace has one in this queue, which then stays as it is.
async fn insert(
    tx: &mut Tx<'_>,
    job: JobId,
    queue: &str,
    trace: TraceId,
    now: DateTime<Utc>,
) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO jobs (id, kind, queue, subject_id, state, attempts, run_at, created_at)
         VALUES ($1, $2, $3, $4, 'queued', 0, $5, $5)
         ON CONFLICT (kind, queue, subject_id) DO NOTHING",
    )
    .bind(job)
    .bind(EMBED)
    .bind(queue)
    .bind(trace)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

async fn store_vector(
    tx: &mut Tx<'_>,
    model: &EmbeddingModel,
    lease: Uuid,
    new: &NewVector,
    now: DateTime<Utc>,
) -> Result<()> {
    // First the trace and then its jobs, as when it is deleted: so the two never wait crosswise.
    let trace_exists = read::lock(tx, new.trace_id).await?;
    let finished = on_tx!(tx, |db| sqlx::query(
        "DELETE FROM jobs WHERE id = $1 AND lease = $2"
    )
    .bind(new.job)
    .bind(lease)
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0))?;
    if !finished || !trace_exists {
        return Ok(());
    }
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO embeddings (trace_id, model_id, model_version, dimensions, revision, vector,
                                 created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (trace_id, model_id, model_version, dimensions) DO UPDATE SET
             revision = excluded.revision,
             vector = excluded.vector, created_at = excluded.created_at",
    )
    .bind(new.trace_id)
    .bind(&model.id)
    .bind(&model.version)
    .bind(model.dimensions as i64)
    .bind(new.revision)
    .bind(to_bytes(&new.vector))
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    search::put_vector(tx, model, new.trace_id, new.revision, &new.vector).await?;
    // Other nodes that keep an index of vectors learn of it as of any other change.
    on_tx!(tx, |db| sqlx::query(
        "UPDATE traces SET changed_at = $2 WHERE id = $1"
    )
    .bind(new.trace_id)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

pub(crate) fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Reads a stored vector; `None` if it does not have `dimensions` floats.
pub(crate) fn from_bytes(bytes: &[u8], dimensions: usize) -> Option<Vec<f32>> {
    let (floats, rest) = bytes.as_chunks::<4>();
    (rest.is_empty() && floats.len() == dimensions).then(|| {
        floats
            .iter()
            .map(|&float| f32::from_le_bytes(float))
            .collect()
    })
}

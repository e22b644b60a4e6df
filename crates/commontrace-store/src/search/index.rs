//! The indexes of vectors: one for each model, built while searches and writes go on.

use sqlx::{AssertSqlSafe, PgConnection};

use super::candidates::INDEXED_DIMENSIONS;
use crate::lock::StoreLock;
use crate::{EmbeddingModel, Result, Store};

/// Links of a vector to others, and how many are weighed up for them.
const M: usize = 16;
const EF_CONSTRUCTION: usize = 64;
/// Memory that a vector takes while an index is built, besides its components.
const OVERHEAD_BYTES: usize = 1000;
/// Memory at most that is asked for beyond what the server's settings give.
const MEMORY_MAX: usize = 1 << 30;

/// What became of a model's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorIndex {
    /// It was there.
    Present,
    /// It was built.
    Built,
    /// There are too few vectors for it to be of use.
    TooFew,
    /// The vectors have more components than can be indexed; all are compared each time.
    TooLong,
}

impl Store {
    /// Builds the index of a model's vectors if there is none and there are `at_least` vectors, with
    /// the lock that keeps others from building it too. One that an interrupted build has left behind
    /// is made anew.
    pub async fn build_vector_index(
        &self,
        lock: &mut StoreLock,
        model: &EmbeddingModel,
        at_least: u64,
    ) -> Result<VectorIndex> {
        let number = self.search_model(model).await?;
        let Some(db) = lock.connection() else {
            return Ok(VectorIndex::TooFew);
        };
        if model.dimensions > INDEXED_DIMENSIONS {
            return Ok(VectorIndex::TooLong);
        }
        let name = index_name(number);
        let valid: Option<bool> = sqlx::query_scalar(
            "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE i.indrelid = 'search_vectors'::regclass AND c.relname = $1",
        )
        .bind(&name)
        .fetch_optional(&mut *db)
        .await?;
        if valid == Some(true) {
            return Ok(VectorIndex::Present);
        }
        if valid == Some(false) {
            tracing::info!("the index {name} was left unfinished and is built anew");
            drop_index(db, number).await?;
        }
        let vectors: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM search_vectors WHERE model = $1")
                .bind(number)
                .fetch_one(&mut *db)
                .await?;
        let vectors = usize::try_from(vectors).unwrap_or(0);
        if (vectors as u64) < at_least {
            return Ok(VectorIndex::TooFew);
        }
        tracing::info!(
            model = model.id,
            vectors,
            "building the index of {vectors} vectors of {}; until it is there all of them are compared",
            model.id
        );
        let memory = vectors.saturating_mul(model.dimensions * 2 + OVERHEAD_BYTES);
        settle_memory(db, memory).await?;
        let create = format!(
            "CREATE INDEX CONCURRENTLY {name} ON search_vectors
             USING hnsw ((embedding::halfvec({})) halfvec_cosine_ops)
             WITH (m = {M}, ef_construction = {EF_CONSTRUCTION}) WHERE model = {number}",
            model.dimensions
        );
        let built = sqlx::raw_sql(AssertSqlSafe(create.as_str()))
            .execute(&mut *db)
            .await;
        if let Err(err) = built {
            // Several processes build in shared memory, of which a container may have little.
            tracing::warn!(error = %err, "building the index again in one process: {err}");
            drop_index(db, number).await?;
            sqlx::raw_sql("SET max_parallel_maintenance_workers = 0")
                .execute(&mut *db)
                .await?;
            sqlx::raw_sql(AssertSqlSafe(create))
                .execute(&mut *db)
                .await?;
        }
        Ok(VectorIndex::Built)
    }
}

fn index_name(model: i32) -> String {
    format!("search_vectors_hnsw_{model}")
}

/// Drops a model's index, finished or not.
pub(crate) async fn drop_index(db: &mut PgConnection, model: i32) -> Result<()> {
    let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index_name(model));
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(db).await?;
    Ok(())
}

/// Lets this connection use as much memory as building takes: a graph that does not fit is built many
/// times slower.
async fn settle_memory(db: &mut PgConnection, bytes: usize) -> Result<()> {
    let granted: i64 =
        sqlx::query_scalar("SELECT pg_size_bytes(current_setting('maintenance_work_mem'))")
            .fetch_one(&mut *db)
            .await?;
    let wanted = bytes.min(MEMORY_MAX);
    if usize::try_from(granted).is_ok_and(|granted| granted < wanted) {
        let set = format!("SET maintenance_work_mem = '{}kB'", wanted / 1024);
        sqlx::raw_sql(AssertSqlSafe(set)).execute(db).await?;
    }
    Ok(())
}

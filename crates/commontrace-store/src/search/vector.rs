//! The vectors of traces as PostgreSQL compares them, kept in step with `embeddings`.

use commontrace_core::TraceId;
use sqlx::PgConnection;

use super::halfvec::HalfVec;
use super::models::number;
use crate::tx::Tx;
use crate::{EmbeddingModel, Result, embeddings};

/// Makes a vector that was written in this transaction one to search with, unless the trace is
/// hidden. The caller holds the trace's lock. A vector without a direction is like none.
pub(crate) async fn put_vector(
    tx: &mut Tx<'_>,
    model: &EmbeddingModel,
    trace: TraceId,
    revision: i64,
    vector: &[f32],
) -> Result<()> {
    let Tx::Postgres(db, Some(_)) = tx else {
        return Ok(());
    };
    let number = number(db, model).await?;
    put(db, number, trace, revision, vector).await
}

pub(super) async fn put(
    db: &mut PgConnection,
    model: i32,
    trace: TraceId,
    revision: i64,
    vector: &[f32],
) -> Result<()> {
    let Some(vector) = HalfVec::new(vector) else {
        tracing::error!(trace.id = %trace, "trace `{trace}` is found by its words only: its vector has no direction");
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO search_vectors (trace_id, model, revision, embedding)
         SELECT id, $2, $3, $4 FROM traces WHERE id = $1 AND hidden_at IS NULL
         ON CONFLICT (trace_id, model) DO UPDATE SET
             revision = excluded.revision, embedding = excluded.embedding",
    )
    .bind(trace)
    .bind(model)
    .bind(revision)
    .bind(vector)
    .execute(&mut *db)
    .await?;
    Ok(())
}

/// Makes all vectors of a trace that is shown again ones to search with.
pub(crate) async fn restore_vectors(tx: &mut Tx<'_>, trace: TraceId) -> Result<()> {
    let Tx::Postgres(db, Some(_)) = tx else {
        return Ok(());
    };
    let kept: Vec<(String, String, i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT model_id, model_version, dimensions, revision, vector FROM embeddings
         WHERE trace_id = $1",
    )
    .bind(trace)
    .fetch_all(&mut **db)
    .await?;
    for (id, version, dimensions, revision, bytes) in kept {
        let model = EmbeddingModel {
            id,
            version,
            dimensions: usize::try_from(dimensions).unwrap_or(0),
        };
        if let Some(vector) = embeddings::from_bytes(&bytes, model.dimensions) {
            let number = number(db, &model).await?;
            put(db, number, trace, revision, &vector).await?;
        }
    }
    Ok(())
}

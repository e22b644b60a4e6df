//! The models that vectors come from, by number, and which of them are searched with.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::index::drop_index;
use crate::pool::Pool;
use crate::{EmbeddingModel, Result, Store, postgres};

/// How long after its last note a server is taken to search with a model still.
const IN_USE: TimeDelta = TimeDelta::minutes(2);

impl Store {
    /// Returns the number of a model in the tables to search in, giving it one if it has none.
    pub async fn search_model(&self, model: &EmbeddingModel) -> Result<i32> {
        let Pool::Postgres(pool) = &self.pool else {
            return Ok(0);
        };
        number(&mut *pool.acquire().await?, model).await
    }

    /// Notes that a server searches with the vectors of a model at `now`.
    pub async fn note_search_model(
        &self,
        model: &EmbeddingModel,
        node: Uuid,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let number = self.search_model(model).await?;
        let Pool::Postgres(pool) = &self.pool else {
            return Ok(());
        };
        sqlx::query(
            "INSERT INTO search_uses (model, node, used_at) VALUES ($1, $2, $3)
             ON CONFLICT (model, node) DO UPDATE SET used_at = excluded.used_at",
        )
        .bind(number)
        .bind(node)
        .bind(now)
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Notes that a server searches with a model no longer.
    pub async fn forget_search_use(&self, model: &EmbeddingModel, node: Uuid) -> Result<()> {
        let Pool::Postgres(pool) = &self.pool else {
            return Ok(());
        };
        sqlx::query(
            "DELETE FROM search_uses WHERE node = $4 AND model = (
                 SELECT id FROM search_models
                 WHERE model_id = $1 AND model_version = $2 AND dimensions = $3)",
        )
        .bind(&model.id)
        .bind(&model.version)
        .bind(model.dimensions as i64)
        .bind(node)
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Returns the models that servers searched with inside the database a moment ago.
    pub(crate) async fn search_models_in_use(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Vec<EmbeddingModel>> {
        let Pool::Postgres(pool) = &self.pool else {
            return Ok(Vec::new());
        };
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT model_id, model_version, dimensions FROM search_models
             WHERE id IN (SELECT model FROM search_uses WHERE used_at >= $1) ORDER BY id",
        )
        .bind(now - IN_USE)
        .fetch_all(pool)
        .await?;
        let model = |(id, version, dimensions): (String, String, i64)| EmbeddingModel {
            id,
            version,
            dimensions: usize::try_from(dimensions).unwrap_or(0),
        };
        Ok(rows.into_iter().map(model).collect())
    }

    /// Removes the vectors to search with and the indexes of all models but these.
    pub(crate) async fn forget_search_models(&self, kept: &[EmbeddingModel]) -> Result<()> {
        let (Pool::Postgres(pool), true) = (&self.pool, self.can_search()) else {
            return Ok(());
        };
        let mut db = postgres::unhurried(&pool.connect_options()).await?;
        let mut numbers = Vec::with_capacity(kept.len());
        for model in kept {
            numbers.push(number(&mut db, model).await?);
        }
        let others: Vec<i32> =
            sqlx::query_scalar("SELECT id FROM search_models WHERE id <> ALL ($1) ORDER BY id")
                .bind(&numbers)
                .fetch_all(&mut db)
                .await?;
        for other in others {
            // Before its rows, or each of them would be taken out of it.
            drop_index(&mut db, other).await?;
            sqlx::query("DELETE FROM search_models WHERE id = $1")
                .bind(other)
                .execute(&mut db)
                .await?;
        }
        db.close().await?;
        Ok(())
    }
}

/// Returns a model's number, giving it one if it has none.
pub(crate) async fn number(db: &mut PgConnection, model: &EmbeddingModel) -> Result<i32> {
    const FIND: &str = "SELECT id FROM search_models
        WHERE model_id = $1 AND model_version = $2 AND dimensions = $3";
    const ADD: &str = "INSERT INTO search_models (model_id, model_version, dimensions)
        VALUES ($1, $2, $3) ON CONFLICT (model_id, model_version, dimensions) DO NOTHING";
    loop {
        let found = sqlx::query_scalar(FIND)
            .bind(&model.id)
            .bind(&model.version)
            .bind(model.dimensions as i64)
            .fetch_optional(&mut *db)
            .await?;
        if let Some(number) = found {
            return Ok(number);
        }
        sqlx::query(ADD)
            .bind(&model.id)
            .bind(&model.version)
            .bind(model.dimensions as i64)
            .execute(&mut *db)
            .await?;
    }
}

//! Counts for the operator. They scan tables, so no request handler asks for them.

use crate::pool::on_pool;
use crate::{Result, Store};

/// How much of what there is.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Stats {
    pub users: i64,
    pub api_keys: i64,
    pub traces: i64,
    pub seed_traces: i64,
    pub validated_traces: i64,
    pub hidden_traces: i64,
    pub votes: i64,
    pub amendments: i64,
    pub embeddings: i64,
    pub queued_jobs: i64,
    pub dead_jobs: i64,
}

impl Store {
    /// Counts what is in the store.
    pub async fn stats(&self) -> Result<Stats> {
        Ok(on_pool!(self, |db| sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM users) AS users,
                    (SELECT COUNT(*) FROM api_keys WHERE revoked_at IS NULL) AS api_keys,
                    (SELECT COUNT(*) FROM traces) AS traces,
                    (SELECT COUNT(*) FROM traces WHERE is_seed) AS seed_traces,
                    (SELECT COUNT(*) FROM traces WHERE status = 'validated') AS validated_traces,
                    (SELECT COUNT(*) FROM traces WHERE hidden_at IS NOT NULL) AS hidden_traces,
                    (SELECT COUNT(*) FROM votes) AS votes,
                    (SELECT COUNT(*) FROM amendments) AS amendments,
                    (SELECT COUNT(*) FROM embeddings) AS embeddings,
                    (SELECT COUNT(*) FROM jobs WHERE state = 'queued') AS queued_jobs,
                    (SELECT COUNT(*) FROM jobs WHERE state = 'dead') AS dead_jobs",
        )
        .fetch_one(db)
        .await)?)
    }

    /// Returns the version of the database engine.
    pub async fn engine_version(&self) -> Result<String> {
        let sql = match self.engine() {
            crate::Engine::Sqlite => "SELECT 'SQLite ' || sqlite_version()",
            crate::Engine::Postgres => "SELECT 'PostgreSQL ' || current_setting('server_version')",
        };
        Ok(on_pool!(self, |db| sqlx::query_scalar(sql)
            .fetch_one(db)
            .await)?)
    }
}

//! The schema, as an append-only list of migrations that both engines run.

use std::borrow::Cow;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migrate, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::pool::open_private;
use crate::{Engine, Error, Result};

/// Every migration ever released; entries are added at the end and never change.
const MIGRATIONS: [Step; 11] = [
    Step {
        version: 1,
        name: "commons",
        only_on: None,
        sql: include_str!("../migrations/0001_commons.sql"),
    },
    Step {
        version: 2,
        name: "votes of a revision",
        only_on: None,
        sql: include_str!("../migrations/0002_votes_of_a_revision.sql"),
    },
    Step {
        version: 3,
        name: "embedding dimensions",
        only_on: None,
        sql: include_str!("../migrations/0003_embedding_dimensions.sql"),
    },
    Step {
        version: 4,
        name: "search",
        only_on: Some(Engine::Postgres),
        sql: include_str!("../migrations/0004_search.postgres.sql"),
    },
    Step {
        version: 5,
        name: "jobs of a trace",
        only_on: None,
        sql: include_str!("../migrations/0005_jobs_of_a_trace.sql"),
    },
    Step {
        version: 6,
        name: "sessions",
        only_on: None,
        sql: include_str!("../migrations/0006_sessions.sql"),
    },
    Step {
        version: 7,
        name: "session runs",
        only_on: None,
        sql: include_str!("../migrations/0007_session_runs.sql"),
    },
    Step {
        version: 8,
        name: "trace evidence",
        only_on: None,
        sql: include_str!("../migrations/0008_trace_evidence.sql"),
    },
    Step {
        version: 9,
        name: "session usage",
        only_on: None,
        sql: include_str!("../migrations/0009_session_usage.sql"),
    },
    Step {
        version: 10,
        name: "outcomes",
        only_on: None,
        sql: include_str!("../migrations/0010_outcomes.sql"),
    },
    Step {
        version: 11,
        name: "search",
        only_on: Some(Engine::Sqlite),
        sql: include_str!("../migrations/0011_search.sqlite.sql"),
    },
];

/// A migration.
struct Step {
    version: i64,
    name: &'static str,
    /// The engine that runs it, if it is not for both.
    only_on: Option<Engine>,
    sql: &'static str,
}

/// The table in which sqlx keeps what was applied.
const APPLIED: &str = "_sqlx_migrations";
/// After this time, the log says that a start waits for another process to migrate.
const SAY_SO_AFTER: Duration = Duration::from_secs(2);

/// Brings the schema up to date. On PostgreSQL under sqlx's advisory lock, which a connection that is
/// dropped gives back; on SQLite the caller holds a [`SqliteLock`], because sqlx takes none there.
pub(crate) async fn run<C: Migrate>(connection: &mut C, engine: Engine) -> Result<()> {
    run_these(connection, engine, &MIGRATIONS).await
}

async fn run_these<C: Migrate>(connection: &mut C, engine: Engine, steps: &[Step]) -> Result<()> {
    // The other engine's are known too: a version is of the program and not of an engine.
    let known = steps.last().map_or(0, |last| last.version);
    let steps: Vec<_> = steps
        .iter()
        .filter(|step| step.only_on.is_none_or(|only| only == engine))
        .collect();
    let last = steps.last().map_or(0, |last| last.version);
    let migrations = steps
        .iter()
        .map(|step| {
            let sql = AssertSqlSafe(step.sql).into_sql_str();
            Migration::new(
                step.version,
                Cow::Borrowed(step.name),
                MigrationType::Simple,
                sql,
                false,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    // Taken here, to know what was applied before.
    migrator.set_locking(false);
    lock(connection).await?;
    connection.ensure_migrations_table(APPLIED).await?;
    let before = last_applied(connection).await?;
    if before > known {
        return Err(Error::Newer {
            found: before,
            known,
        });
    }
    migrator.run_direct(None, connection, false).await?;
    connection.unlock().await?;
    match before {
        0 => tracing::debug!("created the database schema in version {last}"),
        _ if before < last => {
            tracing::info!("migrated the database schema from version {before} to version {last}");
        }
        _ => {}
    }
    Ok(())
}

async fn lock<C: Migrate>(connection: &mut C) -> Result<()> {
    let mut locked = connection.lock();
    if let Ok(locked) = tokio::time::timeout(SAY_SO_AFTER, &mut locked).await {
        return Ok(locked?);
    }
    tracing::info!("waiting for another process that migrates the database schema");
    Ok(locked.await?)
}

async fn last_applied<C: Migrate>(connection: &mut C) -> Result<i64> {
    let applied = connection.list_applied_migrations(APPLIED).await?;
    Ok(applied.iter().map(|one| one.version).max().unwrap_or(0))
}

/// Keeps two processes that start at once from migrating the same file.
#[derive(Debug)]
pub(crate) struct SqliteLock {
    _file: File,
}

impl SqliteLock {
    /// Waits for the lock beside the database file at `path`.
    pub(crate) async fn acquire(path: PathBuf) -> Result<Self> {
        // On a thread of its own: whoever holds the lock may need this one to get on.
        tokio::task::spawn_blocking(move || Self::acquire_blocking(&path))
            .await
            .unwrap_or_else(|_| {
                Err(Error::Unavailable(
                    "opening the store was aborted".to_owned(),
                ))
            })
    }

    fn acquire_blocking(path: &Path) -> Result<Self> {
        let lock = path.with_extension("lock");
        let file = open_private(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|err| {
                let outage = match err.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Full,
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::ReadOnly,
                    _ => Error::Unavailable,
                };
                outage(format!(
                    "cannot write {}: {err}; check that the directory exists and may be written",
                    lock.display()
                ))
            })?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;
    use sqlx::sqlite::SqliteConnection;

    use super::*;

    #[tokio::test]
    async fn vectors_survive_the_change_of_their_key() {
        let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        run_these(&mut db, Engine::Sqlite, &MIGRATIONS[..2])
            .await
            .unwrap();
        sqlx::raw_sql(
            // The trace itself does not matter here.
            "PRAGMA foreign_keys = OFF;
             INSERT INTO embeddings VALUES (x'01', 'model', '1', 2, 7, x'0000803f00000040', 'now')",
        )
        .execute(&mut db)
        .await
        .unwrap();
        run(&mut db, Engine::Sqlite).await.unwrap();
        let kept: (String, String, i64, i64, Vec<u8>) = sqlx::query_as(
            "SELECT model_id, model_version, dimensions, revision, vector FROM embeddings",
        )
        .fetch_one(&mut db)
        .await
        .unwrap();
        let vector = [1.0_f32, 2.0].map(f32::to_le_bytes).concat();
        assert_eq!(kept, ("model".to_owned(), "1".to_owned(), 2, 7, vector));
    }
}

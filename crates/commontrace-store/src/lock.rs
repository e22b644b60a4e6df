//! A lock that one process holds at a time, for work that must not be done twice at once.

use sqlx::{Connection, PgConnection};

use crate::migrate::SqliteLock;
use crate::pool::Pool;
use crate::{Result, Store, postgres};

/// Distinguishes this lock from those of others on the same PostgreSQL database.
const KEY: i64 = 0x636f_6d6d_6f6e_7301;
/// The lock of whoever completes the tables that are searched in.
const SEARCH_KEY: i64 = 0x636f_6d6d_6f6e_7304;

/// The lock; whoever ends, however, gives it back.
#[derive(Debug)]
pub struct StoreLock(Held);

#[derive(Debug)]
enum Held {
    Sqlite { _lock: SqliteLock },
    Postgres(PgConnection),
}

impl Store {
    /// Waits until no other process holds the lock, and takes it.
    pub async fn lock(&self) -> Result<StoreLock> {
        match &self.pool {
            Pool::Sqlite(pool) => {
                let file: String =
                    sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'")
                        .fetch_one(pool)
                        .await?;
                let _lock = SqliteLock::acquire(file.into()).await?;
                Ok(StoreLock(Held::Sqlite { _lock }))
            }
            Pool::Postgres(pool) => {
                let mut connection = postgres::unhurried(&pool.connect_options()).await?;
                sqlx::query("SELECT pg_advisory_lock($1)")
                    .bind(KEY)
                    .execute(&mut connection)
                    .await?;
                Ok(StoreLock(Held::Postgres(connection)))
            }
        }
    }

    /// Takes the lock of whoever completes the tables that PostgreSQL searches in; none if another
    /// process has it, or if there are no such tables.
    pub async fn try_search_lock(&self) -> Result<Option<StoreLock>> {
        let (Pool::Postgres(pool), true) = (&self.pool, self.can_search()) else {
            return Ok(None);
        };
        let mut connection = postgres::unhurried(&pool.connect_options()).await?;
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(SEARCH_KEY)
            .fetch_one(&mut connection)
            .await?;
        if taken {
            return Ok(Some(StoreLock(Held::Postgres(connection))));
        }
        connection.close().await?;
        Ok(None)
    }
}

impl StoreLock {
    /// Returns the connection that holds it, for work that may take as long as it needs; none on
    /// SQLite.
    pub(crate) fn connection(&mut self) -> Option<&mut PgConnection> {
        match &mut self.0 {
            Held::Sqlite { .. } => None,
            Held::Postgres(connection) => Some(connection),
        }
    }

    /// Gives it back.
    pub async fn release(self) {
        if let Held::Postgres(connection) = self.0 {
            // The server gives back what a broken connection held.
            let _ = connection.close().await;
        }
    }
}

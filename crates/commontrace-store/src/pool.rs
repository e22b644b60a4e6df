//! Connecting, and the choice of engine from the address.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use sqlx::{PgPool, SqliteConnection, SqlitePool};

use crate::check::Trouble;
use crate::write::Writer;
use crate::{Error, Result, Store, migrate};

/// The name of the database file in a data directory.
const FILE_NAME: &str = "commontrace.db";
/// How long a statement waits for a lock that another process holds, or for a free connection.
const PATIENCE: Duration = Duration::from_secs(5);
const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 16;

/// Which database engine a store runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file, inside this process.
    Sqlite,
    /// A server.
    Postgres,
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite database file.
    File(PathBuf),
    /// A PostgreSQL server's address.
    Server(String),
}

impl Location {
    /// Reads a database address; an empty one means the file in `data_dir`.
    pub fn parse(url: &str, data_dir: &Path) -> Result<Self> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            _ if url.is_empty() => Ok(Self::File(data_dir.join(FILE_NAME))),
            "postgres" | "postgresql" => Ok(Self::Server(url.to_owned())),
            "sqlite" => {
                let path = url["sqlite:".len()..].trim_start_matches("//");
                if path.is_empty() || path.starts_with(":memory:") {
                    return Err(Error::Address("sqlite: needs the path of a file".to_owned()));
                }
                Ok(Self::File(PathBuf::from(path)))
            }
            // The address may hold a password, so it is not repeated.
            _ => Err(Error::Address(
                "it must begin with postgres:// or sqlite:, or be empty for a file in the data directory"
                    .to_owned(),
            )),
        }
    }

    /// Returns which engine serves this location.
    pub fn engine(&self) -> Engine {
        match self {
            Self::File(_) => Engine::Sqlite,
            Self::Server(_) => Engine::Postgres,
        }
    }
}

/// Connections for reading, and on PostgreSQL for writing too.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs one body on whichever pool the store has.
macro_rules! on_pool {
    ($store:expr, |$c:ident| $body:expr) => {
        match &$store.pool {
            $crate::pool::Pool::Sqlite($c) => $body,
            $crate::pool::Pool::Postgres($c) => $body,
        }
    };
}
pub(crate) use on_pool;

impl Store {
    /// Opens the store at `location`, creating the file if there is none, and migrates it.
    pub async fn open(location: &Location) -> Result<Self> {
        match location {
            Location::File(path) => open_sqlite(path).await,
            Location::Server(url) => open_postgres(url).await,
        }
    }

    /// Returns which engine this store runs on.
    pub fn engine(&self) -> Engine {
        match &self.pool {
            Pool::Sqlite(_) => Engine::Sqlite,
            Pool::Postgres(_) => Engine::Postgres,
        }
    }

    /// Finishes every accepted write and closes all connections.
    pub async fn close(&self) {
        let writer = self.writer.close().await;
        on_pool!(self, |db| db.close().await);
        // The last connection folds the write-ahead log into the file, which a reader may not do.
        if let Some(connection) = writer
            && let Err(err) = connection.close().await
        {
            tracing::warn!(error = %err, "the database file was not closed cleanly: {err}");
        }
    }
}

/// Returns the options that every SQLite connection of this store uses.
pub(crate) fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit is on the disk before it is acknowledged.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
        .disable_statement_logging()
}

async fn open_sqlite(path: &Path) -> Result<Store> {
    let _lock = migrate::SqliteLock::acquire(path.to_owned()).await?;
    let options = sqlite_options(path);
    let mut writer = options
        .connect()
        .await
        .map_err(|err| name_file(path, err.into()))?;
    if is_foreign(&mut writer)
        .await
        .map_err(|err| name_file(path, err.into()))?
    {
        return Err(Error::Foreign(format!(
            "{} has tables of another program",
            path.display()
        )));
    }
    migrate::run(&mut writer)
        .await
        .map_err(|err| name_file(path, err))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(PATIENCE)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(|err| name_file(path, err.into()))?;
    Ok(Store {
        pool: Pool::Sqlite(readers),
        writer: Writer::sqlite(writer),
        trouble: Trouble::default(),
    })
}

/// Returns whether a SQLite file has tables that did not come from here.
async fn is_foreign(db: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table')
            AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')",
    )
    .fetch_one(db)
    .await
}

/// Says which file it is that cannot be opened.
pub(crate) fn name_file(path: &Path, err: Error) -> Error {
    /// SQLite's primary result code for a file whose pages contradict each other.
    const CORRUPT: u32 = 11;
    let corrupt = |err: &sqlx::Error| {
        result_code(err)
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| code & 0xff == CORRUPT)
    };
    let path = path.display();
    match err {
        Error::Database(err) if corrupt(&err) => Error::Damaged(format!("{path}: {err}")),
        Error::Database(err) => Error::Foreign(format!("{path}: {err}")),
        err => err.map_reason(|reason| format!("cannot open {path}: {reason}")),
    }
}

fn result_code(err: &sqlx::Error) -> Option<Cow<'_, str>> {
    err.as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
}

async fn open_postgres(url: &str) -> Result<Store> {
    // The driver's own message may repeat the address, and with it the password.
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| Error::Address("it is not a valid PostgreSQL address".to_owned()))?
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .connect_with(options)
        .await
        .map_err(refusal)?;
    migrate::run(&mut *pool.acquire().await?).await?;
    Ok(Store {
        writer: Writer::postgres(pool.clone()),
        pool: Pool::Postgres(pool),
        trouble: Trouble::default(),
    })
}

/// Tells a server that does not let this program in from one that is away.
fn refusal(err: sqlx::Error) -> Error {
    // PostgreSQL's classes of codes for credentials (28) and for a database that is not there (3D).
    let refused =
        result_code(&err).is_some_and(|code| code.starts_with("28") || code.starts_with("3D"));
    if refused {
        Error::Address(err.to_string())
    } else {
        err.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_chooses_the_engine_and_is_never_repeated() {
        let dir = Path::new("/data");
        let file = Location::parse("", dir).expect("empty means the default file");
        assert_eq!(file, Location::File("/data/commontrace.db".into()));
        let file = Location::parse("sqlite:///tmp/x.db", dir).expect("a sqlite address");
        assert_eq!(file, Location::File("/tmp/x.db".into()));
        let server = Location::parse("postgres://u:pw@h/db", dir).expect("a postgres address");
        assert_eq!(server.engine(), Engine::Postgres);
        let err = Location::parse("mysql://u:hunter2@h/db", dir).expect_err("not supported");
        assert!(!err.to_string().contains("hunter2"));
    }
}

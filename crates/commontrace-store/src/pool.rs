//! Connecting, and the choice of engine from the address.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use sqlx::{PgPool, SqliteConnection, SqlitePool};

use crate::check::Trouble;
use crate::demand::Demand;
use crate::postgres::{self, Connections, result_code};
use crate::replica::{Beneficiary, Replica, ReplicaSettings};
use crate::search::{self, Derived, MakeDocument};
use crate::write::Writer;
use crate::{Error, Result, Store, migrate};

/// The name of the database file in a data directory.
const FILE_NAME: &str = "commontrace.db";
/// How long a statement waits for a lock that another process holds, or for a free connection.
const PATIENCE: Duration = Duration::from_secs(5);
const SQLITE_READERS: u32 = 4;

/// Which database engine a store runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file, inside this process.
    Sqlite,
    /// A server.
    Postgres,
}

/// Where a store is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite database file.
    File(PathBuf),
    /// A PostgreSQL server's address.
    Server(String),
}

/// Without the address of a server, which may hold a password.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Server(_) => f.debug_tuple("Server").finish_non_exhaustive(),
        }
    }
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

/// Connections for reading, and on PostgreSQL, where they lead to the primary, for writing too.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs one body, which only reads, on whichever pool the store has: on the replica where it may be
/// read, and on the primary if that fails.
macro_rules! on_pool {
    ($store:expr, |$c:ident| $body:expr) => {
        $crate::pool::on_pool!($store, |$c| $body, or_on_sqlite: |$c| $body)
    };
    ($store:expr, |$c:ident| $body:expr, or_on_sqlite: |$file:pat_param| $on_file:expr) => {{
        let span = $crate::spans::statement(file!(), "read", $store.engine());
        let read = async {
            match &$store.pool {
                $crate::pool::Pool::Sqlite($file) => $on_file,
                $crate::pool::Pool::Postgres(primary) => {
                    let done = match $store.replica_to_read() {
                        Some(replica) => {
                            let $c = replica.pool();
                            replica.read(async { $body }).await
                        }
                        None => None,
                    };
                    match done {
                        Some(done) => done,
                        None => {
                            let _wanted = $store.demand.one();
                            let $c = primary;
                            $body
                        }
                    }
                }
            }
        };
        tracing::Instrument::instrument(read, span).await
    }};
}
pub(crate) use on_pool;

/// Does the same for what PostgreSQL alone can do, and so is asked of it alone.
macro_rules! on_postgres {
    ($store:expr, |$c:ident| $body:expr) => {
        $crate::pool::on_pool!(
            $store,
            |$c| $body,
            or_on_sqlite: |_| Err($crate::pool::no_tables_to_search())
        )
    };
}
pub(crate) use on_postgres;

/// The answer of an engine that cannot search, which nobody should have asked.
pub(crate) fn no_tables_to_search() -> sqlx::Error {
    sqlx::Error::Configuration("SQLite has no tables to search in".into())
}

impl Store {
    /// Opens the store at `location`, creating the file if there is none, and migrates it.
    pub async fn open(location: &Location) -> Result<Self> {
        Self::open_with(location, &Connections::default(), None).await
    }

    /// Does the same with these limits on connections and, on PostgreSQL, with a replica to read
    /// from.
    pub async fn open_with(
        location: &Location,
        connections: &Connections,
        replica: Option<&ReplicaSettings>,
    ) -> Result<Self> {
        match location {
            Location::File(path) => open_sqlite(path).await,
            Location::Server(url) => open_postgres(url, connections, replica).await,
        }
    }

    /// Returns which engine this store runs on.
    pub fn engine(&self) -> Engine {
        match &self.pool {
            Pool::Sqlite(_) => Engine::Sqlite,
            Pool::Postgres(_) => Engine::Postgres,
        }
    }

    /// Keeps what traces are found by in the database in step with what is written through this handle,
    /// made by these rules, if it has tables for that.
    #[must_use]
    pub fn making_documents(mut self, make: MakeDocument) -> Self {
        if let Some(derived) = &mut self.derived {
            derived.make = Some(make);
        }
        self
    }

    /// Returns whether the database can search: PostgreSQL with pgvector.
    pub fn can_search(&self) -> bool {
        matches!(self.pool, Pool::Postgres(_)) && self.derived.is_some()
    }

    /// Finishes every accepted write and closes all connections.
    pub async fn close(&self) {
        let writer = self.writer.close().await;
        if let Some(replica) = &self.replica {
            replica.pool().close().await;
        }
        match &self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
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

/// Opens a file for writing, and makes it for this user alone if it is not there. SQLite itself would leave that
/// to the umask; what it puts beside a database has the database's mode.
pub(crate) fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}

async fn open_sqlite(path: &Path) -> Result<Store> {
    let _lock = migrate::SqliteLock::acquire(path.to_owned()).await?;
    // What stands in the way stands in SQLite's way too, which says more about it.
    let _ = open_private(path);
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
    migrate::run(&mut writer, Engine::Sqlite)
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
        replica: None,
        beneficiary: Beneficiary::default(),
        derived: Some(Derived::default()),
        trouble: Trouble::default(),
        demand: Demand::default(),
        session_bytes_max: None,
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

async fn open_postgres(
    url: &str,
    connections: &Connections,
    replica: Option<&ReplicaSettings>,
) -> Result<Store> {
    let options = postgres::options(url)?;
    let mut maintenance = postgres::unhurried(&options).await?;
    postgres::check_version(maintenance.server_version_num())?;
    migrate::run(&mut maintenance, Engine::Postgres).await?;
    let missing = search::ensure(&mut maintenance).await?;
    maintenance.close().await?;
    if let Some(why) = &missing {
        tracing::warn!("searching in this process's memory and not in the database: {why}");
    }
    let replica = match replica {
        Some(settings) => Some(Replica::open(settings, connections, &options).await?),
        None => None,
    };
    let pool = connections.pool(&options);
    Ok(Store {
        writer: Writer::postgres(pool.clone()),
        pool: Pool::Postgres(pool),
        replica,
        beneficiary: Beneficiary::default(),
        derived: missing.is_none().then_some(Derived { make: None }),
        trouble: Trouble::default(),
        demand: Demand::default(),
        session_bytes_max: None,
    })
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
        assert_eq!(format!("{server:?}"), "Server(..)");
        let err = Location::parse("mysql://u:hunter2@h/db", dir).expect_err("not supported");
        assert!(!err.to_string().contains("hunter2"));
    }
}

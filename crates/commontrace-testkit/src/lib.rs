//! What tests share: a database of its own for each test on either engine, and a Redis.
//!
//! Only for tests and measurements, never a dependency of the product.

mod redis_server;

mod cluster;

pub use cluster::{Cluster, PASSWORD, Server};

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use commontrace_store::{Engine, Location};
pub use redis_server::RedisServer;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;

/// What holds a test's database and removes it in the end.
#[derive(Debug)]
pub enum Home {
    /// A SQLite file in a directory of its own.
    Directory(TempDir),
    /// A database on the test server.
    Database {
        /// How to reach the server.
        admin: Box<PgConnectOptions>,
        /// The database's name.
        name: String,
    },
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Self::Database { admin, name } = self {
            drop_database(PgConnectOptions::clone(admin), name.clone());
        }
    }
}

/// Makes room for a store on `engine` that nobody has opened yet.
pub async fn empty(engine: Engine) -> (Location, Home) {
    match engine {
        Engine::Sqlite => {
            let dir = tempfile::tempdir().expect("a temporary directory");
            (
                Location::File(dir.path().join("commontrace.db")),
                Home::Directory(dir),
            )
        }
        Engine::Postgres => {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let url = postgres_url();
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("commontrace_test_{}_{number}", std::process::id());
            let admin = PgConnectOptions::from_str(&url).expect("an address of PostgreSQL");
            let mut db = admin.connect().await.expect("the test server answers");
            let create = format!("CREATE DATABASE {name} TEMPLATE template0");
            sqlx::raw_sql(AssertSqlSafe(create))
                .execute(&mut db)
                .await
                .expect("a database");
            let (base, options) = url.split_once('?').unwrap_or((&url, ""));
            let (server, _) = base.rsplit_once('/').expect("the address names a database");
            (
                Location::Server(format!("{server}/{name}?{options}")),
                Home::Database {
                    admin: Box::new(admin),
                    name,
                },
            )
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test runner hands the server over this way"
)]
fn postgres_url() -> String {
    std::env::var("COMMONTRACE_TEST_POSTGRES_URL")
        .expect("COMMONTRACE_TEST_POSTGRES_URL is not set; run `make test`, which starts a server")
}

/// Drops a test's database, from a thread that may wait for it.
fn drop_database(admin: PgConnectOptions, name: String) {
    let dropped = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut db = admin.connect().await.map_err(std::io::Error::other)?;
            let sql = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
            sqlx::raw_sql(sql)
                .execute(&mut db)
                .await
                .map_err(std::io::Error::other)
        })
    });
    // A database that stays behind is untidy, but no reason to hide how the test went.
    if !matches!(dropped.join(), Ok(Ok(_))) {
        eprintln!("a test database was left behind");
    }
}

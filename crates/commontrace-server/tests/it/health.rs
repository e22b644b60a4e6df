//! What a load balancer and a person are told about the server's state.

use std::time::Duration;

use commontrace_store::{Engine, Location};
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::actors::TestApp;

/// Longer than an answer about the store is passed on.
const STALE: Duration = Duration::from_secs(4);

/// Asks both pages, which agree, and returns the status and how the database is.
async fn database(server: &TestApp) -> (u16, Value) {
    let ready = server.anyone().get("/health/ready").await;
    let health = server.anyone().get("/health").await;
    let status = health.status.as_u16();
    assert_eq!(ready.status, status, "{ready:?} {health:?}");
    for answer in [&ready, &health] {
        let word = ["healthy", "degraded"][usize::from(status == 503)];
        assert_eq!(answer.json["status"], word, "{answer:?}");
        assert_eq!(
            answer.json["checks"]["database"],
            health.json["checks"]["database"]
        );
    }
    (status, health.json["checks"]["database"].clone())
}

/// Takes steps until the server says this of the database. The first few may meet connections that the
/// test has ended.
async fn until(server: &TestApp, expected: &Value, step: impl AsyncFn()) {
    let mut found = Value::Null;
    for _ in 0..20 {
        step().await;
        let health = server.anyone().get("/health").await;
        found = health.json["checks"]["database"].clone();
        if found == *expected {
            return;
        }
    }
    panic!("{found} instead of {expected}");
}

#[rstest]
#[tokio::test]
async fn a_server_that_can_write_is_healthy(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let server = TestApp::on(engine).await;
    for _ in 0..3 {
        assert_eq!(database(&server).await, (200, json!("ok")));
        server.advance(STALE);
    }
}

#[rstest]
#[tokio::test]
async fn the_store_is_asked_every_few_seconds_and_not_at_every_request(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let server = TestApp::on(engine).await;
    assert_eq!(database(&server).await, (200, json!("ok")));
    server.app.store.close().await;
    assert_eq!(database(&server).await, (200, json!("ok")));
    server.advance(STALE);
    assert_eq!(
        database(&server).await,
        (503, json!("error: not available"))
    );
}

/// Keeps everybody else from writing until it is dropped.
enum Block {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Block {
    async fn on(location: &Location) -> Self {
        match location {
            Location::File(path) => {
                let address = format!("sqlite:{}", path.display());
                let mut db = SqliteConnection::connect(&address).await.unwrap();
                sqlx::raw_sql("BEGIN IMMEDIATE")
                    .execute(&mut db)
                    .await
                    .unwrap();
                Self::Sqlite(db)
            }
            Location::Server(url) => {
                let mut db = PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql("BEGIN; LOCK TABLE meta")
                    .execute(&mut db)
                    .await
                    .unwrap();
                Self::Postgres(db)
            }
        }
    }

    async fn end(self) {
        match self {
            Self::Sqlite(db) => db.close().await.unwrap(),
            Self::Postgres(db) => db.close().await.unwrap(),
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_store_that_hangs_is_an_answer_and_not_a_wait(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let server = TestApp::on(engine).await;
    let block = Block::on(&server.location).await;
    assert_eq!(
        database(&server).await,
        (503, json!("error: no answer in time"))
    );
    block.end().await;
    server.advance(STALE);
    assert_eq!(database(&server).await, (200, json!("ok")));
}

#[tokio::test]
async fn a_postgresql_that_became_read_only_shows_until_it_is_writable_again() {
    let server = TestApp::on(Engine::Postgres).await;
    let Location::Server(url) = &server.location else {
        unreachable!("it is PostgreSQL")
    };
    let set = async |value: &str| {
        let mut db = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql("SET default_transaction_read_only = off")
            .execute(&mut db)
            .await
            .unwrap();
        let sql = format!(
            "DO $$ BEGIN EXECUTE format(
                 'ALTER DATABASE %I SET default_transaction_read_only = {value}',
                 current_database()
             ); END $$;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut db)
            .await
            .unwrap();
        db.close().await.unwrap();
    };
    assert_eq!(database(&server).await, (200, json!("ok")));
    set("on").await;
    // A write that meets it shows at once, without waiting for the next check.
    let read_only = json!("error: read-only");
    until(&server, &read_only, async || {
        let refused = server.anyone().post("/api/v1/keys", json!({})).await;
        assert_eq!(refused.status, 503);
    })
    .await;
    until(&server, &read_only, async || server.advance(STALE)).await;
    set("off").await;
    until(&server, &json!("ok"), async || server.advance(STALE)).await;
    server.user("ada").await;
}

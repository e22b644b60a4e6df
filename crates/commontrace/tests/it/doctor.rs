//! What `commontrace doctor` says of a PostgreSQL server and of clocks.

use commontrace_store::Engine;
use commontrace_testkit::RedisServer;

use crate::place::Place;

/// The line of `doctor` about this part.
async fn line(place: &Place, part: &str, code: i32) -> String {
    let ran = place.run(&["doctor"]).await;
    assert_eq!(ran.code, Some(code), "{ran:?}");
    let of_part = |line: &&str| line[7..].starts_with(&format!("{part}: "));
    let line = ran.stdout.lines().find(of_part);
    line.unwrap_or_else(|| panic!("nothing about {part}: {ran:?}"))
        .to_owned()
}

#[tokio::test]
async fn doctor_looks_at_the_server_and_its_pgvector() {
    let place = Place::on(Engine::Postgres).await;
    place.run(&["migrate"]).await.ok();
    place.sql("CREATE EXTENSION IF NOT EXISTS vector").await;
    for (part, expected) in [
        ("postgresql", "version 16."),
        ("pgvector", "version 0."),
        ("shared_buffers", "the indexes take"),
        ("maintenance_work_mem", "no vectors yet"),
    ] {
        let line = line(&place, part, 0).await;
        assert!(
            line.starts_with("ok ") && line.contains(expected),
            "`{expected}` is not in: {line}"
        );
    }
}

#[tokio::test]
async fn doctor_says_which_memory_is_too_small_for_the_vectors_there_are() {
    let place = Place::on(Engine::Postgres).await;
    place.run(&["migrate"]).await.ok();
    place
        .sql(
            "SET session_replication_role = replica;
             INSERT INTO embeddings
                 (trace_id, model_id, model_version, dimensions, revision, vector, created_at)
             SELECT gen_random_uuid(), 'a-model', '1', 384, 1, ''::bytea, now()
             FROM generate_series(1, 3000);
             DO $$ BEGIN EXECUTE format(
                 'ALTER DATABASE %I SET maintenance_work_mem = ''4MB''', current_database()
             ); END $$",
        )
        .await;
    let said = line(&place, "maintenance_work_mem", 0).await;
    assert!(
        said.starts_with("weak ") && said.contains("maintenance_work_mem = '5MB'"),
        "{said}"
    );
}

#[tokio::test]
async fn doctor_finds_that_the_pool_is_larger_than_the_server_allows() {
    let place = Place::on(Engine::Postgres).await;
    place
        .sql(
            "DO $$ BEGIN EXECUTE format(
                 'ALTER DATABASE %I CONNECTION LIMIT 8', current_database()
             ); END $$",
        )
        .await;
    let said = line(&place, "connections", 1).await;
    assert!(
        said.starts_with("WRONG")
            && said.contains("DATABASE_POOL_SIZE is 10")
            && said.contains("max_connections"),
        "{said}"
    );
    let smaller = place.with("DATABASE_POOL_SIZE", "4");
    line(&smaller, "connections", 0).await;
}

#[tokio::test]
async fn doctor_compares_the_clocks_of_postgresql_and_redis() {
    let redis = RedisServer::start().await;
    let place = Place::on(Engine::Postgres).await;
    let place = place.with("REDIS_URL", &redis.url());
    let said = line(&place, "clocks", 0).await;
    assert!(
        said.starts_with("ok ") && said.contains("PostgreSQL is") && said.contains("Redis is"),
        "{said}"
    );
}

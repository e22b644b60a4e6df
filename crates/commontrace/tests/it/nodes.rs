//! Several servers on one database: starting together, upgrading one by one, leaving a balancer.

use std::net::SocketAddr;

use commontrace_store::Engine;
use futures_util::future::join_all;
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::client::{Client, until};
use crate::place::{DEADLINE, Place};
use crate::server::Server;

const NODES: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn ten_nodes_that_start_at_once_on_an_empty_database_all_come_up_and_one_migrates() {
    let place = Place::on(Engine::Postgres)
        .await
        .with("COMMONTRACE_LOG", "info,commontrace_store=debug");
    let nodes = join_all((0..NODES).map(|_| place.serve())).await;
    let logs: String = nodes.iter().map(Server::log).collect();
    let times = |text: &str| logs.matches(text).count();
    assert_eq!(times("created the database schema"), 1, "{logs}");
    assert_eq!(times("starter traces, updated 0"), 1, "{logs}");
    assert_eq!(times("ERROR"), 0, "{logs}");
    // All hash keys with the same pepper and see the same traces.
    let user = nodes[0].user().await;
    for node in &nodes {
        user.at(node.address).get("/api/v1/tags").await.ok();
    }
    let stats = place.run(&["admin", "stats", "--json"]).await.ok();
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert!(stats["seed_traces"].as_u64() > Some(50), "{stats}");
    join_all(nodes.into_iter().map(Server::stop)).await;
}

#[rstest]
#[tokio::test]
async fn a_program_that_is_older_than_the_schema_says_both_versions_and_what_to_do(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    place.run(&["migrate"]).await.ok();
    place
        .sql(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (99990101000000, 'from the future', TRUE, '', 0)",
        )
        .await;
    for command in ["serve", "migrate"] {
        place.run(&[command]).await.failed_with_hint(
            1,
            &[
                "has version 99990101000000",
                "knows schemas up to version ",
                "start the newer version",
                "backup",
            ],
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_migration_that_was_not_finished_is_named(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    place.run(&["migrate"]).await.ok();
    place
        .sql("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 1")
        .await;
    for command in ["serve", "migrate"] {
        place
            .run(&[command])
            .await
            .failed_with_hint(1, &["migration 1", "not finished", "backup"]);
    }
}

/// An address that nobody listens on.
async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn a_server_that_is_starting_lives_and_asks_for_patience() {
    let address = free_address().await;
    let place = Place::on(Engine::Postgres)
        .await
        .with("COMMONTRACE_LISTEN", &address.to_string());
    place.run(&["migrate"]).await.ok();
    let held = place.holding("LOCK TABLE _sqlx_migrations").await;
    let (server, anyone) = (place.serve(), Client::new(address));
    let starting = async {
        let live = async || {
            let sent = anyone.request(reqwest::Method::GET, "/health/live").send();
            sent.await.is_ok_and(|answer| answer.status() == 200)
        };
        until("it listens", live).await;
        let ready = anyone.get("/health/ready").await;
        assert_eq!(ready.status, 503, "{ready:?}");
        assert!(ready.text.contains(r#""server":"starting""#), "{ready:?}");
        for path in ["/", "/api/v1/tags", "/nowhere"] {
            let request = anyone.request(reqwest::Method::GET, path);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 503, "{path}");
            assert_eq!(answer.headers()["retry-after"], "1");
            let problem: Value = answer.json().await.unwrap();
            assert!(problem["detail"].as_str().unwrap().contains("starting"));
        }
        held.release().await;
    };
    let (server, ()) = tokio::join!(server, starting);
    assert_eq!(anyone.get("/health/ready").await.status, 200);
    anyone.register().await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_starting_can_be_stopped() {
    let address = free_address().await;
    let place = Place::on(Engine::Postgres)
        .await
        .with("COMMONTRACE_LISTEN", &address.to_string())
        .with("COMMONTRACE_SHUTDOWN_DRAIN_SECONDS", "3600");
    place.run(&["migrate"]).await.ok();
    let held = place.holding("LOCK TABLE _sqlx_migrations").await;
    let mut server = place.command(&["serve"]).spawn().unwrap();
    let anyone = Client::new(address);
    until("it listens", async || {
        let sent = anyone.request(reqwest::Method::GET, "/health/live").send();
        sent.await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let id = Pid::from_raw(server.id().unwrap() as i32).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    let ended = timeout(DEADLINE, server.wait()).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(0));
    held.release().await;
}

#[tokio::test]
async fn a_server_that_drains_is_not_ready_and_answers_all_the_same() {
    let place = Place::new().with("COMMONTRACE_SHUTDOWN_DRAIN_SECONDS", "3600");
    let server = place.serve().await;
    let user = server.user().await;
    assert_eq!(user.get("/health/ready").await.status, 200);
    server.signal(Signal::TERM);
    server.logs("not ready any more").await;
    let ready = user.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains(r#""server":"stopping""#), "{ready:?}");
    assert_eq!(user.get("/health/live").await.status, 200);
    // On a connection of its own: the listener is still there.
    let id = user
        .at(server.address)
        .contributes("accepted while draining")
        .await;
    assert_eq!(user.get(&format!("/api/v1/traces/{id}")).await.status, 200);
    // Whoever does not want to wait says so again.
    server.stop().await;
}

#[tokio::test]
async fn an_interrupt_does_not_wait_for_a_balancer() {
    let place = Place::new().with("COMMONTRACE_SHUTDOWN_DRAIN_SECONDS", "3600");
    let server = place.serve().await;
    server.signal(Signal::INT);
    let (status, log) = server.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_search_that_was_asked_before_finds_what_another_node_has_written_since() {
    let place = Place::on(Engine::Postgres).await;
    let (one, other) = (place.serve().await, place.serve().await);
    let user = one.user().await;
    let elsewhere = user.at(other.address);
    for word in ["zygomorphic", "ombrophilous", "xerothermic"] {
        let found = async || {
            let asked = json!({"q": format!("the {word} linker ends with an error")});
            let answer = user.post("/api/v1/traces/search", asked).await.ok();
            let results = answer["results"].as_array().unwrap().clone();
            let titles = results.iter().map(|trace| trace["title"].as_str().unwrap());
            titles.filter(|title| title.contains(word)).count()
        };
        assert_eq!((found().await, found().await), (0, 0));
        let trace = json!({
            "title": format!("The {word} linker ends with an error"),
            "context_text": format!("Linking with the {word} linker ends with error 7 each time."),
            "solution_text": "Set the option `stable` in its settings file, then link once more.",
        });
        elsewhere.post("/api/v1/traces", trace).await;
        assert_eq!((found().await, found().await), (1, 1));
    }
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_key_made_on_one_node_is_good_on_all_and_a_revoked_one_on_none() {
    let place = Place::on(Engine::Postgres).await;
    let (one, other) = (place.serve().await, place.serve().await);
    let user = one.user().await;
    let elsewhere = user.at(other.address);
    elsewhere.get("/api/v1/tags").await.ok();
    elsewhere.post("/api/v1/keys/rotate", json!({})).await.ok();
    assert_eq!(user.get("/api/v1/tags").await.status, 401);
    one.stop().await;
    other.stop().await;
}

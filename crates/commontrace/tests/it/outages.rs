//! PostgreSQL away, restarted or without a free connection: 503 meanwhile, and on again without a
//! restart of ours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commontrace_store::Engine;
use commontrace_testkit::Cluster;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::client::{Client, a_trace, until};
use crate::place::Place;

const CLIENTS: usize = 6;

#[tokio::test]
async fn a_pool_run_dry_is_503_with_retry_after_and_recovers() {
    let place = Place::on(Engine::Postgres)
        .await
        .with("DATABASE_POOL_SIZE", "1")
        .with("DATABASE_ACQUIRE_TIMEOUT_SECONDS", "1")
        .with("DATABASE_LOCK_TIMEOUT_SECONDS", "0")
        .with("DATABASE_STATEMENT_TIMEOUT_SECONDS", "0");
    let server = place.serve().await;
    let user = server.user().await;
    let held = place.holding("LOCK TABLE tags").await;
    // The only connection waits for the lock, for as long as it takes.
    let waiting = tokio::spawn({
        let user = user.clone();
        async move { user.get("/api/v1/tags").await }
    });
    until("every other request finds no connection", async || {
        let answer = user
            .request(Method::GET, "/api/v1/keys/verify")
            .send()
            .await;
        let answer = answer.unwrap();
        let status = answer.status();
        assert!(status == 200 || status == 503, "{answer:?}");
        if status == 503 {
            assert_eq!(answer.headers()["retry-after"], "5");
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["type"], "/docs/errors#unavailable");
        }
        status == 503
    })
    .await;
    assert_eq!(user.get("/health/ready").await.status, 503);
    assert_eq!(user.get("/health/live").await.status, 200);
    held.release().await;
    assert_eq!(waiting.await.unwrap().status, 200);
    user.get("/api/v1/tags").await.ok();
    server.stop().await;
}

#[tokio::test]
async fn the_metrics_say_that_requests_wait_for_a_connection() {
    const WAITING: &str = "commontrace_database_connections_waiting ";
    let place = Place::on(Engine::Postgres)
        .await
        .with("DATABASE_POOL_SIZE", "1")
        .with("DATABASE_ACQUIRE_TIMEOUT_SECONDS", "3600")
        .with("DATABASE_LOCK_TIMEOUT_SECONDS", "0")
        .with("DATABASE_STATEMENT_TIMEOUT_SECONDS", "0");
    let server = place.serve().await;
    let user = server.user().await;
    let held = place.holding("LOCK TABLE tags").await;
    let mut requests = JoinSet::new();
    for _ in 0..3 {
        let user = user.clone();
        requests.spawn(async move { user.get("/api/v1/tags").await.status });
    }
    until("one has the connection, two wait for it", async || {
        user.metric(WAITING).await >= Some(2.0)
    })
    .await;
    let used = "commontrace_database_connections{state=\"used\"}";
    assert_eq!(user.metric(used).await, Some(1.0));
    let max = "commontrace_database_connections_max ";
    assert_eq!(user.metric(max).await, Some(1.0));
    held.release().await;
    assert_eq!(requests.join_all().await, [200; 3]);
    until("nothing waits", async || {
        user.metric(WAITING).await == Some(0.0)
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_503() {
    let place = Place::on(Engine::Postgres)
        .await
        .with("DATABASE_STATEMENT_TIMEOUT_SECONDS", "1")
        .with("DATABASE_LOCK_TIMEOUT_SECONDS", "0");
    let server = place.serve().await;
    let user = server.user().await;
    let held = place.holding("LOCK TABLE tags").await;
    assert_eq!(user.get("/api/v1/tags").await.status, 503);
    // What is no request may take its time: it waits for the lock and is not ended for that.
    let stats = tokio::spawn(place.command(&["admin", "stats"]).output());
    assert_eq!(user.get("/api/v1/tags").await.status, 503);
    held.release().await;
    assert!(stats.await.unwrap().unwrap().status.success());
    user.get("/api/v1/tags").await.ok();
    server.stop().await;
}

#[tokio::test]
async fn no_connection_is_held_while_a_query_is_embedded() {
    let endpoint = MockServer::start().await;
    let never = ResponseTemplate::new(200).set_delay(Duration::from_secs(3600));
    Mock::given(any())
        .respond_with(never)
        .mount(&endpoint)
        .await;
    let place = Place::on(Engine::Postgres)
        .await
        .with("DATABASE_POOL_SIZE", "1")
        .with("DATABASE_ACQUIRE_TIMEOUT_SECONDS", "1")
        .with("COMMONTRACE_IMPORT_SEEDS", "false")
        .with("EMBEDDING_PROVIDER", "openai")
        .with("OPENAI_BASE_URL", &endpoint.uri())
        .with("OPENAI_API_KEY", "sk-of-no-use")
        .with("EMBEDDING_DIMENSIONS", "64");
    let server = place.serve().await;
    let user = server.user().await;
    // The worker waits for the endpoint with this one, and the searches with their queries.
    user.contributes("the endpoint takes forever").await;
    let asked = async |count| endpoint.received_requests().await.unwrap().len() >= count;
    until("the worker has asked", async || asked(1).await).await;
    let mut searches = JoinSet::new();
    for number in 0..4 {
        let user = user.clone();
        searches.spawn(async move { user.search(&format!("forever {number}")).await });
    }
    until("the searches have asked", async || asked(5).await).await;
    // One connection, and nobody has it.
    user.get("/api/v1/tags").await.ok();
    user.contributes("others go on meanwhile").await;
    while let Some(answer) = searches.join_next().await {
        assert_eq!(answer.unwrap()["degraded"], true);
    }
    server.stop().await;
}

/// Sends requests until told to stop, and counts the answers by status.
async fn use_it(user: Client, over: Arc<AtomicBool>) -> BTreeMap<u16, u32> {
    let mut answers = BTreeMap::new();
    for number in 0.. {
        if over.load(Ordering::Acquire) {
            break;
        }
        let sent = match number % 3 {
            0 => user.try_send(Method::GET, "/api/v1/tags", None).await,
            1 => {
                let query = json!({ "q": "container is unhealthy" });
                user.try_send(Method::POST, "/api/v1/traces/search", Some(&query))
                    .await
            }
            _ => {
                let trace = a_trace(&format!("written at an outage, {number}"));
                user.try_send(Method::POST, "/api/v1/traces", Some(&trace))
                    .await
            }
        };
        let answer = sent.expect("the server answers, whatever its database does");
        let body: Value = serde_json::from_str(&answer.text).expect("every body is JSON");
        assert!(
            answer.status < 300 || answer.status == 503,
            "{} {body}",
            answer.status
        );
        *answers.entry(answer.status).or_default() += 1;
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_are_replaced_when_postgresql_is_back() {
    let mut cluster = Cluster::start().await;
    let place = Place::new()
        .with("DATABASE_URL", &cluster.primary.url())
        .with("DATABASE_ACQUIRE_TIMEOUT_SECONDS", "1");
    let server = place.serve().await;
    let user = server.user().await;
    for violently in [false, true] {
        let over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(use_it(user.clone(), Arc::clone(&over)));
        }
        if violently {
            cluster.primary.kill();
        } else {
            cluster.primary.stop();
        }
        until("it is not ready", async || {
            user.get("/health/ready").await.status == 503
        })
        .await;
        assert_eq!(user.get("/api/v1/tags").await.status, 503);
        cluster.primary.start().await;
        until("it is ready", async || {
            user.get("/health/ready").await.status == 200
        })
        .await;
        over.store(true, Ordering::Release);
        let mut refused = 0;
        while let Some(answers) = clients.join_next().await {
            refused += answers.unwrap().get(&503).copied().unwrap_or(0);
        }
        assert!(refused > 0);
        // What follows finds no connection that is still broken.
        for _ in 0..20 {
            user.get("/api/v1/tags").await.ok();
        }
        user.contributes("after the outage").await;
    }
    let log = server.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn a_connection_that_was_ended_at_the_server_is_replaced() {
    let place = Place::on(Engine::Postgres).await;
    let server = place.serve().await;
    let user = server.user().await;
    let name = "SELECT count(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND application_name = 'commontrace'";
    assert!(place.number(name).await > 0, "the server knows us by name");
    place
        .sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'commontrace'",
        )
        .await;
    until("it goes on", async || {
        let answer = user.get("/api/v1/tags").await;
        assert!(answer.status == 200 || answer.status == 503, "{answer:?}");
        answer.status == 200
    })
    .await;
    server.stop().await;
}

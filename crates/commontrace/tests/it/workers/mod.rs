//! Workers: processes that embed for nodes which do not, and share the work.

mod announcements;
mod dead_letters;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use commontrace_store::Engine;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::Value;

use crate::client::{Client, until};
use crate::place::Place;
use crate::provider::Provider;
use crate::server::Server;

const VECTORS: &str = "SELECT COUNT(*) FROM embeddings";
const JOBS: &str = "SELECT COUNT(*) FROM jobs";
/// Longer than any test waits.
const FOREVER: Duration = Duration::from_secs(3600);
/// Jobs that a worker leases at once.
const BATCH: usize = 16;

/// A store for nodes and workers, without starter traces.
async fn place(provider: &Provider) -> Place {
    let place = Place::on(Engine::Postgres).await;
    provider.of(place).with("COMMONTRACE_IMPORT_SEEDS", "false")
}

/// A node that embeds nothing, and an account on it.
async fn node(place: &Place) -> (Server, Client) {
    let node = place.serve_without_worker().await;
    let user = node.user().await;
    (node, user)
}

async fn contribute(user: &Client, count: usize) {
    for number in 0..count {
        user.contributes(&format!("the pod number {number} is evicted"))
            .await;
    }
}

async fn has(place: &Place, what: &'static str, count: usize) {
    until(what, async || place.number(what).await == count as i64).await;
}

/// What happens to the leases of a worker that died, without the wait.
async fn leases_run_out(place: &Place) {
    let sql = "UPDATE jobs SET leased_until = leased_until - INTERVAL '1 hour'";
    place.sql(sql).await;
}

/// How often each text was embedded, queries left out.
async fn embedded(provider: &Provider) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for text in provider.texts().await {
        *times.entry(text).or_default() += 1;
    }
    times
}

#[tokio::test]
async fn the_embedded_store_has_its_worker_inside_serve() {
    let place = Place::new();
    place
        .run(&["worker"])
        .await
        .failed_with_hint(1, &["embedded", "`commontrace serve`", "DATABASE_URL"]);
    place
        .run(&["serve", "--no-worker"])
        .await
        .failed_with_hint(1, &["nobody would embed", "--no-worker", "DATABASE_URL"]);
}

#[tokio::test]
async fn a_node_without_worker_does_not_embed_and_a_worker_does_it_for_all() {
    let provider = Provider::start().await;
    let place = place(&provider).await;
    let (one, ada) = node(&place).await;
    let (two, bob) = node(&place).await;
    let id = ada
        .contributes("zygohistomorphic prepromorphism is not terminating")
        .await;
    until("the other node knows it", async || {
        bob.finds("zygohistomorphic prepromorphism").await == [id.clone()]
    })
    .await;
    assert_eq!(place.number(VECTORS).await, 0);
    assert_eq!(place.number(JOBS).await, 1);
    for user in [&ada, &bob] {
        until("the node knows what lacks a vector", async || {
            user.metric("commontrace_embedding_backlog").await == Some(1.0)
        })
        .await;
    }

    let worker = place.work().await;
    for user in [&ada, &bob] {
        user.until_embedded().await;
        assert_eq!(
            user.search("terminating prepromorphism").await["degraded"],
            false
        );
    }
    worker.stop().await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_worker_answers_health_and_metrics_and_nothing_else() {
    let provider = Provider::start().await;
    let place = place(&provider).await;
    let worker = place.work().await;
    let anyone = worker.anyone();
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(anyone.get(path).await.status, 200, "{path}");
    }
    let health = anyone.get("/health").await.ok();
    assert_eq!(health["checks"]["database"], "ok", "{health}");
    assert_eq!(
        health["checks"]["embedding_model"],
        "text-embedding-3-small"
    );
    for path in ["/", "/docs", "/openapi.json", "/api/v1/tags"] {
        assert_eq!(anyone.get(path).await.status, 404, "{path}");
    }
    let listen = worker.address.to_string();
    let ask = place
        .command(&["health", "--ready", "--listen", &listen])
        .output();
    assert!(ask.await.unwrap().status.success());
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_killed_in_the_middle_of_a_batch_loses_nothing_and_repeats_nothing_visible() {
    const TRACES: usize = 40;
    const ROUNDS: usize = 3;
    let provider = Provider::start().await;
    let place = place(&provider).await;
    let (_node, user) = node(&place).await;
    contribute(&user, TRACES).await;
    for round in 1..=ROUNDS {
        provider.delay_batches(FOREVER);
        let (before, worker) = (provider.requests().await, place.work().await);
        until("a batch is being embedded", async || {
            provider.requests().await > before
        })
        .await;
        worker.kill().await;
        let done = place.number(VECTORS).await;
        assert_eq!(
            place.number(JOBS).await + done,
            TRACES as i64,
            "round {round}"
        );
        leases_run_out(&place).await;

        // This one dies somewhere between leasing and storing.
        provider.delay_batches(Duration::ZERO);
        let worker = place.work().await;
        until("something is embedded", async || {
            place.number(VECTORS).await > done
        })
        .await;
        worker.kill().await;
        leases_run_out(&place).await;
        if place.number(JOBS).await < 2 {
            break;
        }
    }
    let worker = place.work().await;
    has(&place, JOBS, 0).await;
    assert_eq!(place.number(VECTORS).await, TRACES as i64);
    let texts: usize = embedded(&provider).await.values().sum();
    assert!(
        texts <= TRACES + 2 * ROUNDS * BATCH,
        "{texts} texts were embedded"
    );
    let log = worker.stop().await;
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test]
async fn two_workers_share_a_queue_and_no_text_is_embedded_twice() {
    const DONE: &str = r#"commontrace_embeddings_processed_total{model="text-embedding-3-small",status="success"}"#;
    let provider = Provider::start().await;
    let place = place(&provider).await;
    let (_node, user) = node(&place).await;
    provider.delay_batches(Duration::from_millis(200));
    let (one, two) = tokio::join!(place.work(), place.work());
    // However late one of them looks, there comes work for it.
    let traces = Cell::new(0);
    until("each of them has embedded something", async || {
        for _ in 0..2 * BATCH {
            let number = traces.replace(traces.get() + 1);
            user.contributes(&format!("the pod number {number} is evicted"))
                .await;
        }
        let (mine, theirs) = (one.anyone(), two.anyone());
        mine.metric(DONE).await > Some(0.0) && theirs.metric(DONE).await > Some(0.0)
    })
    .await;
    has(&place, JOBS, 0).await;
    let texts = embedded(&provider).await;
    assert_eq!(texts.len(), traces.get());
    assert!(texts.values().all(|&times| times == 1), "{texts:?}");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn sigterm_lets_a_worker_finish_its_batch() {
    let provider = Provider::start().await;
    let place = place(&provider)
        .await
        .with("COMMONTRACE_SHUTDOWN_GRACE_SECONDS", "60");
    let (_node, user) = node(&place).await;
    contribute(&user, 3).await;
    provider.delay_batches(Duration::from_secs(2));
    let worker = place.work().await;
    until("the batch is being embedded", async || {
        provider.requests().await > 0
    })
    .await;
    worker.stop().await;
    assert_eq!(place.number(JOBS).await, 0);
    assert_eq!(place.number(VECTORS).await, 3);
}

#[tokio::test]
async fn a_batch_that_is_not_finished_in_time_is_given_back_untried() {
    let provider = Provider::start().await;
    let place = place(&provider)
        .await
        .with("COMMONTRACE_SHUTDOWN_GRACE_SECONDS", "1");
    let (_node, user) = node(&place).await;
    contribute(&user, 3).await;
    provider.delay_batches(FOREVER);
    let worker = place.work().await;
    until("the batch is being embedded", async || {
        provider.requests().await > 0
    })
    .await;
    worker.stop().await;
    let untried = "SELECT COUNT(*) FROM jobs WHERE lease IS NULL AND attempts = 0";
    assert_eq!(place.number(untried).await, 3);
    // Another worker need not wait for anything.
    provider.delay_batches(Duration::ZERO);
    let worker = place.work().await;
    has(&place, VECTORS, 3).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_batch_that_takes_long_stays_with_its_worker() {
    const LEASED: &str = "SELECT COUNT(*) FROM jobs WHERE leased_until > NOW()";
    let provider = Provider::start().await;
    let place = place(&provider).await;
    let (_node, user) = node(&place).await;
    contribute(&user, 3).await;
    provider.delay_batches(FOREVER);
    let worker = place.work().await;
    has(&place, LEASED, 3).await;
    leases_run_out(&place).await;
    // The lease is renewed although nobody has noticed that it was over.
    has(&place, LEASED, 3).await;
    assert_eq!(provider.requests().await, 1, "it is the same batch");
    worker.kill().await;
}

#[tokio::test]
async fn what_was_embedded_is_kept_until_the_database_takes_it() {
    let provider = Provider::start().await;
    let place = place(&provider)
        .await
        .with("DATABASE_LOCK_TIMEOUT_SECONDS", "1");
    let (_node, user) = node(&place).await;
    contribute(&user, 3).await;
    // Vectors can be read and not be written.
    let held = place.holding("LOCK TABLE embeddings IN SHARE MODE").await;
    let worker = place.work().await;
    worker.logs("vectors wait to be stored").await;
    held.release().await;
    has(&place, VECTORS, 3).await;
    let texts = embedded(&provider).await;
    assert_eq!(texts.values().collect::<Vec<_>>(), [&1; 3], "{texts:?}");
    worker.stop().await;
}

async fn model_of(server: &Server) -> Value {
    server.anyone().get("/health").await.ok()["checks"]["embedding_model"].take()
}

#[tokio::test]
async fn nodes_and_worker_move_to_another_model_and_no_search_is_degraded() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    let place = Place::on(Engine::Postgres)
        .await
        .without("EMBEDDING_PROVIDER")
        .with("COMMONTRACE_IMPORT_SEEDS", "false");
    place.settings(&old.section("old-model", 8));
    let (node, user) = node(&place).await;
    let worker = place.work().await;
    contribute(&user, 20).await;
    user.until_embedded().await;

    place.settings(&new.section("new-model", 16));
    node.signal(Signal::HUP);
    node.logs("traces wait for a vector of new-model").await;
    // The worker still embeds with the old model only: what is new is whole for this node.
    let id = user.contributes("felicitous catamorphism diverges").await;
    user.until_embedded().await;
    assert_eq!(model_of(&node).await, "old-model");

    new.take_batches(false);
    worker.signal(Signal::HUP);
    worker
        .logs("embedding with new-model, and for nodes that have not moved yet with old-model")
        .await;
    let other = user.contributes("quibbling anamorphism never ends").await;
    user.until_embedded().await;
    for (query, id) in [
        ("felicitous catamorphism", &id),
        ("quibbling anamorphism", &other),
    ] {
        let answer = user.search(query).await;
        assert_eq!(answer["degraded"], false, "{answer}");
        assert_eq!(answer["results"][0]["id"], *id, "{answer}");
    }
    new.take_batches(true);
    until("the node has moved", async || {
        model_of(&node).await == "new-model"
    })
    .await;
    let asked = old.requests().await;
    let answer = user.search("felicitous catamorphism diverges").await;
    assert_eq!(answer["degraded"], false, "{answer}");
    user.contributes("a hylomorphism leaks").await;
    user.until_embedded().await;
    assert_eq!(old.requests().await, asked, "the old model is done with");
    assert_eq!(
        user.request(Method::GET, "/health/ready")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    worker.stop().await;
    node.stop().await;
}

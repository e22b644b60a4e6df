//! Workers: processes that embed for nodes which do not, and share the work.

use std::collections::BTreeMap;
use std::time::Duration;

use commontrace_store::Engine;
use commontrace_testkit::Cluster;
use reqwest::Method;
use rstest::rstest;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{Client, a_trace, until};
use crate::place::Place;
use crate::provider::{KEY, POISON, Provider};
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
    const TRACES: usize = 80;
    let provider = Provider::start().await;
    let place = place(&provider).await;
    let (_node, user) = node(&place).await;
    contribute(&user, TRACES).await;
    provider.delay_batches(Duration::from_millis(200));
    let (one, two) = tokio::join!(place.work(), place.work());
    has(&place, JOBS, 0).await;
    let texts = embedded(&provider).await;
    assert_eq!(texts.len(), TRACES);
    assert!(texts.values().all(|&times| times == 1), "{texts:?}");
    for worker in [one, two] {
        let metric = r#"commontrace_embeddings_processed_total{model="text-embedding-3-small",status="success"}"#;
        let share = worker.anyone().metric(metric).await;
        assert!(share > Some(0.0), "one of them had nothing to do");
        worker.stop().await;
    }
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

/// A place whose workers look for jobs at their start and then never again within a test.
fn looking_once(place: Place) -> Place {
    let poll = FOREVER.as_secs().to_string();
    place.with("COMMONTRACE_WORKER_POLL_SECONDS", &poll)
}

#[tokio::test]
async fn a_worker_that_looks_once_an_hour_is_woken_by_a_contribution() {
    let provider = Provider::start().await;
    let place = looking_once(place(&provider).await);
    let (_node, user) = node(&place).await;
    let worker = place.work().await;
    for number in 1..=3 {
        contribute(&user, 1).await;
        has(&place, VECTORS, number).await;
    }
    let listening = worker.anyone().metric("commontrace_worker_listening").await;
    assert_eq!(listening, Some(1.0));
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_hears_of_jobs_again_after_a_restart_of_postgresql() {
    let mut cluster = Cluster::start().await;
    let provider = Provider::start().await;
    let place = provider
        .of(looking_once(Place::new()))
        .with("DATABASE_URL", &cluster.primary.url())
        .with("COMMONTRACE_IMPORT_SEEDS", "false");
    let (node, user) = node(&place).await;
    let worker = place.work().await;
    contribute(&user, 1).await;
    has(&place, JOBS, 0).await;
    for violently in [false, true] {
        if violently {
            cluster.primary.kill();
        } else {
            cluster.primary.stop();
        }
        until("the worker is deaf", async || {
            worker.anyone().metric("commontrace_worker_listening").await == Some(0.0)
        })
        .await;
        cluster.primary.start().await;
        until("the worker hears", async || {
            worker.anyone().metric("commontrace_worker_listening").await == Some(1.0)
        })
        .await;
        until("the node can write", async || {
            let trace = a_trace("the pod is evicted");
            user.post("/api/v1/traces", trace).await.status == 202
        })
        .await;
        has(&place, JOBS, 0).await;
    }
    let log = worker.stop().await;
    assert_eq!(log.matches("not hearing of new jobs").count(), 2, "{log}");
    assert_eq!(log.matches("hearing of new jobs again").count(), 2, "{log}");
    assert!(!log.contains(commontrace_testkit::PASSWORD), "{log}");
    node.stop().await;
}

#[tokio::test]
async fn a_worker_finds_what_nobody_announced() {
    let provider = Provider::start().await;
    let place = place(&provider).await;
    let (_node, user) = node(&place).await;
    let worker = place.work().await;
    contribute(&user, 1).await;
    has(&place, VECTORS, 1).await;
    place
        .sql(
            "BEGIN; DELETE FROM embeddings;
             INSERT INTO jobs (id, kind, queue, subject_id, state, attempts, run_at, created_at)
             SELECT gen_random_uuid(), 'embed', 'text-embedding-3-small@1/64', id, 'queued', 0,
                    NOW(), NOW() FROM traces; COMMIT",
        )
        .await;
    has(&place, VECTORS, 1).await;
    worker.stop().await;
}

/// What `admin jobs` prints as JSON with these arguments.
async fn jobs(place: &Place, arguments: &[&str]) -> Value {
    let all = [&["admin", "jobs", "--json"], arguments].concat();
    serde_json::from_str(&place.run(&all).await.ok()).unwrap()
}

#[rstest]
#[tokio::test]
async fn a_text_that_always_fails_is_a_dead_letter_until_it_is_tried_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const DEAD: &str = r#"commontrace_jobs{queue="text-embedding-3-small@1/64",state="dead"}"#;
    let provider = Provider::start().await;
    let place = provider
        .of(Place::on(engine).await)
        .with("COMMONTRACE_IMPORT_SEEDS", "false");
    provider.refuse_poison(true);
    // On SQLite the worker is inside the server.
    let (server, worker) = match engine {
        Engine::Sqlite => (place.serve().await, None),
        Engine::Postgres => (place.serve_without_worker().await, Some(place.work().await)),
    };
    let user = server.user().await;
    contribute(&user, 3).await;
    let trace = user
        .contributes(&format!("{POISON} breaks the pipeline"))
        .await;
    let works = worker.as_ref().unwrap_or(&server).anyone();
    until("it is counted as dead", async || {
        works.metric(DEAD).await == Some(1.0)
    })
    .await;
    until("its server knows that it has no vector", async || {
        user.metric("commontrace_embedding_backlog").await == Some(1.0)
    })
    .await;
    let gave_up =
        r#"commontrace_job_failures_total{queue="text-embedding-3-small@1/64",outcome="dead"}"#;
    assert_eq!(works.metric(gave_up).await, Some(1.0));

    let dead = jobs(&place, &["--state", "dead"]).await;
    assert_eq!((&dead["dead"], &dead["waiting"]), (&1.into(), &0.into()));
    let job = &dead["jobs"][0];
    assert_eq!(job["subject_id"], trace);
    let error = job["last_error"].as_str().unwrap();
    assert!(
        error.contains("unsafe text") && !error.contains(KEY),
        "{error}"
    );
    assert_eq!(
        jobs(&place, &["--state", "waiting"]).await["jobs"],
        json!([])
    );
    assert_eq!(jobs(&place, &["--limit", "0"]).await["jobs"], json!([]));
    let shown = place.run(&["admin", "jobs"]).await.ok();
    assert!(
        shown.starts_with("0 waiting, 0 leased, 1 dead\n"),
        "{shown}"
    );
    assert!(shown.contains("unsafe text"), "{shown}");

    // It fails again, and for a reason that is mended it does not.
    let id = job["id"].as_str().unwrap();
    let retried = jobs(&place, &["--retry", "--all"]).await;
    assert_eq!(retried["retried"], 1);
    until("it was tried again", async || {
        works.metric(gave_up).await == Some(2.0)
    })
    .await;
    provider.refuse_poison(false);
    until("it is dead again", async || {
        jobs(&place, &[]).await["dead"] == 1
    })
    .await;
    let said = place.run(&["admin", "jobs", "--retry", id]).await.ok();
    assert_eq!(said, "1 jobs are tried again\n");
    user.until_embedded().await;
    until("it is not counted any more", async || {
        works.metric(DEAD).await == Some(0.0)
    })
    .await;
    place
        .run(&["admin", "jobs", "--retry", id])
        .await
        .failed_with_hint(1, &["no job that was given up", id]);
    place
        .run(&["admin", "jobs", "--retry"])
        .await
        .failed_with_hint(1, &["which job"]);
    if let Some(worker) = worker {
        worker.stop().await;
    }
    let log = server.stop().await;
    assert!(!log.contains(KEY), "{log}");
}

//! Workers hear of new jobs at once, and find them where they did not.

use commontrace_testkit::Cluster;

use super::{FOREVER, JOBS, VECTORS, contribute, has, node, place};
use crate::client::{a_trace, until};
use crate::place::Place;
use crate::provider::Provider;

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

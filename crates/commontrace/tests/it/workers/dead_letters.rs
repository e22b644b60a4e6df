//! Texts that cannot be embedded are given up, listed, and tried again when somebody says so.

use commontrace_store::Engine;
use rstest::rstest;
use serde_json::{Value, json};

use super::contribute;
use crate::client::until;
use crate::place::Place;
use crate::provider::{KEY, POISON, Provider};

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
    assert_eq!(said, "1 job is tried again\n");
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

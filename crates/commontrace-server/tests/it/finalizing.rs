//! Finding out what a session is worth: waiting, following, ending and going on after a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Method;
use commontrace_server::app::ServerSettings;
use commontrace_server::sessions::examine::{Examiner, Subject, Watch};
use commontrace_server::worker::runs;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::RunState;
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::actors::{Actor, TestApp};
use crate::recording::{append, begin, command};

/// What a scripted examiner does with the tests.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Script {
    Verify,
    /// Waits until it is told to end.
    Wait,
    Panic,
    Refuse,
}

#[derive(Debug)]
struct Scripted {
    script: Script,
    verified: AtomicU32,
    waiting: Notify,
}

#[async_trait]
impl Examiner for Scripted {
    async fn verify(&self, subject: &Subject, watch: &Watch) -> Result<Value, String> {
        self.verified.fetch_add(1, Ordering::Relaxed);
        watch.enter(
            RunState::Running,
            json!({"run": 1, "of": subject.request.repeats}),
        );
        match self.script {
            Script::Verify => Ok(json!({"status": "verified"})),
            Script::Wait => {
                self.waiting.notify_one();
                watch.cancel.cancelled().await;
                Ok(json!({"status": "not_run"}))
            }
            Script::Panic => panic!("the examiner has a bug"),
            Script::Refuse => Err("the disk is full".to_owned()),
        }
    }

    async fn judge(
        &self,
        subject: &Subject,
        verification: &Value,
        _: &Watch,
    ) -> Result<Value, String> {
        let mut events = 0;
        let mut reader = subject.events();
        while reader
            .next()
            .await
            .map_err(|err| format!("{err:?}"))?
            .is_some()
        {
            events += 1;
        }
        Ok(json!({"verdict": {
            "tests_passed": true,
            "verification": verification,
            "events": events,
            "events_through_seq": subject.events_through,
        }}))
    }
}

async fn scripted(engine: Engine, script: Script) -> (TestApp, Arc<Scripted>) {
    scripted_at_once(engine, script, 1).await
}

async fn scripted_at_once(
    engine: Engine,
    script: Script,
    parallel_runs: usize,
) -> (TestApp, Arc<Scripted>) {
    let examiner = Arc::new(Scripted {
        script,
        verified: AtomicU32::new(0),
        waiting: Notify::new(),
    });
    let settings = ServerSettings {
        worker_poll: Duration::from_millis(20),
        parallel_runs,
        read_per_minute: 1_000_000,
        ..ServerSettings::default()
    };
    let shared: Arc<dyn Examiner> = Arc::<Scripted>::clone(&examiner);
    let app = TestApp::examining(engine, settings, Some(shared)).await;
    tokio::spawn(runs::run(app.app.clone()));
    (app, examiner)
}

async fn session(actor: &Actor) -> String {
    let id = begin(actor).await;
    append(
        actor,
        &id,
        json!([command("a", 1, "x"), command("b", 2, "y")]),
    )
    .await
    .ok();
    id
}

/// Asks for a run and does not wait for it; returns its path.
async fn ask(actor: &Actor, id: &str) -> String {
    let headers = [("prefer", "respond-async")];
    let path = format!("/traces/{id}/finalize");
    let answer = actor.send(Method::POST, &path, None, &headers).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let place = answer.headers["location"].to_str().unwrap().to_owned();
    assert!(place.ends_with(answer.json["run_id"].as_str().unwrap()));
    place
}

/// Looks at a run until it has ended.
async fn ended(actor: &Actor, run: &str) -> Value {
    loop {
        let run = actor.get(run).await.ok();
        if !run["finished_at"].is_null() {
            return run;
        }
        tokio::task::yield_now().await;
    }
}

#[rstest]
#[tokio::test]
async fn finalizing_waits_and_answers_with_the_session_and_its_verdict(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (app, _) = scripted(engine, Script::Verify).await;
    let ada = app.user("ada").await;
    let id = session(&ada).await;
    let path = format!("/traces/{id}/finalize");
    let answer = ada.send(Method::POST, &path, None, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let verdict = &answer.json["qa_results"];
    assert_eq!(verdict["tests_passed"], true);
    assert_eq!(verdict["verification"]["status"], "verified");
    assert_eq!(
        (&verdict["events"], &verdict["stale"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(answer.json["events"].as_array().unwrap().len(), 2);
    // What is appended later is not part of the verdict, and that is said.
    append(&ada, &id, json!([command("c", 3, "z")])).await.ok();
    let later = ada.get(&format!("/traces/{id}")).await.ok();
    assert_eq!(later["qa_results"]["stale"], true);
    let again = ada.send(Method::POST, &path, None, &[]).await.ok();
    assert_eq!(again["qa_results"]["events"], 3);
    let runs = ada.get(&format!("/traces/{id}/runs")).await.ok();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);
}

#[rstest]
#[tokio::test]
async fn what_a_run_is_asked_for_is_kept_with_it_and_its_files_with_the_session(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (app, _) = scripted(engine, Script::Verify).await;
    let ada = app.user("ada").await;
    let id = session(&ada).await;
    let path = format!("/traces/{id}/finalize");
    let content = "assert the_secret_test";
    let body = json!({
        "tests": [{"path": "tests/test_a.py", "content": content}, {"path": "old.t", "content": null}],
        "setup": "make deps", "expected": ["test_a"], "repeats": 2, "fix": "edits",
        "repo": {"test_command": "make check"},
    });
    ada.post(&path, body.clone()).await.ok();
    let runs = ada.get(&format!("/traces/{id}/runs")).await.ok();
    let request = &runs["runs"][0]["request"];
    assert_eq!(
        *request,
        json!({
            "repeats": 2, "fix": "edits", "setup": "make deps", "expected": ["test_a"],
            "repo": {"test_command": "make check"},
            "tests": [
                {"path": "tests/test_a.py", "bytes": content.len(), "sha256": sha256(content)},
                {"path": "old.t", "bytes": 0, "sha256": null},
            ],
        })
    );
    assert!(!runs.to_string().contains(content));
    // Who asks for nothing gets the usual.
    ada.send(Method::POST, &path, None, &[]).await.ok();
    let runs = ada.get(&format!("/traces/{id}/runs")).await.ok();
    let usual = &runs["runs"][0]["request"];
    assert_eq!(
        (&usual["repeats"], &usual["tests"]),
        (&json!(3), &json!([]))
    );
}

fn sha256(text: &str) -> String {
    let hash = Sha256::digest(text);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[rstest]
#[tokio::test]
async fn a_request_that_is_wrong_starts_nothing_and_names_the_place(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (app, _) = scripted(engine, Script::Verify).await;
    let ada = app.user("ada").await;
    let id = session(&ada).await;
    let path = format!("/traces/{id}/finalize");
    let secret = "ghp_Zk3Vq8Xw1Rt6Yp9Lm2Nb5Hs7Jd4Fg0Qc8XaT";
    for (body, place) in [
        (
            json!({"tests": [{"path": "a", "content": ""}, {"path": "../b", "content": ""}]}),
            json!(["body", "tests", 1, "path"]),
        ),
        (
            json!({"tests": [{"path": "a", "content": format!("key = '{secret}'")}]}),
            json!(["body", "tests", 0, "content"]),
        ),
        (json!({"repeats": 0}), json!(["body", "repeats"])),
        (json!({"test": []}), json!(["body", "test"])),
    ] {
        let answer = ada.post(&path, body).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(answer.json["detail"][0]["loc"], place, "{answer:?}");
        assert!(!answer.json.to_string().contains(secret));
    }
    let differs = format!("{path}?repeats=2");
    let answer = ada.post(&differs, json!({"repeats": 3})).await;
    assert_eq!(answer.json["detail"][0]["loc"], json!(["body", "repeats"]));
    let runs = ada.get(&format!("/traces/{id}/runs")).await.ok();
    assert_eq!(runs["runs"], json!([]));
}

#[rstest]
#[tokio::test]
async fn a_request_with_a_key_is_carried_out_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let (app, _) = scripted(engine, Script::Verify).await;
    let ada = app.user("ada").await;
    let id = session(&ada).await;
    let path = format!("/traces/{id}/finalize");
    let ask = async |repeats: u8| {
        let body = Some(json!({ "repeats": repeats }));
        let key = [("idempotency-key", "once")];
        ada.send(Method::POST, &path, body, &key).await
    };
    ask(2).await.ok();
    ask(2).await.ok();
    assert!(ask(1).await.refused(422).contains("Idempotency-Key"));
    let runs = ada.get(&format!("/traces/{id}/runs")).await.ok();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_run_that_has_not_ended_is_joined_only_for_the_same(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let settings = ServerSettings {
        finalize_wait: Duration::ZERO,
        ..ServerSettings::default()
    };
    let app = TestApp::with(engine, settings).await;
    let ada = app.user("ada").await;
    let id = session(&ada).await;
    let path = format!("/traces/{id}/finalize");
    let first = ada.post(&path, json!({"setup": "make"})).await.ok();
    let same = ada.post(&path, json!({"setup": "make"})).await.ok();
    let plain = ada.send(Method::POST, &path, None, &[]).await.ok();
    assert_eq!(
        (&same["run_id"], &plain["run_id"]),
        (&first["run_id"], &first["run_id"])
    );
    let other = ada.post(&path, json!({"setup": "make all"})).await;
    assert!(other.refused(409).contains("something else"));
}

#[rstest]
#[tokio::test]
async fn a_run_can_be_followed_and_ended(#[values(Sqlite, Postgres)] engine: Engine) {
    let (app, examiner) = scripted(engine, Script::Wait).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let id = session(&ada).await;
    let run = ask(&ada, &id).await;
    examiner.waiting.notified().await;
    // One is enough.
    assert_eq!(ask(&ada, &id).await, run);
    bob.get(&run).await.refused(404);
    let cancel = format!("{run}/cancel");
    let refused = bob.send(Method::POST, &cancel, None, &[]).await;
    refused.refused(404);
    ada.send(Method::POST, &cancel, None, &[]).await.ok();
    let end = ended(&ada, &run).await;
    assert_eq!(
        (&end["state"], &end["verdict"]),
        (&json!("cancelled"), &Value::Null)
    );
    let events = ada.text(&format!("{run}/progress")).await;
    assert!(events.starts_with("event: end\ndata: {"), "{events}");
    assert!(events.contains(r#""state":"cancelled""#));
}

#[rstest]
#[tokio::test]
async fn whatever_fails_is_a_state_and_never_a_verdict(
    #[values(Script::Panic, Script::Refuse)] script: Script,
) {
    let (app, _) = scripted(Sqlite, script).await;
    let ada = app.user("ada").await;
    let id = session(&ada).await;
    let path = format!("/traces/{id}/finalize");
    let answer = ada.send(Method::POST, &path, None, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json["qa_results"], Value::Null);
    let runs = ada.get(&format!("/traces/{id}/runs")).await.ok();
    assert_eq!(runs["runs"][0]["state"], "failed");
    assert!(runs["runs"][0]["error"].is_string());
}

#[rstest]
#[tokio::test]
async fn as_many_sessions_are_examined_at_a_time_as_the_operator_allows(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (app, examiner) = scripted_at_once(engine, Script::Wait, 2).await;
    let ada = app.user("ada").await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(ask(&ada, &session(&ada).await).await);
    }
    while examiner.verified.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    let mut queued = 0;
    for run in &runs {
        queued += usize::from(ada.get(run).await.ok()["state"] == "queued");
    }
    assert_eq!(queued, 1);
    for run in runs {
        ada.send(Method::POST, &format!("{run}/cancel"), None, &[])
            .await
            .ok();
        assert_eq!(ended(&ada, &run).await["state"], "cancelled");
    }
}

#[rstest]
#[tokio::test]
async fn a_process_that_starts_leaves_the_run_of_a_living_one_alone(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (app, examiner) = scripted(engine, Script::Wait).await;
    let ada = app.user("ada").await;
    let first = ask(&ada, &session(&ada).await).await;
    examiner.waiting.notified().await;
    let second = ask(&ada, &session(&ada).await).await;
    tokio::spawn(runs::run(app.another_node().await));
    // It takes the run that has waited longest and that nobody has.
    while examiner.verified.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    for run in [first, second] {
        assert_ne!(ada.get(&run).await.ok()["state"], "queued");
    }
}

#[tokio::test]
async fn a_worker_that_is_stopped_gives_its_run_back() {
    let (app, examiner) = scripted(Sqlite, Script::Wait).await;
    let ada = app.user("ada").await;
    let id = session(&ada).await;
    let run = ask(&ada, &id).await;
    examiner.waiting.notified().await;
    app.app.lifecycle.stop();
    let lease = app.app.ids.uuid();
    let claimed = loop {
        let claimed = app
            .app
            .store
            .claim_run(lease, Duration::from_secs(20), app.app.clock.now());
        if let Some(claimed) = claimed.await.unwrap() {
            break claimed;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(claimed.attempts, 1);
    assert!(run.ends_with(&claimed.id.to_string()));
}

#[tokio::test]
async fn without_a_worker_a_run_waits_and_its_place_is_told() {
    let settings = ServerSettings {
        finalize_wait: Duration::ZERO,
        ..ServerSettings::default()
    };
    let app = TestApp::with(Sqlite, settings).await;
    let ada = app.user("ada").await;
    let id = session(&ada).await;
    let path = format!("/traces/{id}/finalize");
    let answer = ada.send(Method::POST, &path, None, &[]).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json["state"]),
        (202, &json!("queued"))
    );
    let unknown = ada
        .send(Method::POST, "/traces/none/finalize", None, &[])
        .await;
    assert!(unknown.refused(404).contains("not found"));
}

//! Traces that carry what running tests proved of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Method;
use commontrace_judge::words::{Wording, Words};
use commontrace_server::app::ServerSettings;
use commontrace_server::sessions::examine::{Examiner, Subject, Watch};
use commontrace_server::worker::runs;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::{Value, json};

use crate::actors::{Actor, TestApp};
use crate::recording::{append, begin, command};

const FAILURE: &str = "E  AssertionError: 28 cents are not 29 cents";

/// Finds out what it is told to.
#[derive(Debug)]
struct Told(Mutex<Value>);

#[async_trait]
impl Examiner for Told {
    async fn verify(&self, _: &Subject, _: &Watch) -> Result<Value, String> {
        Ok(Value::Null)
    }

    async fn judge(&self, subject: &Subject, _: &Value, _: &Watch) -> Result<Value, String> {
        let mut results = self.0.lock().unwrap().clone();
        results["events_through_seq"] = subject.events_through.into();
        Ok(json!({"format": "signed", "verdict": results}))
    }

    async fn word(&self, _: &Subject, _: &Watch) -> Option<Wording> {
        Some(Wording {
            model: "a-model".to_owned(),
            words: Some(Words {
                title: "A cent is lost".to_owned(),
                problem: "Prices are a cent too low.".to_owned(),
                cause: "int() cuts off.".to_owned(),
                solution: "Round.".to_owned(),
                failed_attempts: Vec::new(),
            }),
            reason: None,
            error: None,
        })
    }
}

fn found(status: &str, score: Option<f64>) -> Value {
    json!({
        "verification": {
            "status": status, "message": "In words.", "runs_per_side": 3, "isolation": ["bubblewrap"],
            "counts": {"fail_to_pass": 1, "pass_to_pass": 2, "pass_to_fail": 0, "flaky": 0},
        },
        "flags": [], "score": score,
    })
}

struct World {
    app: TestApp,
    told: Arc<Told>,
    ada: Actor,
    session: String,
}

impl World {
    /// A server, and a session of ada's with a failure and a fix, not finalized yet.
    async fn on(engine: Engine) -> Self {
        let told = Arc::new(Told(Mutex::new(found("verified", None))));
        let settings = ServerSettings {
            worker_poll: Duration::from_millis(20),
            read_per_minute: 1_000_000,
            write_per_minute: 1_000_000,
            ..ServerSettings::default()
        };
        let shared: Arc<dyn Examiner> = Arc::<Told>::clone(&told);
        let app = TestApp::examining(engine, settings, Some(shared)).await;
        tokio::spawn(runs::run(app.app.clone()));
        let ada = app.user("ada").await;
        let session = begin(&ada).await;
        let edit = json!({
            "event_type": "code_edit", "timestamp": "2025-11-27T10:00:02Z",
            "data": {"file_path": "money.py", "diff": "@@ -1 +1 @@\n-int(x)\n+round(x)\n"}
        });
        append(&ada, &session, json!([command("a", 1, FAILURE), edit]))
            .await
            .ok();
        Self {
            app,
            told,
            ada,
            session,
        }
    }

    async fn finalize(&self, found: Value) {
        *self.told.0.lock().unwrap() = found;
        let path = format!("/traces/{}/finalize", self.session);
        self.ada.send(Method::POST, &path, None, &[]).await.ok();
    }

    async fn draft(&self) -> Value {
        self.ada
            .get(&format!("/traces/{}/draft", self.session))
            .await
            .ok()
    }

    /// Publishes the draft as it is; returns the trace's path.
    async fn publish(&self) -> String {
        let answer = self.ada.post("/api/v1/traces", self.draft().await).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        format!("/api/v1/traces/{}", answer.json["id"].as_str().unwrap())
    }

    async fn standing(&self, trace: &str) -> (Value, Value, String) {
        let trace = self.ada.get(trace).await.ok();
        let trust = format!("{:.2}", trace["trust_score"].as_f64().unwrap());
        let evidence = &trace["evidence"];
        (
            evidence["status"].clone(),
            evidence["counts"].clone(),
            trust,
        )
    }
}

#[rstest]
#[tokio::test]
async fn a_draft_that_is_contributed_carries_the_verdict_on_its_session(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    // Without a verdict it is a trace like any other.
    assert_eq!(world.draft().await["session_id"], Value::Null);
    let mut early = world.draft().await;
    early["session_id"] = json!(world.session);
    let refused = world.ada.post("/api/v1/traces", early).await;
    assert!(refused.refused(409).contains("finalize"));
    world.finalize(found("verified", Some(0.9))).await;
    let draft = world.draft().await;
    assert_eq!(draft["session_id"], json!(world.session));
    assert_eq!(draft["evidence"]["signed_verdict"]["format"], "signed");
    // Nothing is published by drafting.
    assert!(
        world
            .ada
            .finds("28 cents are not 29 cents")
            .await
            .is_empty()
    );
    let trace = world.publish().await;
    let bob = world.app.user("bob").await;
    let read = bob.get(&trace).await.ok();
    assert_eq!(
        read["evidence"]["summary"],
        "Tests: verified. 1 turned green, 2 of 2 that passed still pass, 3 runs, no flake."
    );
    assert_eq!(read["evidence"]["counts"], true);
    assert_eq!(
        format!("{:.2}", read["trust_score"].as_f64().unwrap()),
        "0.57"
    );
    // Others have to say that it helped them.
    assert_eq!(read["status"], "pending");
    let query = json!({"q": "AssertionError 28 cents are not 29 cents"});
    let hit = bob.post("/api/v1/traces/search", query).await.ok()["results"][0].clone();
    assert_eq!(hit["evidence"], read["evidence"]);
    let body = bob.get(&format!("{trace}/evidence")).await.ok();
    assert_eq!(body["evidence"], read["evidence"]);
    assert_eq!(body["signed_verdict"], draft["evidence"]["signed_verdict"]);
}

#[rstest]
#[tokio::test]
async fn nobody_passes_off_the_verdict_on_somebody_elses_session(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    world.finalize(found("verified", None)).await;
    let bob = world.app.user("bob").await;
    let refused = bob.post("/api/v1/traces", world.draft().await).await;
    assert!(refused.refused(404).contains(&world.session));
    let mut plain = world.draft().await;
    plain["session_id"] = Value::Null;
    // A verdict in the request is nothing to the server.
    let id = bob.post("/api/v1/traces", plain).await;
    assert_eq!(id.status, 202);
    let trace = format!("/api/v1/traces/{}", id.json["id"].as_str().unwrap());
    assert_eq!(bob.get(&trace).await.ok()["evidence"], Value::Null);
    bob.get(&format!("{trace}/evidence")).await.refused(404);
    let evidence = format!("{trace}/evidence");
    let body = json!({"session_id": world.session});
    let to_others = world
        .ada
        .send(Method::PUT, &evidence, Some(body.clone()), &[]);
    to_others.await.refused(403);
    let of_others = bob.send(Method::PUT, &evidence, Some(body), &[]).await;
    of_others.refused(404);
    for hostile in ["", "a\u{0}b", "../x", "none"] {
        let body = json!({"session_id": hostile});
        let answer = bob.send(Method::PUT, &evidence, Some(body), &[]).await;
        answer.refused(404);
    }
}

#[rstest]
#[tokio::test]
async fn a_better_verdict_updates_a_published_trace_and_a_failing_one_demotes_it(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    world.finalize(found("infrastructure", None)).await;
    let trace = world.publish().await;
    let stands = async || world.standing(&trace).await;
    let is =
        |status: &str, counts: bool, trust: &str| (json!(status), json!(counts), trust.to_owned());
    assert_eq!(stands().await, is("infrastructure", false, "0.00"));
    world.finalize(found("verified", Some(0.9))).await;
    assert_eq!(stands().await, is("verified", true, "0.57"));
    // What proves nothing takes no proof away, nor does a lower score for the same events.
    world.finalize(found("infrastructure", None)).await;
    world.finalize(found("verified", Some(0.7))).await;
    let score = world.ada.get(&trace).await.ok()["evidence"]["score"].clone();
    assert_eq!(
        (score, stands().await),
        (json!(0.9), is("verified", true, "0.57"))
    );
    // Two voters validate it; the refutation takes that back.
    for name in ["bob", "eve"] {
        let voter = world.app.user(name).await;
        let votes = format!("{trace}/votes");
        voter.post(&votes, json!({"vote_type": "up"})).await.ok();
    }
    assert_eq!(world.ada.get(&trace).await.ok()["status"], "validated");
    world.finalize(found("refuted", Some(0.0))).await;
    assert_eq!(stands().await, is("refuted", true, "0.08"));
    assert_eq!(world.ada.get(&trace).await.ok()["status"], "pending");
    // Tests that were made easier to pass prove nothing.
    append(&world.ada, &world.session, json!([command("c", 0, "ok")]))
        .await
        .ok();
    let mut weakened = found("verified", Some(1.0));
    weakened["flags"] = json!(["tests_weakened"]);
    world.finalize(weakened).await;
    assert_eq!(stands().await.0, "refuted");
}

#[rstest]
#[tokio::test]
async fn a_proof_counts_only_for_a_text_that_shows_what_was_proven(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    world.finalize(found("verified", None)).await;
    let mut other = world.draft().await;
    other["solution_text"] =
        json!("Run `curl` of a page and pipe it to a shell, then it works again.");
    let answer = world.ada.post("/api/v1/traces", other).await;
    assert_eq!(answer.json["evidence"]["counts"], false, "{answer:?}");
    // Nor does it for files that the verified change leaves alone, whatever the session tells of them.
    let mut elsewhere = found("verified", None);
    elsewhere["verification"]["changed"] = json!(["dollars.py"]);
    world.finalize(elsewhere).await;
    let told = world.draft().await["solution_text"].to_string();
    assert!(!told.contains("round(x)"), "{told}");
    let mut other = world.draft().await;
    other["title"] = json!("A cent is lost in money.py, they say");
    other["solution_text"] = json!("In `money.py`:\n\n```diff\n-int(x)\n+round(x)\n```\n");
    let answer = world.ada.post("/api/v1/traces", other).await;
    assert_eq!(answer.json["evidence"]["counts"], false, "{answer:?}");
    let mut here = found("verified", None);
    here["verification"]["changed"] = json!(["money.py"]);
    world.finalize(here).await;
    // What was added to the session since was not there when its tests ran.
    let mut later = world.draft().await;
    let late = json!({
        "event_type": "code_edit", "timestamp": "2025-11-27T10:00:09Z",
        "data": {"file_path": "money.py", "diff": "@@ -1 +1 @@\n+os.remove(home)\n"}
    });
    append(&world.ada, &world.session, json!([late])).await.ok();
    later["title"] = json!("Prices lose a cent, and so do homes");
    later["solution_text"] = json!("In `money.py`:\n\n```diff\n+os.remove(home)\n```\n");
    let answer = world.ada.post("/api/v1/traces", later).await;
    assert_eq!(answer.json["evidence"]["counts"], false, "{answer:?}");
    world.finalize(found("verified", None)).await;
    let trace = world.publish().await;
    assert_eq!(world.standing(&trace).await.1, true);
    let text = "Round it in `money.py`:\n\n```diff\n-int(x)\n+round(x)\n```\n";
    let patch = json!({"solution_text": text});
    world
        .ada
        .send(Method::PATCH, &trace, Some(patch), &[])
        .await
        .ok();
    assert_eq!(
        world.standing(&trace).await,
        (json!("verified"), json!(false), "0.00".to_owned())
    );
    let evidence = format!("{trace}/evidence");
    let body = json!({"session_id": world.session});
    let given = world
        .ada
        .send(Method::PUT, &evidence, Some(body), &[])
        .await
        .ok();
    assert_eq!(
        (&given["counts"], &given["revision"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(world.standing(&trace).await.2, "0.57");
    // A model's words are not taken for a session that went on.
    append(&world.ada, &world.session, json!([command("z", 0, "ok")]))
        .await
        .ok();
    let draft = world.draft().await;
    assert_eq!(
        (&draft["worded_by"], &draft["evidence"]["stale"]),
        (&Value::Null, &json!(true))
    );
    // It stays with the trace when the session goes, and goes with the trace.
    let session = format!("/traces/{}", world.session);
    world
        .ada
        .send(Method::DELETE, &session, None, &[])
        .await
        .ok();
    assert_eq!(world.standing(&trace).await.1, true);
    world.ada.send(Method::DELETE, &trace, None, &[]).await.ok();
    world.ada.get(&evidence).await.refused(404);
}

#[rstest]
#[tokio::test]
async fn a_session_is_evidence_of_no_more_traces_than_a_refutation_reaches(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let world = World::on(engine).await;
    world.finalize(found("verified", None)).await;
    let draft = world.draft().await;
    let told = |n: usize| {
        let mut draft = draft.clone();
        draft["title"] = json!(format!("A cent is lost in shop number {n}"));
        draft["solution_text"] = json!(format!("Shop {n}: round it in `money.py`."));
        draft
    };
    let mut last = String::new();
    for n in 0..100 {
        let answer = world.ada.post("/api/v1/traces", told(n)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        last = answer.json["id"].as_str().unwrap().to_owned();
    }
    let refused = world.ada.post("/api/v1/traces", told(100)).await;
    assert!(refused.refused(409).contains("100 traces"));
    let mut plain = told(100);
    plain["session_id"] = Value::Null;
    let other = world.ada.post("/api/v1/traces", plain).await;
    assert_eq!(other.status, 202, "{other:?}");
    let body = json!({"session_id": world.session});
    for (id, status) in [(other.json["id"].as_str().unwrap(), 409), (&*last, 200)] {
        let path = format!("/api/v1/traces/{id}/evidence");
        let put = world.ada.send(Method::PUT, &path, Some(body.clone()), &[]);
        assert_eq!(put.await.status, status);
    }
}

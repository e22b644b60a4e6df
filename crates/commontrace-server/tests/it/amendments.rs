//! Amendments.

use axum::http::Method;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::{Value, json};

use crate::actors::{Actor, TestApp};

const BETTER: &str = "Use `depends_on` with `condition: service_healthy` and a start_period.";

async fn propose(who: &Actor, trace: &str) -> Value {
    let body =
        json!({ "improved_solution": BETTER, "explanation": "start_period avoids flapping" });
    let answer = who
        .post(&format!("/api/v1/traces/{trace}/amendments"), body)
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json
}

async fn decide(who: &Actor, trace: &str, amendment: &Value, word: &str) -> crate::actors::Answer {
    let id = amendment["id"].as_str().unwrap();
    let path = format!("/api/v1/traces/{trace}/amendments/{id}/{word}");
    who.send(Method::POST, &path, None, &[]).await
}

#[rstest]
#[tokio::test]
async fn an_accepted_amendment_becomes_the_next_revision(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    let amendment = propose(&bob, &trace).await;
    assert_eq!(amendment["original_trace_id"], trace.as_str());
    decide(&bob, &trace, &amendment, "accept")
        .await
        .refused(403);
    assert_eq!(
        decide(&ada, &trace, &amendment, "accept").await.ok()["revision"],
        2
    );
    assert_eq!(bob.reads(&trace).await["solution_text"], BETTER);
    decide(&ada, &trace, &amendment, "reject")
        .await
        .refused(409);
    let revisions = bob
        .get(&format!("/api/v1/traces/{trace}/revisions"))
        .await
        .ok();
    assert_eq!(revisions["revisions"][1]["amendment_id"], amendment["id"]);
    let listed = bob
        .get(&format!("/api/v1/traces/{trace}/amendments"))
        .await
        .ok();
    assert_eq!(listed["amendments"][0]["status"], "accepted");
}

#[rstest]
#[tokio::test]
async fn a_rejected_amendment_changes_nothing_and_a_moderator_may_decide(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let moderator = app.moderator().await;
    let trace = ada.contributes("a healthcheck").await;
    let before = bob.reads(&trace).await;
    let amendment = propose(&bob, &trace).await;
    assert_eq!(
        decide(&moderator, &trace, &amendment, "reject").await.ok()["revision"],
        1
    );
    assert_eq!(bob.reads(&trace).await, before);
}

#[rstest]
#[tokio::test]
async fn an_amendment_without_substance_is_refused(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let path = format!(
        "/api/v1/traces/{}/amendments",
        ada.contributes("a healthcheck").await
    );
    for (body, field) in [
        (
            json!({ "improved_solution": "TODO", "explanation": "x" }),
            "improved_solution",
        ),
        (
            json!({ "improved_solution": BETTER, "explanation": "" }),
            "explanation",
        ),
        (
            json!({ "improved_solution": "x".repeat(50_001), "explanation": "x" }),
            "improved_solution",
        ),
        (json!({ "explanation": "x" }), "improved_solution"),
    ] {
        let answer = bob.post(&path, body).await;
        answer.refused(422);
        assert_eq!(answer.json["field"], field);
    }
}

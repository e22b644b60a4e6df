//! What becomes of a contribution.

use axum::http::Method;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::{Value, json};

use crate::actors::{TestApp, a_trace};

#[rstest]
#[tokio::test]
async fn a_new_trace_is_findable_by_its_words_as_soon_as_its_post_is_answered(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    ada.contributes("compose waits for an unhealthy database")
        .await;
    assert_eq!(
        bob.finds("container db is unhealthy").await,
        ["compose waits for an unhealthy database"]
    );
}

#[rstest]
#[tokio::test]
async fn the_answer_says_what_became_of_the_request(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let mut body = a_trace("a healthcheck");
    body["tags"] = json!(["Docker", "docker ", "C++", "two words"]);
    body["context_text"] =
        json!("mail ada.byron@engines.org, see /home/ada/compose.yaml: unhealthy");
    body["unknown_member"] = json!(true);
    let answer = ada.post("/api/v1/traces", body).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json["status"], "pending");
    assert_eq!(answer.json["tags"], json!(["docker", "cpp"]));
    assert_eq!(answer.json["dropped_tags"], json!(["two words"]));
    assert_eq!(
        answer.json["redactions"],
        json!([
            { "field": "context_text", "rule": "email", "count": 1 },
            { "field": "context_text", "rule": "home-path", "count": 1 },
        ])
    );
    let trace = ada.reads(answer.json["id"].as_str().unwrap()).await;
    let context = trace["context_text"].as_str().unwrap();
    assert!(
        !context.contains("byron") && !context.contains("/home/ada"),
        "{context}"
    );
}

#[rstest]
#[tokio::test]
async fn a_secret_never_reaches_the_database(#[values(Sqlite)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let secret = ["ghp", "_", "x8Kq2Vb7Nm4Rt9Ws3Yc6Ld1Pf5Hg0Jz2QaE7"].concat();
    let mut body = a_trace("a token in every field");
    for field in ["context_text", "solution_text"] {
        let text = body[field].as_str().unwrap().to_owned();
        body[field] = json!(format!("{text} token {secret}"));
    }
    body["title"] = json!(format!("token {secret}"));
    body["tags"] = json!([secret]);
    body["metadata_json"] = json!({ "note": secret, (secret.clone()): 1 });
    body["watch_condition"] = json!(secret);
    body["agent_model"] = json!(secret);
    body["context"] = json!({ "language": secret });
    let answer = ada.post("/api/v1/traces", body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(!answer.json.to_string().contains(&secret));
    let copy = app.copy_of_the_database().await;
    assert!(
        !copy
            .windows(secret.len())
            .any(|bytes| bytes.eq_ignore_ascii_case(secret.as_bytes()))
    );
}

#[rstest]
#[tokio::test]
async fn a_repeated_request_with_the_same_key_stores_one_trace(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let send = async |who: &crate::actors::Actor, body: Value| {
        who.send(
            Method::POST,
            "/api/v1/traces",
            Some(body),
            &[("idempotency-key", "k-1")],
        )
        .await
    };
    let first = send(&ada, a_trace("one")).await;
    let second = send(&ada, a_trace("one")).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    assert_eq!(first.json, second.json);
    send(&ada, a_trace("two")).await.refused(422);
    assert_ne!(
        send(&bob, a_trace("one")).await.json["id"],
        first.json["id"],
        "keys are per account"
    );
    let listed = ada.get("/api/v1/traces?mine=true").await.ok();
    assert_eq!(listed["traces"].as_array().unwrap().len(), 1);
}

#[rstest]
#[case(json!({ "title": "" }), "title")]
#[case(json!({ "title": "x".repeat(201) }), "title")]
#[case(json!({ "title": " \u{0} " }), "title")]
#[case(json!({ "title": 7 }), "title")]
#[case(json!({ "title": null }), "title")]
#[case(json!({ "context_text": "x".repeat(50_001) }), "context_text")]
#[case(json!({ "solution_text": "TODO" }), "solution_text")]
#[case(json!({ "solution_text": "src/main.rs" }), "solution_text")]
#[case(json!({ "tags": "docker" }), "tags")]
#[case(json!({ "tags": vec!["a"; 21] }), "tags")]
#[case(json!({ "tags": [1] }), "tags[0]")]
#[case(json!({ "metadata_json": [] }), "metadata_json")]
#[case(json!({ "metadata_json": { "a": "x".repeat(10_001) } }), "metadata_json")]
#[case(json!({ "review_after": "soon" }), "review_after")]
#[case(json!({ "review_after": "9999-12-31T23:59:59-23:59" }), "review_after")]
#[case(json!({ "tokens_to_resolution": -1 }), "tokens_to_resolution")]
#[case(json!({ "supersedes_trace_id": "no id" }), "supersedes_trace_id")]
#[tokio::test]
async fn a_bad_field_is_refused_by_name(#[case] change: Value, #[case] field: &str) {
    let app = TestApp::on(Sqlite).await;
    let ada = app.user("ada").await;
    let mut body = a_trace("a healthcheck");
    body.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    let answer = ada.post("/api/v1/traces", body).await;
    let detail = answer.refused(422);
    assert_eq!(answer.json["field"], field, "{detail}");
    assert!(
        ada.finds("healthcheck").await.is_empty(),
        "nothing was stored"
    );
}

#[rstest]
#[tokio::test]
async fn control_characters_are_taken_out_and_limits_are_inclusive(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let mut body = a_trace("a healthcheck");
    body["title"] = json!(format!("\u{1b}[31m{}", "é".repeat(195)));
    body["context_text"] = json!(format!("nul \u{0} bell \u{7} {}", "x".repeat(49_980)));
    let answer = ada.post("/api/v1/traces", body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let trace = ada.reads(answer.json["id"].as_str().unwrap()).await;
    assert_eq!(trace["title"], "é".repeat(195));
    assert!(
        trace["context_text"]
            .as_str()
            .unwrap()
            .starts_with("nul  bell  x")
    );
}

#[rstest]
#[tokio::test]
async fn superseding_ends_the_old_traces_validity_in_the_same_moment(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let old = ada.contributes("the old way").await;
    let mut body = a_trace("the new way");
    body["supersedes_trace_id"] = json!(old);
    bob.post("/api/v1/traces", body.clone()).await.refused(403);
    body["supersedes_trace_id"] = json!("00000000-0000-4000-8000-0000000fffff");
    ada.post("/api/v1/traces", body.clone()).await.refused(404);
    let listed = bob.get("/api/v1/traces").await.ok();
    assert_eq!(
        listed["traces"].as_array().unwrap().len(),
        1,
        "a refusal stores nothing"
    );
    body["supersedes_trace_id"] = json!(old);
    let new = ada.post("/api/v1/traces", body).await.ok()["id"].clone();
    let old = bob.reads(&old).await;
    assert!(old["valid_until"].is_string());
    assert_eq!(
        old["related_traces"][0]["relationship_type"],
        "SUPERSEDED_BY"
    );
    assert_eq!(old["related_traces"][0]["id"], new);
    let search = json!({ "q": "container db is unhealthy", "include_expired": false });
    let found = bob.post("/api/v1/traces/search", search).await.ok();
    assert_eq!(found["total"], 1);
    assert_eq!(found["results"][0]["id"], new);
    assert_eq!(
        bob.finds("container db is unhealthy").await,
        ["the new way", "the old way"]
    );
}

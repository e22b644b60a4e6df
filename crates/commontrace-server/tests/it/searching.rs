//! What a search answers.

use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::json;

use crate::actors::TestApp;

const SEARCH: &str = "/api/v1/traces/search";

#[rstest]
#[tokio::test]
async fn an_answer_has_every_member_that_clients_read(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("Ada").await;
    ada.contributes("a healthcheck").await;
    let body = json!({ "q": "container db is unhealthy", "limit": "5" });
    let mut answer = ada.post(SEARCH, body).await.ok();
    // The ranking has tests of its own; here only the shape counts.
    for score in [
        answer["results"][0]["combined_score"].take(),
        answer["results"][0]["score"].take(),
    ] {
        assert!(!score.is_null());
    }
    insta::assert_json_snapshot!("search_answer", answer);
}

#[rstest]
#[tokio::test]
async fn without_a_model_the_search_goes_by_words_and_says_so(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    ada.contributes("a healthcheck").await;
    let answer = ada
        .post(SEARCH, json!({ "q": "container db is unhealthy" }))
        .await
        .ok();
    assert_eq!(answer["degraded"], true);
    assert_eq!(answer["total"], 1);
}

#[rstest]
#[tokio::test]
async fn nothing_relevant_is_an_answer(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    ada.contributes("a healthcheck").await;
    let answer = ada
        .post(SEARCH, json!({ "q": "sourdough starter hydration" }))
        .await
        .ok();
    assert_eq!(answer["results"], json!([]));
    assert_eq!(answer["abstained"], true);
    assert_eq!(answer["query"], "sourdough starter hydration");
}

#[rstest]
#[tokio::test]
async fn tags_must_all_match_and_repeated_ones_count_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    ada.contributes("a healthcheck").await;
    let total = async |body| ada.post(SEARCH, body).await.ok()["total"].clone();
    assert_eq!(
        total(json!({ "tags": ["docker", "Docker", "postgresql"] })).await,
        1
    );
    assert_eq!(total(json!({ "tags": ["docker", "rust"] })).await, 0);
    assert_eq!(
        total(json!({ "q": "container db is unhealthy", "tags": ["rust"] })).await,
        0
    );
    assert_eq!(total(json!({ "tags": ["no such tag!"] })).await, 0);
    let unknown = ada
        .post(SEARCH, json!({ "tags": ["unheard-of"] }))
        .await
        .ok();
    assert_eq!(unknown["abstained"], true);
    let blank = ada.post(SEARCH, json!({ "q": " " })).await.ok();
    assert_eq!(
        (&blank["total"], &blank["abstained"]),
        (&json!(0), &json!(true))
    );
}

#[rstest]
#[case(json!({}))]
#[case(json!({ "q": null }))]
#[case(json!({ "q": "x".repeat(2001) }))]
#[case(json!({ "q": 1 }))]
#[case(json!({ "q": "x", "limit": 0 }))]
#[case(json!({ "q": "x", "limit": 51 }))]
#[case(json!({ "q": "x", "tags": vec!["a"; 11] }))]
#[case(json!({ "q": "x", "context": "linux" }))]
#[case(json!({ "q": "x", "include_expired": "maybe" }))]
#[tokio::test]
async fn a_bad_search_is_refused(#[case] body: serde_json::Value) {
    let app = TestApp::on(Sqlite).await;
    let ada = app.user("ada").await;
    ada.post(SEARCH, body).await.refused(422);
}

#[rstest]
#[tokio::test]
async fn the_same_search_gives_the_same_answer_however_often_it_is_asked(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let settings = commontrace_server::ServerSettings {
        read_per_minute: 1_000_000,
        ..Default::default()
    };
    let app = TestApp::with(engine, settings).await;
    let ada = app.user("ada").await;
    for n in 0..15 {
        ada.contributes(&format!("healthcheck number {n}")).await;
    }
    let body = json!({ "q": "healthcheck: container db is unhealthy", "limit": 5 });
    let first = ada.post(SEARCH, body.clone()).await.ok();
    assert_eq!(first["total"], 5);
    for _ in 0..200 {
        assert_eq!(ada.post(SEARCH, body.clone()).await.ok(), first);
    }
    app.app.usage.flush(&app.app.store).await.unwrap();
    assert_eq!(ada.post(SEARCH, body).await.ok(), first);
}

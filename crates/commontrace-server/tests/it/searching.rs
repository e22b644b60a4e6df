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

#[rstest]
#[tokio::test]
async fn hidden_and_deleted_traces_never_show(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let (ada, moderator) = (app.user("ada").await, app.moderator().await);
    let hidden = ada.contributes("healthcheck for a hidden database").await;
    let deleted = ada.contributes("healthcheck for a deleted database").await;
    ada.contributes("healthcheck for a plain database").await;
    assert_eq!(ada.finds("healthcheck database").await.len(), 3);
    for name in ["bob", "eve", "joe"] {
        app.user(name).await.flags(&hidden).await.ok();
    }
    ada.delete(&format!("/api/v1/traces/{deleted}")).await.ok();
    let plain = ["healthcheck for a plain database"];
    assert_eq!(ada.finds("healthcheck database").await, plain);
    let by_tag = ada.post(SEARCH, json!({ "tags": ["docker"] })).await.ok();
    assert_eq!(by_tag["total"], 1);

    let restore = format!("/api/v1/moderation/traces/{hidden}/restore");
    moderator.post(&restore, json!({})).await.ok();
    assert_eq!(ada.finds("healthcheck database").await.len(), 2);
    let by_tag = ada.post(SEARCH, json!({ "tags": ["docker"] })).await.ok();
    assert_eq!(by_tag["total"], 2);
}

#[rstest]
#[tokio::test]
async fn what_was_superseded_comes_behind_and_can_be_left_out(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let old = ada.contributes("healthcheck for a database").await;
    app.advance(std::time::Duration::from_secs(60));
    let mut body = crate::actors::a_trace("healthcheck for a database");
    body["supersedes_trace_id"] = json!(old);
    let new = ada.post("/api/v1/traces", body).await.ok()["id"].clone();
    for filter in [
        json!({ "q": "healthcheck database" }),
        json!({ "tags": ["docker"] }),
    ] {
        let answer = ada.post(SEARCH, filter.clone()).await.ok();
        let ids = [&answer["results"][0]["id"], &answer["results"][1]["id"]];
        assert_eq!(ids, [&new, &json!(old)]);
        let mut valid = filter;
        valid["include_expired"] = json!(false);
        let answer = ada.post(SEARCH, valid).await.ok();
        assert_eq!(
            (&answer["total"], &answer["results"][0]["id"]),
            (&json!(1), &new)
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_changed_text_is_found_by_its_new_words_at_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let id = ada.contributes("zygohistomorphic prepromorphism").await;
    let patch = json!({ "title": "felicitous catamorphism", "context_text": "a catamorphism that diverges on finite input" });
    ada.patch(&format!("/api/v1/traces/{id}"), patch).await.ok();
    assert_eq!(
        ada.finds("felicitous catamorphism").await,
        ["felicitous catamorphism"]
    );
    assert_eq!(ada.finds("zygohistomorphic prepromorphism").await, [""; 0]);
}

#[rstest]
#[tokio::test]
async fn the_same_error_line_comes_first(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    for n in 0..8 {
        ada.contributes(&format!("panel {n} cannot open the shared archive"))
            .await;
    }
    let mut same = crate::actors::a_trace("an archive that will not open");
    same["context_text"] =
        json!("error: cannot open shared archive /srv/a/b.tar: permission denied");
    ada.post("/api/v1/traces", same).await.ok();
    let found = ada
        .finds("error: cannot open shared archive /home/x/y.tar: permission denied")
        .await;
    assert_eq!(found[0], "an archive that will not open");
}

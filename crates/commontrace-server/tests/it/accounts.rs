//! Registering, and what becomes of keys.

use commontrace_server::app::ServerSettings;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::json;

use crate::actors::{TestApp, a_trace};

#[rstest]
#[tokio::test]
async fn an_anonymous_account_can_work_at_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let answer = app.anyone().post("/api/v1/keys", json!({})).await;
    assert_eq!(answer.status, 201);
    let key = answer.json["api_key"].as_str().unwrap();
    assert_eq!(key.len(), 43);
    assert_eq!(answer.json["can_contribute"], true);
    let verified = app
        .anyone()
        .with_key(key)
        .get("/api/v1/keys/verify")
        .await
        .ok();
    assert_eq!(verified["valid"], true);
    assert_eq!(verified["user_id"], answer.json["user_id"]);
}

#[rstest]
#[tokio::test]
async fn an_address_registers_once_whatever_its_case(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let register = async |email: &str| {
        app.anyone()
            .post("/api/v1/keys", json!({ "email": email }))
            .await
    };
    assert_eq!(register("Ada@Example.com").await.status, 201);
    register("ada@example.com").await.refused(409);
    assert!(
        register("no address")
            .await
            .refused(422)
            .starts_with("email")
    );
    assert!(
        register("ada@intern.local")
            .await
            .refused(422)
            .starts_with("email")
    );
}

#[rstest]
#[tokio::test]
async fn a_missing_an_unknown_and_a_revoked_key_get_401(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    app.anyone().get("/api/v1/tags").await.refused(401);
    app.anyone()
        .with_key("made-up")
        .get("/api/v1/tags")
        .await
        .refused(401);
    let ada = app.user("ada").await;
    assert_eq!(ada.delete("/api/v1/keys/current").await.status, 204);
    ada.get("/api/v1/tags").await.refused(401);
}

#[rstest]
#[tokio::test]
async fn a_rotated_key_replaces_the_old_one_at_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let answer = ada
        .send(axum::http::Method::POST, "/api/v1/keys/rotate", None, &[])
        .await
        .ok();
    ada.get("/api/v1/keys/verify").await.refused(401);
    let ada = ada.with_key(answer["api_key"].as_str().unwrap());
    let verified = ada.get("/api/v1/keys/verify").await.ok();
    assert_eq!(verified["user_id"], ada.id.as_str());
}

#[rstest]
#[tokio::test]
async fn closed_publishing_refuses_accounts_that_were_not_admitted(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let settings = ServerSettings {
        open_publishing: false,
        ..ServerSettings::default()
    };
    let app = TestApp::with(engine, settings).await;
    let answer = app.anyone().post("/api/v1/keys", json!({})).await;
    assert_eq!(answer.json["can_contribute"], false);
    let ada = app.user("ada").await;
    ada.post("/api/v1/traces", a_trace("a healthcheck"))
        .await
        .refused(403);
    assert!(ada.finds("healthcheck").await.is_empty());
}

#[rstest]
#[tokio::test]
async fn the_database_holds_no_key(#[values(Sqlite)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let key = ada.key.clone().unwrap();
    let copy = app.copy_of_the_database().await;
    assert!(!copy.windows(key.len()).any(|bytes| bytes == key.as_bytes()));
}

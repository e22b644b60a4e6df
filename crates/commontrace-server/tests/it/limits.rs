//! Rate limits, sizes, and what every answer carries.

use std::time::Duration;

use axum::http::Method;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::json;

use crate::actors::{TestApp, a_trace};

#[rstest]
#[tokio::test]
async fn sixty_reads_pass_the_next_waits_and_accounts_do_not_interfere(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    for _ in 0..60 {
        ada.get("/api/v1/tags").await.ok();
    }
    let refused = ada.get("/api/v1/tags").await;
    refused.refused(429);
    assert_eq!(refused.headers["retry-after"], "1");
    bob.get("/api/v1/tags").await.ok();
    ada.contributes("writes have a bucket of their own").await;
    app.advance(Duration::from_secs(10));
    for _ in 0..10 {
        ada.get("/api/v1/tags").await.ok();
    }
    ada.get("/api/v1/tags").await.refused(429);
}

#[tokio::test]
async fn registrations_are_limited_per_address() {
    let app = TestApp::on(Sqlite).await;
    for _ in 0..30 {
        app.user("somebody").await;
    }
    let refused = app.anyone().post("/api/v1/keys", json!({})).await;
    refused.refused(429);
    assert_eq!(refused.headers["retry-after"], "120");
}

#[tokio::test]
async fn guessing_keys_is_slowed_down_and_good_keys_still_work() {
    let app = TestApp::on(Sqlite).await;
    let ada = app.user("ada").await;
    for _ in 0..30 {
        ada.with_key("a-guess")
            .get("/api/v1/tags")
            .await
            .refused(401);
    }
    ada.with_key("a-guess")
        .get("/api/v1/tags")
        .await
        .refused(429);
    ada.get("/api/v1/tags").await.ok();
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_413() {
    let app = TestApp::on(Sqlite).await;
    let ada = app.user("ada").await;
    let mut body = a_trace("a healthcheck");
    body["metadata_json"] = json!({ "a": "x".repeat(1 << 20) });
    ada.post("/api/v1/traces", body).await.refused(413);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_json_too() {
    let app = TestApp::on(Sqlite).await;
    let anyone = app.anyone();
    let answer = anyone.get("/api/v2/traces").await;
    answer.refused(404);
    assert!(answer.headers.contains_key("x-request-id"));
    let answer = anyone.send(Method::PUT, "/api/v1/tags", None, &[]).await;
    answer.refused(405);
    assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
    let answer = anyone.get("/api/v1/tags/").await;
    assert_eq!(answer.status, 307);
    assert_eq!(answer.headers["location"], "/api/v1/tags");
}

#[rstest]
#[tokio::test]
async fn telemetry_is_accepted_repeatedly(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    for _ in 0..2 {
        let install =
            json!({ "platform": "linux", "skill_version": "1.2", "install_source": "git" });
        let answer = ada.post("/api/v1/telemetry/install", install).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json),
            (201, json!({ "status": "ok" }))
        );
        assert_eq!(
            ada.post("/api/v1/telemetry/ping", json!({})).await.status,
            204
        );
        let triggers = json!({
            "session_id": "s".repeat(150),
            "trigger_stats": { "error": { "fired": 3, "consumed": 1, "rate": 0.33 } },
            "searches_fired": 3,
        });
        assert_eq!(
            ada.post("/api/v1/telemetry/triggers", triggers)
                .await
                .status,
            201
        );
    }
}

#[rstest]
#[tokio::test]
async fn health_tells_of_each_part(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let anyone = app.anyone();
    let health = anyone.get("/health").await.ok();
    assert_eq!(
        (&health["status"], &health["checks"]["database"]),
        (&json!("healthy"), &json!("ok"))
    );
    anyone.get("/health/live").await.ok();
    anyone.get("/health/ready").await.ok();
    app.app.lifecycle.stop();
    assert_eq!(anyone.get("/health/ready").await.status, 503);
    app.app.store.close().await;
    app.advance(Duration::from_secs(5));
    let health = anyone.get("/health").await;
    assert_eq!(
        (health.status.as_u16(), &health.json["status"]),
        (503, &json!("degraded"))
    );
}

#[rstest]
#[tokio::test]
async fn a_store_that_is_away_answers_503(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    app.app.store.close().await;
    let answer = ada.post("/api/v1/traces", a_trace("a healthcheck")).await;
    answer.refused(503);
    assert!(answer.headers.contains_key("retry-after"));
}

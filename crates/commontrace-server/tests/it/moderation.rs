//! Flags, hiding and restoring.

use std::time::Duration;

use axum::http::Method;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::json;

use crate::actors::TestApp;

#[rstest]
#[tokio::test]
async fn three_independent_flags_hide_a_trace_and_a_moderator_restores_it(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, reader) = (app.user("ada").await, app.user("reader").await);
    let moderator = app.moderator().await;
    let trace = ada.contributes("a healthcheck").await;
    ada.flags(&trace).await.ok();
    for n in 0..3 {
        let flagger = app.user("flagger").await;
        assert_eq!(
            flagger.flags(&trace).await.ok()["hidden"],
            n == 2,
            "flag {n}"
        );
        if n == 0 {
            assert_eq!(
                flagger.flags(&trace).await.ok()["hidden"],
                false,
                "a repeated flag"
            );
        }
    }
    assert!(reader.finds("healthcheck").await.is_empty());
    reader
        .get(&format!("/api/v1/traces/{trace}"))
        .await
        .refused(404);
    assert_eq!(ada.reads(&trace).await["is_hidden"], true);
    let queue = moderator.get("/api/v1/moderation/flagged").await.ok();
    assert_eq!(queue[0]["id"], trace.as_str());
    assert_eq!(queue[0]["flags"].as_array().unwrap().len(), 4);
    assert_eq!(queue[0]["flags"][0]["reason"], "advertises a product");
    let restore = format!("/api/v1/moderation/traces/{trace}/restore");
    reader
        .send(Method::POST, &restore, None, &[])
        .await
        .refused(403);
    assert_eq!(
        moderator.send(Method::POST, &restore, None, &[]).await.ok()["restored"],
        true
    );
    assert_eq!(reader.finds("container db is unhealthy").await.len(), 1);
    assert_eq!(
        moderator.get("/api/v1/moderation/flagged").await.ok(),
        json!([])
    );
}

#[rstest]
#[tokio::test]
async fn one_flag_hides_nothing(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    assert_eq!(bob.flags(&trace).await.ok()["hidden"], false);
    assert_eq!(bob.reads(&trace).await["is_flagged"], true);
    assert_eq!(bob.finds("container db is unhealthy").await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_moderator_deletes_anybodys_trace(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let moderator = app.moderator().await;
    let trace = ada.contributes("a healthcheck").await;
    let path = format!("/api/v1/moderation/traces/{trace}");
    ada.delete(&path).await.refused(403);
    assert_eq!(moderator.delete(&path).await.ok()["deleted"], true);
    moderator.delete(&path).await.refused(404);
    ada.get(&format!("/api/v1/traces/{trace}"))
        .await
        .refused(404);
    assert!(ada.finds("healthcheck").await.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_settled_flag_may_be_raised_anew_once_the_text_is_another(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let moderator = app.moderator().await;
    let trace = ada.contributes("a healthcheck").await;
    bob.flags(&trace).await.ok();
    app.advance(Duration::from_secs(1));
    let restore = format!("/api/v1/moderation/traces/{trace}/restore");
    moderator.send(Method::POST, &restore, None, &[]).await.ok();
    bob.flags(&trace).await.ok();
    assert_eq!(
        moderator.get("/api/v1/moderation/flagged").await.ok(),
        json!([])
    );
    app.advance(Duration::from_secs(1));
    let change = json!({ "solution_text": "Buy these cheap pills instead of that." });
    ada.patch(&format!("/api/v1/traces/{trace}"), change)
        .await
        .ok();
    bob.flags(&trace).await.ok();
    let queue = moderator.get("/api/v1/moderation/flagged").await.ok();
    assert_eq!(queue[0]["id"], trace.as_str());
}

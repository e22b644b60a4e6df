//! What is logged: enough to follow a request, and never a secret.

use serde_json::{Value, json};

use crate::client::until;
use crate::place::Place;
use crate::provider::{KEY, Provider};

/// A token of the kind that people paste; no service knows it.
const PASTED: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

#[tokio::test]
async fn no_key_and_no_redacted_secret_is_ever_logged() {
    for format in ["pretty", "json"] {
        let provider = Provider::start().await;
        let place = provider
            .of(Place::new())
            .with("COMMONTRACE_LOG", "trace")
            .with("COMMONTRACE_LOG_FORMAT", format);
        let server = place.serve().await;
        let user = server.user().await;
        let mut trace = crate::client::a_trace("the token is refused");
        trace["context_text"] = json!(format!("curl: (22) 401 with the token {PASTED}"));
        user.post("/api/v1/traces", trace).await.ok();
        user.search(&format!("401 with the token {PASTED}")).await;
        let rotated = user.post("/api/v1/keys/rotate", json!({})).await.ok();
        let rotated = rotated["api_key"].as_str().unwrap().to_owned();
        assert_eq!(user.get("/api/v1/tags").await.status, 401);
        user.with_key("ct_wrong_but_maybe_nearly_right")
            .get("/api/v1/tags")
            .await;
        // The endpoint's refusal repeats the key that it was asked with.
        provider.set_up(false);
        user.with_key(&rotated)
            .search("what is logged of a refusal")
            .await;
        until("the refusal was logged", async || {
            server.log().contains("searching by words alone")
        })
        .await;
        let log = server.stop().await;
        for secret in [
            user.key.as_str(),
            &rotated,
            "ct_wrong_but_maybe_nearly_right",
            KEY,
            PASTED,
        ] {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "`{secret}` was logged");
        }
    }
}

#[tokio::test]
async fn as_json_every_line_is_an_object_and_an_answer_is_found_by_its_request_id() {
    let place = Place::new()
        .with("COMMONTRACE_LOG_FORMAT", "json")
        .with("COMMONTRACE_LOG", "debug");
    let server = place.serve().await;
    let user = server.user().await;
    let refused = user.get("/api/v1/traces/not-an-id").await;
    let refused: Value = serde_json::from_str(&refused.text).unwrap();
    let request_id = refused["request_id"]
        .as_str()
        .expect("an answer names its request")
        .to_owned();
    let log = server.stop().await;
    for line in log.lines() {
        assert!(
            serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()),
            "{line}"
        );
    }
    assert!(log.contains(&request_id), "{log}");
}

#[tokio::test]
async fn a_server_whose_log_nobody_reads_goes_on_serving() {
    let place = Place::new().with("COMMONTRACE_LOG", "debug");
    let mut server = place.serve().await;
    server.stop_reading_the_log().await;
    let user = server.user().await;
    let id = user.contributes("the log collector has gone away").await;
    assert_eq!(user.get(&format!("/api/v1/traces/{id}")).await.status, 200);
    assert_eq!(server.anyone().get("/api/v1/traces/x").await.status, 401);
    server.stop().await;
}

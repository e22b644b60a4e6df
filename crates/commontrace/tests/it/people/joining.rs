//! Naming a server: one account, its key in a file for one's own eyes.

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Shared, key, mode, nowhere, settings};
use crate::place::Place;

/// A server that makes accounts with this key.
async fn registering(key: &str) -> MockServer {
    let server = MockServer::start().await;
    let account = json!({ "api_key": key, "user_id": "u", "can_contribute": true, "message": "" });
    Mock::given(method("POST"))
        .and(path("/api/v1/keys"))
        .respond_with(ResponseTemplate::new(201).set_body_json(account))
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn several_first_runs_at_once_make_one_account() {
    let server = registering("a-new-key").await;
    let place = Place::new();
    let url = server.uri();
    let add = ["remote", "add", url.as_str()];
    let ran = tokio::join!(
        place.run(&add),
        place.run(&add),
        place.run(&add),
        place.run(&add)
    );
    for ran in [ran.0, ran.1, ran.2, ran.3] {
        let said = ran.ok();
        assert!(!said.contains("a-new-key"), "{said}");
    }
    let requests = server.received_requests().await.unwrap();
    let made = requests
        .iter()
        .filter(|request| request.method.as_str() == "POST");
    let bodies: Vec<String> = made
        .map(|request| String::from_utf8(request.body.clone()).unwrap())
        .collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let body: serde_json::Value = serde_json::from_str(&bodies[0]).unwrap();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["display_name"],
        "no address, no name of a machine or person: {body}"
    );
    assert!(
        body["display_name"].as_str().unwrap().starts_with("agent-"),
        "{body}"
    );
    assert_eq!(key(&place), "a-new-key");
}

#[tokio::test]
async fn the_settings_file_is_for_ones_own_eyes_and_keeps_its_comments() {
    let server = registering("a-new-key").await;
    let place = Place::new();
    place.settings("# mine\n[log]\nlog = \"info\" # as I like it\n");
    place.run(&["remote", "add", &server.uri()]).await.ok();
    let file = place.path(".config/commontrace/config.toml");
    assert_eq!(mode(&file), 0o600);
    assert!(
        settings(&place).starts_with("# mine\n[log]\nlog = \"info\" # as I like it\n"),
        "{}",
        settings(&place)
    );
    place.run(&["remote", "remove"]).await.ok();
    let after = settings(&place);
    assert!(
        after.contains("# as I like it")
            && !after.contains("a-new-key")
            && !after.contains("127.0.0.1"),
        "{after}"
    );
    assert_eq!(place.run(&["remote", "remove"]).await.code, Some(1));
    assert_eq!(place.run(&["remote", "show"]).await.code, Some(1));
}

#[tokio::test]
async fn an_own_key_comes_from_standard_input_and_is_kept_only_if_it_is_good() {
    let shared = Shared::new().await;
    let place = Place::new();
    let (url, good) = (shared.url(), shared.other.key.clone());
    let add = ["remote", "add", url.as_str(), "--key-stdin"];
    place
        .run_with_input(&add, b"wrong-key\n")
        .await
        .failed_with_hint(4, &["refuses this key"]);
    place
        .run_with_input(&add, b"")
        .await
        .failed_with_hint(2, &["no key on standard input"]);
    assert!(!place.path(".config/commontrace/config.toml").exists());
    let ran = place
        .run_with_input(&add, format!("{good}\n").as_bytes())
        .await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!format!("{ran:?}").contains(&good), "{ran:?}");
    assert_eq!(key(&place), good);
    let shown = place.run(&["remote", "show", "--json"]).await.ok();
    assert!(
        shown.contains("\"key\": \"good\"") && !shown.contains(&good),
        "{shown}"
    );
    shared.server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_or_is_none_changes_nothing() {
    let place = Place::new();
    place
        .run(&["remote", "add", &nowhere()])
        .await
        .failed_with_hint(3, &["No server answers"]);
    place
        .run(&["remote", "add", "http://commons.example"])
        .await
        .failed(2, &["https://"]);
    let none = MockServer::start().await;
    place
        .run(&["remote", "add", &none.uri()])
        .await
        .failed_with_hint(4, &["HTTP 404"]);
    assert!(!place.path(".config/commontrace/config.toml").exists());
    let homeless = place.without("HOME").with("HOME", "");
    homeless
        .run(&["remote", "add", &none.uri()])
        .await
        .failed_with_hint(1, &["HOME"]);
}

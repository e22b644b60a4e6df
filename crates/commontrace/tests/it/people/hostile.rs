//! A server that means no good, and a terminal that believes everything.

use serde_json::json;
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{answering, form, publish, settings, using};
use crate::place::{Place, Ran};

const ID: &str = "00000000-0000-4000-8000-000000000001";
/// Clears the screen, names the window, turns the direction of writing, and hides.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;pwned\u{7}\u{202e}evil\u{9b}31m\u{200b}\u{e0041}";

async fn evil() -> MockServer {
    let server = MockServer::start().await;
    let standing = json!({ "status": EVIL, "up_votes": 1, "down_votes": 0 });
    let hit = json!({ "id": ID, "title": EVIL, "context_text": EVIL, "solution_text": EVIL, "tags": [EVIL], "status": EVIL });
    let answers = [
        (
            "POST",
            "/api/v1/traces$",
            202,
            json!({ "id": EVIL, "message": EVIL, "dropped_tags": [EVIL] }),
        ),
        (
            "POST",
            "/search$",
            200,
            json!({ "results": [hit], "notices": [EVIL] }),
        ),
        ("POST", "/votes$", 200, json!({ "standing": standing })),
        ("POST", "/outcomes$", 400, json!({ "detail": EVIL })),
        ("POST", "/amendments$", 200, json!({ "id": EVIL })),
        ("GET", "/verify$", 200, json!({ "user_id": EVIL })),
        ("GET", "/traces/", 200, hit.clone()),
    ];
    for (verb, at, status, answer) in answers {
        Mock::given(method(verb))
            .and(path_regex(at))
            .respond_with(ResponseTemplate::new(status).set_body_json(answer))
            .mount(&server)
            .await;
    }
    server
}

#[tokio::test]
async fn nothing_that_a_server_says_moves_the_cursor_or_hides() {
    let server = evil().await;
    let place = using(&server);
    publish(&place, "always");
    let check = |ran: Ran| {
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        assert!(shown.contains("evil"), "{shown:?}");
        let hidden = ['\u{202e}', '\u{200b}', '\u{e0041}'];
        let is_harmless = |c: char| c == '\n' || !c.is_control() && !hidden.contains(&c);
        assert!(shown.chars().all(is_harmless), "{shown:?}");
    };
    for words in [
        &["search", "lock"][..],
        &["search", "lock", "--open", "1"],
        &["get", ID],
        &["vote", ID, "up"],
        &["report", ID, "worked"],
        &["status"],
        &["remote", "show"],
        &["search", "lock", "--json"],
        &["get", ID, "--json"],
        &["status", "--json"],
        &["remote", "show", "--json"],
    ] {
        check(place.run(words).await);
    }
    let text = form("gadget fails");
    check(
        place
            .run_with_input(&["contribute", "--yes"], text.as_bytes())
            .await,
    );
    let amend = ["amend", ID, "-", "--explanation", "shorter", "--yes"];
    check(
        place
            .run_with_input(&amend, b"Remove the lock of the crashed run.")
            .await,
    );
    let offline = ["contribute", "--yes", "--offline"];
    place.run_with_input(&offline, text.as_bytes()).await.ok();
    check(place.run(&["status"]).await);
}

#[tokio::test]
async fn an_answer_that_is_none_does_not_spoil_what_is_found_here() {
    for results in [
        json!([{ "id": 5 }]),
        json!(7),
        json!([{ "id": "nothing", "title": "t", "context_text": "c", "solution_text": "s" }]),
        json!([{ "id": ID, "title": "t", "context_text": "c", "solution_text": "s", "combined_score": "high" }]),
    ] {
        let answer = json!({ "results": results });
        let server = answering(ResponseTemplate::new(200).set_body_json(answer)).await;
        let place = using(&server);
        let own = form("gizmo frobnicates");
        place
            .run_with_input(&["contribute", "--private"], own.as_bytes())
            .await
            .ok();
        let ran = place.run(&["search", "gizmo frobnicates"]).await;
        assert!(
            ran.stdout.contains("1. gizmo frobnicates"),
            "{results}: {ran:?}"
        );
        assert!(
            ran.stderr
                .contains("was not searched: its answer is none of this API"),
            "{results}: {ran:?}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_not_kept() {
    for key in ["", "two\nlines", "\u{1b}[2J", "ä"] {
        let server = MockServer::start().await;
        Mock::given(path("/api/v1/keys"))
            .respond_with(ResponseTemplate::new(201).set_body_json(json!({ "api_key": key })))
            .mount(&server)
            .await;
        let place = Place::new();
        let ran = place.run(&["remote", "add", &server.uri()]).await;
        ran.failed_with_hint(4, &["gave a key that is none"]);
        let status = place.run(&["status"]).await.ok();
        assert!(status.contains("server      none"), "{status}");
    }
}

#[tokio::test]
async fn offline_no_account_is_made_and_no_key_is_tried() {
    let server = evil().await;
    let place = using(&server);
    let before = settings(&place);
    let url = server.uri().replace("127.0.0.1", "localhost");
    let add = ["remote", "add", &url, "--offline"];
    place.run(&add).await.failed(3, &["Offline: "]);
    let own = ["remote", "add", &url, "--offline", "--key-stdin"];
    place
        .run_with_input(&own, b"another-key")
        .await
        .failed(3, &["Offline: "]);
    assert!(server.received_requests().await.unwrap().is_empty());
    assert_eq!(settings(&place), before);
}

#[tokio::test]
async fn what_may_be_about_a_private_trace_stays_here_if_the_store_cannot_tell() {
    let server = evil().await;
    let place = using(&server);
    publish(&place, "always");
    std::fs::create_dir_all(place.data_dir().join("commontrace.db")).unwrap();
    place
        .run(&["vote", ID, "up", "--note", "ours alone"])
        .await
        .failed(3, &["cannot be opened"]);
    place
        .run_with_input(
            &["amend", ID, "-", "-e", "shorter", "--yes"],
            b"What only we do about it.",
        )
        .await
        .failed(3, &["cannot be opened"]);
    assert!(server.received_requests().await.unwrap().is_empty());
    // What only reads tells no more than an id.
    assert!(place.run(&["get", ID]).await.ok().contains("evil"));
}

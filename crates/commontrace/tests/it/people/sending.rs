//! What leaves the machine is written down, byte for byte, and can be forbidden.

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::pty::without_terminal;
use super::{answering, files, form, mode, publish, sent, taken, using};
use crate::place::Place;

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// A server that is content with everything.
async fn content() -> MockServer {
    let server = MockServer::start().await;
    let standing = json!({ "status": "pending", "trust_score": 0.0, "up_votes": 1, "down_votes": 0, "outcomes": {} });
    let answers = [
        ("POST", "/api/v1/traces".to_owned(), taken()),
        (
            "POST",
            "/api/v1/traces/search".to_owned(),
            ResponseTemplate::new(200).set_body_json(json!({ "results": [] })),
        ),
        (
            "POST",
            format!("/api/v1/traces/{ID}/votes"),
            ResponseTemplate::new(200).set_body_json(json!({ "standing": standing })),
        ),
        (
            "POST",
            format!("/api/v1/traces/{ID}/outcomes"),
            ResponseTemplate::new(200).set_body_json(json!({ "standing": standing })),
        ),
        (
            "POST",
            format!("/api/v1/traces/{ID}/amendments"),
            ResponseTemplate::new(200).set_body_json(json!({ "id": ID })),
        ),
        (
            "GET",
            "/api/v1/keys/verify".to_owned(),
            ResponseTemplate::new(200).set_body_json(json!({ "valid": true, "user_id": ID })),
        ),
    ];
    for (verb, at, answer) in answers {
        Mock::given(method(verb))
            .and(path(at))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    server
}

#[tokio::test]
async fn the_log_holds_every_byte_that_the_server_got_and_never_the_key() {
    let server = content().await;
    let place = using(&server);
    publish(&place, "always");
    let better = "Remove the lock with `rm .frob/lock`; it is made again. \"quoted\" ä\n";
    place
        .run(&["search", "mail mira@holt.dev: \"cannot lock\" ä"])
        .await;
    place
        .run_with_input(&["contribute", "--yes"], form("gadget fails").as_bytes())
        .await
        .ok();
    place
        .run(&[
            "vote",
            ID,
            "down",
            "--because",
            "security-concern",
            "--note",
            "see /home/mira/x",
        ])
        .await
        .ok();
    place
        .run(&["report", ID, "worked-with-changes", "-c", "os=linux"])
        .await
        .ok();
    place
        .run_with_input(
            &["amend", ID, "-", "--explanation", "shorter", "--yes"],
            better.as_bytes(),
        )
        .await
        .ok();
    place.run(&["status"]).await.ok();
    place.run(&["get", ID]).await.failed(1, &["HTTP 404"]);
    let requests = server.received_requests().await.unwrap();
    let got: Vec<(String, String, String)> = requests
        .iter()
        .map(|request| {
            let body = String::from_utf8(request.body.clone()).unwrap();
            (
                request.method.to_string(),
                request.url.path().to_owned(),
                body,
            )
        })
        .collect();
    let written = sent(&place).await;
    let noted: Vec<(String, String, String)> = written
        .iter()
        .map(|line| {
            assert_eq!(line["host"], server.uri());
            let text = |name: &str| line[name].as_str().unwrap_or("").to_owned();
            (text("method"), text("path"), text("body"))
        })
        .collect();
    assert_eq!(noted, got);
    assert_eq!(got.len(), 7);
    assert_eq!(written[0]["redactions"], json!({ "email": 1 }));
    let commands: Vec<&str> = written
        .iter()
        .map(|line| line["command"].as_str().unwrap())
        .collect();
    assert_eq!(
        commands,
        [
            "search",
            "contribute",
            "vote",
            "report",
            "amend",
            "status",
            "get"
        ]
    );
    let log = place.data_dir().join("sent.jsonl");
    assert_eq!((mode(&log), mode(&place.data_dir())), (0o600, 0o700));
    let readable = place.run(&["log"]).await.ok();
    assert!(
        readable.contains("replaced: 1 email") && readable.contains("by report"),
        "{readable}"
    );
    assert_eq!(
        place.run(&["log", "--since", "2999-01-01"]).await.code,
        Some(1)
    );
    for file in files(&place.data_dir()) {
        let content = std::fs::read(&file).unwrap();
        let key = b"the-key-of-this-machine";
        assert!(
            !content.windows(key.len()).any(|part| part == key),
            "{}",
            file.display()
        );
    }
    assert!(!readable.contains("the-key-of"), "{readable}");
}

#[tokio::test]
async fn a_secret_with_a_colour_in_its_middle_does_not_leave() {
    let server = content().await;
    let place = using(&server);
    publish(&place, "always");
    // As `grep --color` prints it, and as it is pasted from a page.
    for hidden in ["\u{1b}[m\u{1b}[K", "\u{200b}"] {
        let token = format!("ghp_{hidden}{}", &super::PASTED[4..]);
        place
            .run(&["search", &token, "-c", &format!("a={token}")])
            .await;
        let text = form(&format!("gadget {token} fails"));
        place
            .run_with_input(&["contribute", "--yes"], text.as_bytes())
            .await
            .ok();
        place.run(&["vote", ID, "up", "--note", &token]).await.ok();
        place
            .run(&["report", ID, "worked", "--note", &token])
            .await
            .ok();
        place
            .run_with_input(&["amend", ID, "-", "-e", &token, "--yes"], token.as_bytes())
            .await
            .ok();
        let mut agent = crate::mcp::agent::Agent::connect(&place).await;
        agent
            .told(
                "search_traces",
                json!({ "query": token, "tags": [token], "context": { "a": token } }),
            )
            .await;
        agent
            .told(
                "contribute_trace",
                json!({ "title": token, "context_text": text, "solution_text": text }),
            )
            .await;
        agent.leave().await;
        let kept = place
            .run_with_input(&["redact"], token.as_bytes())
            .await
            .ok();
        assert_eq!(kept, "[redacted:github-pat]");
    }
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 14);
    for request in requests {
        let body = String::from_utf8(request.body).unwrap();
        assert!(
            !body.contains("aB3dE6") && !body.contains('\u{200b}'),
            "{body}"
        );
        assert!(!body.contains("u001b"), "{body}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_sent() {
    let server = answering(ResponseTemplate::new(200)).await;
    let place = using(&server);
    std::fs::create_dir_all(place.data_dir().join("sent.jsonl")).unwrap();
    place
        .run(&["get", ID])
        .await
        .failed(3, &["Nothing was sent", "sent.jsonl"]);
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_sent_and_sends_nothing() {
    let server = answering(ResponseTemplate::new(200)).await;
    let place = using(&server);
    let text = form("gadget of mira@holt.dev fails");
    for (words, input) in [
        (&["search", "--dry-run", "mail mira@holt.dev"][..], ""),
        (&["contribute", "--dry-run"], text.as_str()),
        (
            &["vote", ID, "up", "--dry-run", "--note", "mira@holt.dev"],
            "",
        ),
        (
            &[
                "report",
                ID,
                "worked",
                "--dry-run",
                "--note",
                "mira@holt.dev",
            ],
            "",
        ),
        (
            &["amend", ID, "--dry-run", "--explanation", "mira@holt.dev"],
            "rm the lock of it",
        ),
    ] {
        let shown = place.run_with_input(words, input.as_bytes()).await.ok();
        let request = format!("POST {}/api/v1/traces", server.uri());
        assert!(
            shown.contains(&request) && shown.ends_with("Nothing was sent.\n"),
            "{shown}"
        );
        assert!(
            shown.contains("[redacted:email]") && !shown.contains("mira@"),
            "{shown}"
        );
    }
    assert!(server.received_requests().await.unwrap().is_empty());
    assert_eq!(place.run(&["log"]).await.code, Some(1));
}

#[tokio::test]
async fn offline_nothing_is_sent_and_contributions_wait() {
    let server = answering(taken()).await;
    let place = using(&server).with("COMMONTRACE_OFFLINE", "true");
    publish(&place, "always");
    let ran = place.run(&["search", "anything"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("Offline: "), "{ran:?}");
    let said = place
        .run_with_input(&["contribute", "--yes"], form("gadget fails").as_bytes())
        .await
        .ok();
    assert!(
        said.contains("Not published yet: commontrace is offline"),
        "{said}"
    );
    place.run(&["get", ID]).await.failed(3, &["Offline: "]);
    let status = place.run(&["status"]).await.ok();
    assert!(
        status.contains("offline, not asked") && status.contains("1 contribution to be sent"),
        "{status}"
    );
    place.run(&["doctor"]).await.ok();
    assert!(server.received_requests().await.unwrap().is_empty());
    let done = place.run(&["status", "--offline=false"]).await;
    assert!(
        done.stderr
            .contains("published `gadget fails`, which had waited"),
        "{done:?}"
    );
}

#[tokio::test]
async fn searches_stay_on_this_machine_where_the_settings_say_so() {
    let server = answering(ResponseTemplate::new(200)).await;
    for scope in ["local", "off"] {
        let place = using(&server).with("COMMONTRACE_SEARCH", scope);
        let ran = place.run(&["search", "anything"]).await;
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (Some(1), "nothing relevant is known\n"),
            "{ran:?}"
        );
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn redact_explains_rule_by_rule_without_showing_what_it_found() {
    let place = Place::new();
    let text = "first line\nmail mira@holt.dev in /home/mira/src\n";
    let plain = place
        .run_with_input(&["redact"], text.as_bytes())
        .await
        .ok();
    assert_eq!(
        plain,
        "first line\nmail [redacted:email] in /home/[user]/src\n"
    );
    let explained = place
        .run_with_input(&["redact", "--explain"], text.as_bytes())
        .await
        .ok();
    assert!(
        explained.contains("line 2, column 6: email (an e-mail address, 13 characters)"),
        "{explained}"
    );
    assert!(
        explained.contains("Taken out: 1 email, 1 home-path."),
        "{explained}"
    );
    assert!(
        explained.contains("A search with it would send:\n\nfirst line\nmail [redacted:email]"),
        "{explained}"
    );
    assert!(!explained.contains("mira"), "{explained}");
    place
        .run(&["redact", "/no/such/file"])
        .await
        .failed(2, &["/no/such/file"]);
}

#[tokio::test]
async fn what_is_remembered_is_listed_and_forgotten() {
    let server = answering(taken()).await;
    let place = using(&server).with("COMMONTRACE_OFFLINE", "true");
    publish(&place, "always");
    place
        .run_with_input(&["contribute", "--yes"], form("gadget fails").as_bytes())
        .await
        .ok();
    let listed = place.run(&["forget"]).await.ok();
    assert!(listed.contains("outbox      1 file"), "{listed}");
    without_terminal(&place, &["forget", "outbox"], "")
        .await
        .failed_with_hint(5, &["did not agree"]);
    place.run(&["forget", "outbox", "--yes"]).await.ok();
    assert!(
        place
            .run(&["status"])
            .await
            .ok()
            .contains("waiting     nothing")
    );
}

#[tokio::test]
async fn the_search_of_a_hook_is_redacted_and_written_down_too() {
    let found = json!({ "results": [], "confidence": "none" });
    let server = answering(ResponseTemplate::new(200).set_body_json(found)).await;
    let place = using(&server);
    let error = "Exit code 1\nError: Cannot find module 'express' of mira@holt.dev\nRequire stack:\n- /home/mira/shop/server.js";
    let event = json!({
        "session_id": "4f0c2a5e-8d1b-4f5e-9a66-2f9a1c0f7b31", "cwd": place.path(""), "hook_event_name": "PostToolUseFailure",
        "tool_name": "Bash", "tool_input": { "command": "npm test" }, "tool_use_id": "toolu_1", "error": error, "is_interrupt": false,
    });
    let told = place
        .run_with_input(&["hook", "claude"], event.to_string().as_bytes())
        .await
        .ok();
    assert!(!told.contains("mira"), "{told}");
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    let body: serde_json::Value = serde_json::from_slice(&requests[0].body).unwrap();
    let query = body["q"].as_str().expect("what the API searches for");
    assert!(
        query.contains("Cannot find module 'express'") && !query.contains("mira"),
        "{query}"
    );
    let written = sent(&place).await;
    assert_eq!(written.len(), 1);
    assert_eq!(written[0]["command"], "hook");
    assert_eq!(
        written[0]["body"].as_str().unwrap().as_bytes(),
        requests[0].body
    );
}

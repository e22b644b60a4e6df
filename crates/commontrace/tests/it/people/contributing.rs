//! Publishing: seen, agreed to, or kept on this machine.

use serde_json::json;
use wiremock::ResponseTemplate;

use super::pty::without_terminal;
use super::{PASTED, Shared, answering, form, publish, sent, taken, using};
use crate::place::Place;

#[tokio::test]
async fn what_is_private_stays_private() {
    let shared = Shared::new().await;
    shared.publishes_always();
    let secretive = form("our gizmo frobnicates behind closed doors");
    let kept = shared
        .place
        .run_with_input(&["contribute", "--private"], secretive.as_bytes())
        .await
        .ok();
    let id = kept
        .trim()
        .strip_prefix("kept on this machine: ")
        .expect("an id")
        .to_owned();
    shared.place.run(&["get", &id]).await.ok();
    // One's own is not voted on, and the server does not learn of the attempt.
    shared.place.run(&["vote", &id, "up"]).await.failed(4, &[]);
    shared
        .place
        .run(&["report", &id, "worked"])
        .await
        .failed(4, &[]);
    let better = "Remove the lock behind closed doors with `rm .frob/lock` and start it anew.";
    shared
        .place
        .run_with_input(
            &["amend", &id, "-", "-e", "clearer", "--yes"],
            better.as_bytes(),
        )
        .await;
    shared.place.run(&["status"]).await.ok();
    for line in sent(&shared.place).await {
        let line = line.to_string();
        assert!(
            !line.contains("closed doors") && !line.contains(&id),
            "{line}"
        );
    }
    assert!(
        !shared
            .other
            .finds("gizmo frobnicates behind closed doors")
            .await
            .contains(&id)
    );
    assert_eq!(
        shared
            .other
            .get(&format!("/api/v1/traces/{id}"))
            .await
            .status,
        404
    );
    shared.server.stop().await;
}

#[tokio::test]
async fn without_a_terminal_nobody_agrees_so_nothing_is_published() {
    let server = answering(taken()).await;
    let place = using(&server);
    let text = form("gadget fails");
    let ran = without_terminal(&place, &["contribute"], &text).await;
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(
        ran.stdout.contains("Title: gadget fails") && ran.stdout.contains("rm .frob/lock"),
        "{ran:?}"
    );
    place
        .run_with_input(&["contribute", "--yes"], text.as_bytes())
        .await
        .failed_with_hint(2, &["publish = \"always\""]);
    // The environment is often a program's.
    let forced = place.with("COMMONTRACE_PUBLISH", "always");
    forced
        .run_with_input(&["contribute", "--yes"], text.as_bytes())
        .await
        .failed(2, &["always"]);
    let never = forced.with("COMMONTRACE_PUBLISH", "never");
    never
        .run_with_input(&["contribute", "--yes"], text.as_bytes())
        .await
        .failed_with_hint(5, &["never"]);
    // A flag is whoever's typed the command.
    never
        .run_with_input(
            &["contribute", "--yes", "--publish", "always"],
            text.as_bytes(),
        )
        .await
        .failed(2, &["counts as ask"]);
    // So is a settings file that either names.
    let settings = format!("{}publish = \"always\"\n", super::settings(&never));
    let file = never.write("elsewhere.toml", settings);
    let led = never
        .without("COMMONTRACE_PUBLISH")
        .with("COMMONTRACE_CONFIG", file.to_str().unwrap());
    led.run_with_input(&["contribute", "--yes"], text.as_bytes())
        .await
        .failed(2, &["counts as ask"]);
    let named = led.without("COMMONTRACE_CONFIG");
    let arguments = ["contribute", "--yes", "--config", file.to_str().unwrap()];
    named
        .run_with_input(&arguments, text.as_bytes())
        .await
        .failed(2, &["counts as ask"]);
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_agreed_to_is_published_redacted() {
    let shared = Shared::new().await;
    shared.publishes_always();
    let text = form(&format!("gadget fails with token {PASTED}"));
    let shown = shared
        .place
        .run_with_input(&["contribute", "--yes", "-t", "linux"], text.as_bytes())
        .await
        .ok();
    assert!(
        shown.contains("Replaced by marks: 2 github-pat.") && !shown.contains("ghp_"),
        "{shown}"
    );
    let id = shown
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("published: "))
        .expect("an id");
    let trace = shared.other.get(&format!("/api/v1/traces/{id}")).await.ok();
    assert_eq!(trace["tags"], json!(["gadgets", "linux"]));
    assert!(
        shown.contains(trace["context_text"].as_str().unwrap()),
        "{shown}"
    );
    let json = json!({ "title": "widget fails", "context_text": "widget says `no frob` since version 3", "solution_text": "Give it a frob with `widget --frob`." });
    let ran = shared
        .place
        .run_with_input(&["contribute", "--yes", "-"], json.to_string().as_bytes())
        .await
        .ok();
    assert!(ran.contains("published: "), "{ran}");
    shared.server.stop().await;
}

#[tokio::test]
async fn what_says_nothing_is_refused_before_anybody_is_asked() {
    let server = answering(taken()).await;
    let place = using(&server);
    for (text, said) in [
        ("", "it is empty"),
        ("just a note", "===== Problem"),
        ("{\"title\": 1}", "title"),
        (
            "Title: x\n===== Problem\nthe gadget fails badly\n===== Solution\nTODO\n",
            "the solution",
        ),
    ] {
        place
            .run_with_input(&["contribute"], text.as_bytes())
            .await
            .failed(2, &[said]);
    }
    let form = place.run(&["contribute", "--template"]).await.ok();
    assert!(
        form.starts_with("Title: \nTags: \n\n===== Problem"),
        "{form}"
    );
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_is_told_with_the_servers_words() {
    let refusal = json!({ "detail": "this account may not publish yet" });
    let server = answering(ResponseTemplate::new(403).set_body_json(refusal)).await;
    let place = using(&server);
    publish(&place, "always");
    let ran = place
        .run_with_input(&["contribute", "--yes"], form("gadget fails").as_bytes())
        .await;
    ran.failed(4, &["this account may not publish yet (HTTP 403)"]);
    assert!(
        place
            .run(&["status"])
            .await
            .stdout
            .contains("waiting     nothing")
    );
}

#[tokio::test]
async fn votes_and_reports_go_to_the_server_that_has_the_trace() {
    let shared = Shared::new().await;
    let id = shared
        .other
        .contributes("gizmo frobnicates in the cloud")
        .await;
    shared
        .place
        .run(&["report", &id, "worked"])
        .await
        .failed(4, &[]);
    shared.place.run(&["get", &id]).await.ok();
    let said = shared
        .place
        .run(&[
            "report", &id, "worked", "-c", "os=linux", "--note", "at once",
        ])
        .await
        .ok();
    assert_eq!(
        said,
        "reported: it worked for 1, with changes for 0, not for 0\n"
    );
    let said = shared.place.run(&["vote", &id, "up"]).await.ok();
    assert_eq!(said, "voted: it is pending with 1 up, 0 down\n");
    shared
        .place
        .run(&["vote", &id, "down"])
        .await
        .failed(2, &["--because"]);
    let trace = shared.other.get(&format!("/api/v1/traces/{id}")).await.ok();
    assert_eq!(trace["outcomes"]["worked"], 1);
    shared.server.stop().await;
}

#[tokio::test]
async fn without_a_server_everything_stays_here_and_nobody_is_asked() {
    let place = Place::new();
    let said = place
        .run_with_input(&["contribute"], form("gadget fails").as_bytes())
        .await
        .ok();
    assert!(said.starts_with("kept on this machine: "), "{said}");
    let status = place.run(&["status"]).await.ok();
    assert!(
        status.contains(": 1 own trace, 71 starter traces")
            && status.contains("nothing was ever sent"),
        "{status}"
    );
}

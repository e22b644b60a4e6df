//! Whatever comes in: the host and the agent notice nothing.

use super::{Session, UNHASHABLE, log};
use crate::place::{DEADLINE, Place};

#[tokio::test]
async fn bad_events_end_well_print_nothing_and_leave_a_line_in_the_log() {
    let place = Place::new();
    let huge = format!("{{\"session_id\":\"{}\"}}", "x".repeat(2 << 20));
    let inputs: [(&str, &[u8]); 9] = [
        ("claude", b""),
        ("claude", b"{"),
        ("claude", b"[]"),
        ("claude", b"null"),
        ("claude", b"\xff\xfe"),
        (
            "claude",
            b"{\"hook_event_name\":\"PostToolUse\",\"session_id\":7,\"tool_input\":[]}",
        ),
        (
            "claude",
            b"{\"hook_event_name\":\"UserPromptSubmit\",\"session_id\":\"s\",\"prompt\":{}}",
        ),
        ("claude", huge.as_bytes()),
        ("emacs", b"{}"),
    ];
    for (number, (host, input)) in inputs.into_iter().enumerate() {
        let ran = place.run_with_input(&["hook", host], input).await;
        let shown: String = String::from_utf8_lossy(input).chars().take(60).collect();
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (Some(0), "", ""),
            "{host} {shown}"
        );
        assert_eq!(
            log(&place).lines().count(),
            number + 1,
            "{host} {shown}: {}",
            log(&place)
        );
    }
}

#[tokio::test]
async fn a_character_that_a_host_has_cut_in_half_costs_that_character_only() {
    let place = Place::new();
    let event = br#"{"hook_event_name":"PostToolUseFailure","session_id":"s","cwd":"/tmp/"#;
    let more =
        br#"","tool_name":"Bash","tool_input":{"command":"make"},"error":"Error: no \ud83d here"}"#;
    // Half a pair in JSON, and a path that is no UTF-8.
    let input = [&event[..], b"\xff", &more[..]].concat();
    assert_eq!(
        place.run_with_input(&["hook", "claude"], &input).await.ok(),
        ""
    );
    assert_eq!(log(&place), "");
    assert!(place.data_dir().join("history.db").exists());
}

#[tokio::test]
async fn unknown_events_and_tools_are_left_alone_without_a_word() {
    let place = Place::new();
    for input in [
        r#"{"hook_event_name":"PreCompact","session_id":"s"}"#,
        r#"{"hook_event_name":"PostToolUse","session_id":"s","tool_name":"WebSearch","tool_input":{}}"#,
        r#"{"hook_event_name":"PostToolUseFailure","session_id":"s","tool_name":"mcp__commontrace__get_trace","tool_input":{},"error":"x"}"#,
        r#"{"hook_event_name":"Stop","session_id":"s","new_member":{"a":[1,2]}}"#,
    ] {
        let ran = place
            .run_with_input(&["hook", "claude"], input.as_bytes())
            .await;
        assert_eq!(ran.ok(), "", "{input}");
    }
    assert_eq!(log(&place), "");
}

#[tokio::test]
async fn without_a_home_or_good_settings_nothing_is_printed() {
    let place = Place::new();
    let session = Session::new(&place, "one");
    let payload = session.payload("Stop", serde_json::json!({})).to_string();
    let mut command = place.command(&["hook", "claude"]);
    command
        .env_remove("HOME")
        .env_remove("COMMONTRACE_DATA_DIR");
    let ran = crate::place::finish(command, payload.as_bytes()).await;
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(0), "", "")
    );
    place.settings("nonsense = [");
    let ran = place
        .run_with_input(&["hook", "claude"], payload.as_bytes())
        .await;
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(0), "", "")
    );
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_hinders_nobody() {
    let place = Place::new();
    // A file where the folder should be, and a history that is none.
    let taken = place.write("taken", "x");
    let elsewhere = Place::new().with("COMMONTRACE_DATA_DIR", &taken.display().to_string());
    assert_eq!(
        Session::new(&elsewhere, "one")
            .failed("python graph.py", UNHASHABLE)
            .await,
        None
    );
    place.write(
        "data/history.db",
        "this is no database, and long enough to be taken for one ".repeat(40),
    );
    assert_eq!(
        Session::new(&place, "one")
            .failed("python graph.py", UNHASHABLE)
            .await,
        None
    );
    let log = log(&place);
    assert!(
        log.contains("`commontrace forget history` begins a new one"),
        "{log}"
    );
}

#[tokio::test]
async fn a_host_that_never_finishes_its_event_is_not_waited_for() {
    let place = Place::new();
    let mut command = place.command(&["hook", "claude", "SessionEnd"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let held = child.stdin.take();
    let ended = tokio::time::timeout(DEADLINE, child.wait())
        .await
        .expect("it ends by itself")
        .unwrap();
    drop(held);
    assert!(ended.success());
    assert!(log(&place).contains("gave up"), "{}", log(&place));
}

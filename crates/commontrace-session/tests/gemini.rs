//! Gemini CLI's sessions, as a document and as lines.

mod common;

use common::{bodies, read, read_all, read_bytes};
use commontrace_session::{Actor, Body};

#[test]
fn a_document_becomes_events_in_order() {
    let read = read("gemini/session.json");
    assert_eq!(
        bodies(&read),
        [
            "user_message",
            "reasoning_step",
            "terminal_command",
            "test_result",
            "file_open",
            "code_edit",
            "code_edit",
            "approval_denied",
            "error",
            "tool_call",
            "tool_result",
            "error",
            "reasoning_step",
            "tool_call",
        ]
    );
    let (_, session) = &read.sessions[0];
    assert_eq!(session.model.as_deref(), Some("gemini-2.5-pro"));
    // What is put out is the answer, the thoughts and what tools needed.
    assert_eq!(session.extra["usage"]["output_tokens"], 32);
}

#[test]
fn a_command_that_fails_has_its_exit_code_though_its_status_is_success() {
    let read = read("gemini/session.json");
    let (_, event) = &read.events[2];
    let Body::TerminalCommand {
        exit_code,
        duration_ms,
        output,
        ..
    } = &event.body
    else {
        panic!("a command");
    };
    assert_eq!((*exit_code, *duration_ms), (Some(1), Some(1000)));
    assert_eq!(output, "Tests:       1 failed, 2 passed, 3 total");
    let (_, denied) = &read.events[7];
    assert_eq!(
        (&denied.actor, &denied.body),
        (
            &Actor::Human,
            &Body::ApprovalDenied {
                what: "rm -rf dist".to_owned()
            }
        )
    );
}

#[test]
fn the_last_version_of_a_message_stands_in_the_place_of_the_first() {
    let read = read("gemini/session.jsonl");
    let said: Vec<&str> = read
        .events
        .iter()
        .filter_map(|(_, event)| match &event.body {
            Body::UserMessage { content } | Body::ReasoningStep { content } => Some(&**content),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["Mend it", "I begin", "This way", "Done"]);
    assert_eq!(
        bodies(&read)
            .iter()
            .filter(|name| **name == "rollback")
            .count(),
        1
    );
    assert_eq!(read.sessions[0].1.title.as_deref(), Some("Mending"));
    // What was replaced or taken back is kept as it was recorded.
    assert_eq!(
        (read.report().counts.imported, read.report().counts.bad),
        (10, 0)
    );
}

#[test]
fn a_document_that_has_grown_adds_what_is_new() {
    let all = std::fs::read_to_string(common::fixture("gemini/session.json")).expect("a fixture");
    let mut earlier: serde_json::Value = serde_json::from_str(&all).expect("JSON");
    earlier["messages"]
        .as_array_mut()
        .expect("messages")
        .truncate(2);
    earlier["messages"][1]["toolCalls"]
        .as_array_mut()
        .expect("calls")
        .truncate(1);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session-earlier.json");
    std::fs::write(&path, earlier.to_string()).expect("a file");
    let twice = read_all(&[path.to_str().expect("a name"), "gemini/session.json"]);
    assert_eq!(twice.sessions.len(), 1);
    assert_eq!(twice.events.len(), read("gemini/session.json").events.len());
}

#[test]
fn a_document_that_is_cut_off_is_reported_with_its_place() {
    let all = std::fs::read(common::fixture("gemini/session.json")).expect("a fixture");
    let read = read_bytes("session.json", &all[..all.len() / 2]);
    assert!(read.events.is_empty());
    let damage = &read.report().damage[0];
    assert!(damage.line > 10 && damage.offset > 100, "{damage:?}");
    assert_eq!(damage.reason, "cut off: no complete JSON value");
}

#[test]
fn a_compressed_history_replaces_the_list_and_a_sub_agent_joins_its_parent() {
    let lines = concat!(
        r#"{"sessionId":"main","projectHash":"ab","startTime":"2026-02-01T10:00:00Z"}"#,
        "\n",
        r#"{"id":"m1","type":"user","content":"Mend it"}"#,
        "\n",
        r#"{"$set":{"messages":[]}}"#,
        "\n",
        r#"{"$set":{"messages":[{"id":"m2","type":"user","content":"A summary"}]}}"#,
        "\n",
        r#"{"id":"m3","type":"gemini","content":"Done"}"#,
        "\n",
    );
    let read = read_bytes("chats/session.jsonl", lines.as_bytes());
    assert_eq!(bodies(&read), ["user_message", "reasoning_step"]);
    let agent = br#"{"sessionId":"helper","projectHash":"ab","kind":"subagent","messages":[{"id":"s1","type":"gemini","content":"I look"}]}"#;
    let read = read_bytes("chats/main/session.json", agent);
    assert_eq!(&*read.sessions[0].0.id, "main");
    assert_eq!(read.events[0].1.actor, Actor::Subagent("helper".to_owned()));
}

#[test]
fn a_record_is_kept_byte_for_byte_though_it_holds_half_a_character() {
    let lines = [
        r#"{"sessionId":"s1","projectHash":"ab","startTime":"2026-02-01T10:00:00Z","lastUpdated":"2026-02-01T10:00:00Z"}"#,
        r#"{"id":"m1","type":"user","content":"half \ud83d of it"}"#,
        r#"{"id":"m2","type":"gemini","content":"","toolCalls":[{"id":"t","name":"save","args":{"fact \ude00":"\ud83d"},"status":"success"}]}"#,
    ];
    let read = read_bytes("s1.jsonl", lines.join("\n").as_bytes());
    let said = &read.events[0].1;
    assert_eq!(
        said.body,
        Body::UserMessage {
            content: "half \u{fffd} of it".to_owned()
        }
    );
    for ((_, event), line) in read.events.iter().zip(&lines[1..]) {
        let raw = event.raw.as_ref().expect("it was recorded");
        assert_eq!(read.record(raw), *line);
    }
    let Body::ToolCall { arguments, .. } = &read.events[1].1.body else {
        panic!("a call");
    };
    assert_eq!(arguments["fact \u{fffd}"], "\u{fffd}");
}

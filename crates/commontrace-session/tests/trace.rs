//! The JSON that clients post.

mod common;

use common::{bodies, read, read_bytes};
use serde_json::json;

#[test]
fn posted_events_are_taken_as_they_are_and_nothing_is_lost() {
    let read = read("trace/posted.json");
    assert_eq!(
        bodies(&read),
        [
            "file_open",
            "terminal_command",
            "test_result",
            "reasoning_step"
        ]
    );
    let (key, session) = &read.sessions[0];
    assert_eq!(key.to_string(), "trace:t-1");
    assert_eq!(session.developer_id, "dev-7");
    assert_eq!(session.repo.test_command, "pytest -q");
    // What the client says of its own success is a claim.
    assert_eq!(
        session.extra["claimed_qa_results"],
        json!({"tests_passed": true})
    );
    assert_eq!(session.extra["mood"], json!("good"));
    let (_, command) = &read.events[1];
    assert_eq!(command.extra["data"], json!({"shell": "zsh"}));
    assert_eq!(command.extra["seen_by"], json!("ada"));
    assert_eq!(
        command.timestamp.map(|time| time.to_rfc3339()).as_deref(),
        Some("2026-02-01T10:00:01+00:00")
    );
}

#[test]
fn an_event_that_is_none_costs_only_itself() {
    let read = read("trace/posted.json");
    let report = read.report();
    assert_eq!(report.counts.bad, 1);
    assert!(
        report.damage[0].reason.starts_with("events[4]: "),
        "{:?}",
        report.damage
    );
}

#[test]
fn events_without_an_id_have_the_same_one_each_time() {
    let document = br#"{"developer_id":"d","repo":{},"start_time":"2026-02-01T10:00:00Z","events":[
        {"event_type":"reasoning_step","timestamp":"2026-02-01T10:00:00Z","data":{"content":"x"}},
        {"event_type":"reasoning_step","timestamp":"2026-02-01T10:00:00Z","data":{"content":"x"}}]}"#;
    let ids = |name: &str| -> Vec<String> {
        read_bytes(name, document)
            .events
            .into_iter()
            .map(|(_, event)| event.id)
            .collect()
    };
    assert_eq!(ids("a.json").len(), 2);
    assert_eq!(ids("a.json"), ids("b.json"));
}

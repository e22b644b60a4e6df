//! What holds for any session, however strange.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::deterministic;
use crate::pack::{Limits, Pack};
use crate::sign::Chain;

/// Parts that the checks look for, to meet in all ways.
const PARTS: [&str; 34] = [
    "pytest",
    "cargo test",
    "git stash",
    "git checkout .",
    "rm tests/test_a.py",
    "&&",
    "|",
    "\"'",
    "\\",
    "1 failed",
    "3 passed",
    "FAILED a.py::test_x",
    "--- FAIL: T",
    "@@ -1 +1 @@",
    "\n-    assert x == 1",
    "\n+    assert x == 2",
    "\n+@pytest.mark.skip",
    "src/a.py:12",
    "a::b",
    "[redacted:key]",
    "[redacted:",
    "ignore all previous rules",
    "\u{200b}",
    "\u{1b}[3",
    "ü",
    "🦀",
    "exit code 1.",
    "All tests pass. ",
    "Fixed. ",
    "999999999999999999999",
    "\n",
    " ",
    "tests/test_a.py",
    "--- a\n+++ b",
];

fn text() -> impl Strategy<Value = String> {
    let parts = prop::collection::vec(prop::sample::select(PARTS.as_slice()), 0..12);
    prop_oneof![parts.prop_map(|parts| parts.join(" ")), any::<String>()]
}

fn body() -> impl Strategy<Value = Value> {
    let parts = (0..9, text(), text(), prop::option::of(any::<i64>()));
    parts.prop_map(|(kind, a, b, code)| match kind {
        0 => json!({"event_type": "code_edit", "data": {"file_path": a, "diff": b}}),
        1 => json!({"event_type": "code_edit", "data": {"file_path": "tests/test_a.py", "diff": b}}),
        2 => json!({"event_type": "terminal_command", "data": {"command": a, "output": b, "exit_code": code}}),
        3 => json!({"event_type": "terminal_command", "data": {"command": a, "output": b, "ended": "timed_out"}}),
        4 => json!({"event_type": "test_result", "data": {"test_command": a, "summary": b, "failed_tests": [a]}}),
        5 => json!({"event_type": "reasoning_step", "data": {"content": b}}),
        6 => json!({"event_type": "user_message", "data": {"content": b}, "actor": "human"}),
        7 => json!({"event_type": "tool_call", "data": {"name": a, "arguments": {"x": [b]}}}),
        _ => json!({"event_type": "search", "data": {"query": a, "results": b}}),
    })
}

fn session(bodies: Vec<Value>) -> Vec<Event> {
    let numbered = bodies.into_iter().enumerate().map(|(at, mut body)| {
        body["id"] = json!(at.to_string());
        serde_json::from_value(body).expect("an event")
    });
    numbered.collect()
}

proptest! {
    #[test]
    fn any_session_has_the_same_answers_each_time_and_none_panics(
        bodies in prop::collection::vec(body(), 0..30),
        command in text(),
    ) {
        let events = session(bodies);
        let facts = Facts::read(&events, &command);
        let checks = all(&facts);
        prop_assert_eq!(&checks, &all(&Facts::read(&events, &command)));
        for check in &checks {
            prop_assert_eq!(check.status == Status::Unknown, check.reason.is_some());
            prop_assert!(check.event_ids.len() <= MOST_EVENTS);
            prop_assert!(check.message.chars().count() < 400, "{}", check.message);
            prop_assert!(check.fraction.is_none_or(|part| part.n <= part.of));
        }
        for computed in deterministic::levels(&facts, &checks) {
            prop_assert_eq!(computed.level.is_none(), computed.reason.is_some());
            prop_assert!(computed.level.is_none_or(|level| level <= 4));
        }
        let limits = Limits { total: 4_000, head: 50, tail: 70 };
        let pack = Pack::new(&facts, &checks, &[], limits, true);
        prop_assert!(serde_json::from_str::<Value>(&pack.data).is_ok());
    }

    #[test]
    fn any_session_that_was_stored_and_read_has_the_chain_that_it_had(
        bodies in prop::collection::vec(body(), 0..10),
    ) {
        let events = session(bodies);
        let record = Chain::over(&events).record();
        let text = serde_json::to_string(&events).expect("JSON");
        let stored: Vec<Event> = serde_json::from_str(&text).expect("the events");
        prop_assert_eq!(record.check(&stored), Ok(0));
    }
}

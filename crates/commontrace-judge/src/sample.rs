//! Small sessions for the tests.

use commontrace_session::Event;
use serde_json::{Value, json};

/// Events with the ids `e1`, `e2`, … of these bodies.
pub fn events<const N: usize>(bodies: [Value; N]) -> Vec<Event> {
    bodies
        .into_iter()
        .enumerate()
        .map(|(at, mut body)| {
            body["id"] = json!(format!("e{}", at + 1));
            serde_json::from_value(body).expect("an event")
        })
        .collect()
}

pub fn ran(command: &str, exit_code: i64, output: &str) -> Value {
    json!({"event_type": "terminal_command", "data": {
        "command": command, "exit_code": exit_code, "output": output, "duration_ms": 10}})
}

pub fn reported(command: &str, passed: bool, failed: &[&str]) -> Value {
    json!({"event_type": "test_result", "data": {
        "tests_passed": passed, "test_command": command, "failed_tests": failed, "summary": ""}})
}

pub fn edit(path: &str, diff: &str) -> Value {
    json!({"event_type": "code_edit", "data": {"file_path": path, "diff": diff}})
}

/// A change of one line.
pub fn change(path: &str, removed: &str, added: &str) -> Value {
    edit(
        path,
        &format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{removed}\n+{added}\n"),
    )
}

pub fn opened(path: &str) -> Value {
    json!({"event_type": "file_open", "data": {"file_path": path}})
}

pub fn thought(content: &str) -> Value {
    json!({"event_type": "reasoning_step", "data": {"content": content}})
}

pub fn asked(content: &str) -> Value {
    json!({"event_type": "user_message", "data": {"content": content}, "actor": "human"})
}

/// A session as it should be.
pub fn good() -> Vec<Event> {
    events([
        asked("`test_total` in tests/test_cart.py fails, please fix cart.py"),
        ran(
            "pytest tests/test_cart.py",
            1,
            "FAILED tests/test_cart.py::test_total - assert 3 == 4\n1 failed, 4 passed in 0.31s",
        ),
        thought("1 failed: test_total fails. The sum leaves the last item out."),
        opened("src/cart.py"),
        change("src/cart.py", "for i in items[:-1]:", "for i in items:"),
        ran("pytest tests/test_cart.py", 0, "5 passed in 0.30s"),
        ran("pytest", 0, "120 passed in 2.50s"),
        thought("Fixed: the loop left the last item out. All tests pass, 120 passed."),
    ])
}

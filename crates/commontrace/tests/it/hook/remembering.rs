//! What happened in a project is remembered on this machine.

use serde_json::json;

use super::{Session, UNHASHABLE, with_trace};
use crate::place::Place;

const BROKEN: &str = "FAIL src/cart.test.js\n  Cannot find module 'exprss' from 'src/server.js'\nTests: 1 failed, 1 total\n";

#[tokio::test]
async fn what_was_solved_here_is_told_at_the_next_failure_with_what_changed() {
    let place = Place::new();
    let first = Session::new(&place, "first");
    assert_eq!(first.failed("npm test", BROKEN).await, None);
    first
        .edited("src/server.js", "require('exprss')", "require('express')")
        .await;
    assert_eq!(
        first.passed("npm install express", "added 1 package").await,
        None
    );
    assert_eq!(first.passed("git status", "clean").await, None);
    assert_eq!(
        first
            .passed("cd src && CI=1 npm test 2>&1", "Tests: 1 passed")
            .await,
        None
    );

    let second = Session::new(&place, "second");
    let told = second
        .failed("npm test", BROKEN)
        .await
        .expect("it is known");
    for part in [
        "this project had the same error before",
        "`npm test` passed",
        "src/server.js",
        "+ require('express')",
        "$ npm install express",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(
        !told.contains("git status"),
        "looking changes nothing: {told}"
    );
    assert_eq!(
        second.failed("npm test", BROKEN).await,
        None,
        "once a session"
    );
}

#[tokio::test]
async fn what_passes_again_without_a_change_is_not_called_solved() {
    let place = Place::new();
    let first = Session::new(&place, "first");
    first.failed("npm test", BROKEN).await;
    assert_eq!(first.passed("npm test", "ok").await, None);
    assert_eq!(
        Session::new(&place, "second")
            .failed("npm test", BROKEN)
            .await,
        None
    );
}

#[tokio::test]
async fn a_trace_of_the_store_is_told_once_a_session_and_what_came_of_it_is_asked_for() {
    let place = Place::new().with("COMMONTRACE_IMPORT_SEEDS", "false");
    let server = place.serve().await;
    let id = with_trace(&server).await;
    let session = Session::new(&place, "one");
    let told = session
        .failed("python graph.py", UNHASHABLE)
        .await
        .expect("a trace");
    assert!(
        told.contains(&id)
            && told.contains("seen.add(tuple(place))")
            && told.contains("not verified"),
        "{told}"
    );
    assert_eq!(
        session.failed("python graph.py", UNHASHABLE).await,
        None,
        "once a session"
    );
    session.edited("graph.py", "[1, 2]", "(1, 2)").await;
    let told = session
        .passed("python graph.py", "")
        .await
        .expect("an offer");
    assert!(
        told.contains("report_outcome") && told.contains(&id),
        "{told}"
    );
    // Somebody had recorded it: there is nothing to contribute.
    assert_eq!(session.stopped(json!({})).await, None);
}

#[tokio::test]
async fn a_trace_about_something_else_is_not_told() {
    let place = Place::new().with("COMMONTRACE_IMPORT_SEEDS", "false");
    let server = place.serve().await;
    with_trace(&server).await;
    let session = Session::new(&place, "one");
    for output in [
        "Traceback (most recent call last):\n  File \"a.py\", line 1\nTypeError: 'int' object is not callable\n",
        "error[E0308]: mismatched types\n --> src/main.rs:2:5\n",
        "make: *** [Makefile:3: all] Error 1\n",
        "",
    ] {
        assert_eq!(session.failed("./run", output).await, None, "{output}");
    }
}

#[tokio::test]
async fn contributing_is_offered_once_where_somebody_is_there() {
    let place = Place::new();
    let session = Session::new(&place, "one");
    session.failed("npm test", BROKEN).await;
    session.edited("a.js", "a", "b").await;
    session.failed("npm test", BROKEN).await;
    session.edited("a.js", "b", "c").await;
    session.passed("npm test", "ok").await;
    let payload = session.payload("Stop", json!({})).to_string();
    let mut command = place.command(&["hook", "claude"]);
    command.env("CLAUDE_CODE_REMOTE", "true");
    let ran = crate::place::finish(command, payload.as_bytes()).await;
    assert_eq!(ran.ok(), "", "in the cloud");
    for alone in [
        json!({ "stop_hook_active": true }),
        json!({ "permission_mode": "bypassPermissions" }),
        json!({ "background_tasks": [{ "id": "1" }] }),
    ] {
        assert_eq!(session.stopped(alone.clone()).await, None, "{alone}");
    }
    let told = session.stopped(json!({})).await.expect("an offer");
    assert!(
        told.contains("failed 2 times") && told.contains("contribute_trace"),
        "{told}"
    );
    assert_eq!(session.stopped(json!({})).await, None, "once a session");
}

#[tokio::test]
async fn contributing_is_not_offered_to_who_has_contributed() {
    let place = Place::new();
    let session = Session::new(&place, "one");
    session.failed("npm test", BROKEN).await;
    session.edited("a.js", "a", "b").await;
    session.failed("npm test", BROKEN).await;
    session.edited("a.js", "b", "c").await;
    session.passed("npm test", "ok").await;
    let more = json!({ "tool_name": "mcp__commontrace__contribute_trace", "tool_input": {}, "tool_response": "Published." });
    assert_eq!(session.tell("PostToolUse", more).await, None);
    assert_eq!(session.stopped(json!({})).await, None);
}

#[tokio::test]
async fn a_session_begins_with_what_still_fails_in_this_project_alone() {
    let place = Place::new();
    let session = Session::new(&place, "one");
    session.failed("npm test", BROKEN).await;
    session.failed("npm test", BROKEN).await;
    let next = Session::new(&place, "two");
    for source in ["startup", "resume", "clear"] {
        let told = next.tell("SessionStart", json!({ "source": source })).await;
        assert_eq!(told.is_some(), source == "startup", "{source}: {told:?}");
    }
    let elsewhere = place.path("other");
    std::fs::create_dir_all(elsewhere.join(".git")).unwrap();
    let payload = json!({ "session_id": "three", "cwd": elsewhere, "hook_event_name": "SessionStart", "source": "startup" });
    assert_eq!(next.hook("claude", &payload).await.ok(), "");
}

#[tokio::test]
async fn an_event_that_comes_twice_is_counted_once() {
    let place = Place::new();
    let session = Session::new(&place, "one");
    let payload = session.payload(
        "PostToolUseFailure",
        json!({ "tool_name": "Bash", "tool_input": { "command": "npm test" }, "error": BROKEN, "tool_use_id": "toolu_1" }),
    );
    // Other hosts read the settings of Claude Code too.
    session.hook("claude", &payload).await.ok();
    session.hook("vscode", &payload).await.ok();
    assert_eq!(history(&place, "SELECT SUM(runs) FROM failures").await, 1);
}

#[tokio::test]
async fn a_trace_that_the_agent_read_meanwhile_is_known_and_nothing_else_is() {
    let place = Place::new();
    let session = Session::new(&place, "one");
    let read = async |id: &str| {
        let more = json!({ "tool_name": "mcp__commontrace__get_trace", "tool_input": { "trace_id": id }, "tool_response": "" });
        session.tell("PostToolUse", more).await
    };
    let id = "0f0e0d0c-0b0a-4908-8706-050403020100";
    session.failed("npm test", BROKEN).await;
    session.failed("npm test", BROKEN).await;
    assert_eq!(read(id).await, None);
    // What is no trace's id is not kept, and not said again.
    assert_eq!(read(&"ghp_x".repeat(400)).await, None);
    session.edited("a.js", "a", "b").await;
    let told = session.passed("npm test", "ok").await.expect("an offer");
    assert!(
        told.contains(id) && told.contains("report_outcome"),
        "{told}"
    );
    assert_eq!(
        session.stopped(json!({})).await,
        None,
        "somebody had recorded it"
    );
    assert_eq!(
        history(&place, "SELECT COUNT(*) FROM told WHERE what = 'read'").await,
        1
    );
}

#[tokio::test]
async fn a_file_written_by_the_shell_is_a_change() {
    let place = Place::new();
    let session = Session::new(&place, "one");
    session.failed("npm test", BROKEN).await;
    session.passed("echo '{}' > package.json", "").await;
    session.passed("npm test", "ok").await;
    assert_eq!(
        history(&place, "SELECT COUNT(solved_at) FROM failures").await,
        1
    );
}

#[tokio::test]
async fn what_is_too_old_goes_where_no_host_tells_of_ends() {
    let place = Place::new();
    let session = Session::new(&place, "one");
    session.failed("npm test", BROKEN).await;
    let old = "UPDATE failures SET began_at = 1, failed_at = 1 RETURNING id";
    history(&place, old).await;
    assert_eq!(
        session
            .tell("SessionStart", json!({ "source": "startup" }))
            .await,
        None
    );
    assert_eq!(history(&place, "SELECT COUNT(*) FROM failures").await, 0);
}

#[tokio::test]
async fn hooks_at_the_same_time_lose_nothing() {
    let place = Place::new();
    let session = Session::new(&place, "one");
    let hooks = (0..40).map(|number| {
        let payload = session.payload(
            "PostToolUseFailure",
            json!({ "tool_name": "Bash", "tool_input": { "command": format!("make part-{}", number % 8) }, "error": BROKEN, "tool_use_id": format!("toolu_{number}") }),
        );
        let session = &session;
        async move { session.hook("claude", &payload).await.ok() }
    });
    futures_util::future::join_all(hooks).await;
    assert_eq!(super::log(&place), "");
    assert_eq!(history(&place, "SELECT SUM(runs) FROM failures").await, 40);
    assert_eq!(history(&place, "SELECT COUNT(*) FROM failures").await, 8);
}

/// Asks the hooks' file for a number.
async fn history(place: &Place, sql: &'static str) -> i64 {
    use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
    let options = SqliteConnectOptions::new().filename(place.data_dir().join("history.db"));
    let mut db = options.connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
}

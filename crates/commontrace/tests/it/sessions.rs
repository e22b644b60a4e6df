//! Recorded sessions by the command line: importing what agents wrote, listing, pruning.

use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;

use crate::place::Place;

/// A recording of three records in the shape of Claude Code; the last of them is new in `grown`.
pub fn recording(grown: bool) -> String {
    let ask = r#"{"type":"user","uuid":"u1","parentUuid":null,"sessionId":"5d1a7c9e-0000-4000-8000-000000000001","cwd":"/home/mira/engine","timestamp":"2026-01-02T12:00:00.000Z","version":"2.0.0","message":{"role":"user","content":"the parser test fails"}}"#;
    let think = r#"{"type":"assistant","uuid":"u2","parentUuid":"u1","sessionId":"5d1a7c9e-0000-4000-8000-000000000001","cwd":"/home/mira/engine","timestamp":"2026-01-02T12:00:05.000Z","version":"2.0.0","message":{"id":"m1","role":"assistant","model":"x","content":[{"type":"text","text":"I will look; write to mira.holt@engines.org"}]}}"#;
    let more = r#"{"type":"user","uuid":"u3","parentUuid":"u2","sessionId":"5d1a7c9e-0000-4000-8000-000000000001","cwd":"/home/mira/engine","timestamp":"2026-01-02T12:00:09.000Z","version":"2.0.0","message":{"role":"user","content":"thanks"}}"#;
    let mut lines = vec![ask, think];
    if grown {
        lines.push(more);
    }
    lines.join("\n") + "\n"
}

#[rstest]
#[tokio::test]
async fn a_recording_is_imported_once_however_often_and_redacted(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    place.write("sessions/a.jsonl", recording(false));
    let folder = place.path("sessions").display().to_string();
    let first = place.run(&["sessions", "import", &folder]).await.ok();
    assert!(
        first.contains("1 files: 1 sessions, 2 new events, 0 known"),
        "{first}"
    );
    assert!(first.contains("redacted 1 x email"), "{first}");
    place.write("sessions/b.jsonl", recording(true));
    let second = place.run(&["sessions", "import", &folder]).await.ok();
    assert!(
        second.contains("2 files: 1 sessions, 1 new events, 2 known"),
        "{second}"
    );
    let listed = place.run(&["sessions", "list"]).await.ok();
    assert!(
        listed.contains("5d1a7c9e-0000-4000-8000-000000000001"),
        "{listed}"
    );
    assert!(listed.contains("3 events  claude-code"), "{listed}");
    let events = place.number("SELECT COUNT(*) FROM session_events").await;
    assert_eq!(events, 3);
    let leaks = place
        .number("SELECT COUNT(*) FROM session_events WHERE event LIKE '%mira%'")
        .await;
    assert_eq!(leaks, 0);
}

#[tokio::test]
async fn an_event_that_is_recorded_otherwise_the_next_time_is_counted() {
    let place = Place::new();
    let file = place
        .write("a.jsonl", recording(true))
        .display()
        .to_string();
    let import = ["sessions", "import", &file];
    let first = place.run(&import).await.ok();
    assert!(!first.contains("other content"), "{first}");
    place.write("a.jsonl", recording(true).replace("thanks", "no"));
    let second = place.run(&import).await.ok();
    assert!(
        second.contains("1 of the known events have other content than what is stored"),
        "{second}"
    );
}

#[tokio::test]
async fn a_damaged_line_costs_that_line_and_its_place_is_told() {
    let place = Place::new();
    let recording = recording(true);
    let (first, rest) = recording.split_once('\n').unwrap();
    place.write(
        "a.jsonl",
        format!("{first}\n{{\"type\":\"user\",\"uuid\n{rest}"),
    );
    let file = place.path("a.jsonl").display().to_string();
    let ran = place.run(&["sessions", "import", &file]).await;
    let place_of_it = format!("a.jsonl:2 (byte {}): ", first.len() + 1);
    assert!(ran.stderr.contains(&place_of_it), "{ran:?}");
    assert!(ran.stdout.contains("1 sessions, 3 new events"), "{ran:?}");
    assert_eq!(ran.code, Some(0));
}

#[tokio::test]
async fn standard_input_is_read_and_what_is_no_recording_is_named() {
    let place = Place::new();
    let input = recording(false);
    let ran = place
        .run_with_input(&["sessions", "import", "-"], input.as_bytes())
        .await;
    assert!(ran.ok().contains("2 new events"));
    place.write("notes.txt", "these are notes\n");
    let file = place.path("notes.txt").display().to_string();
    let ran = place.run(&["sessions", "import", &file]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("notes.txt:1"), "{ran:?}");
    for command in [&["sessions", "import"][..], &["verify"]] {
        let missing = place.run(&[command, &["/nowhere/at/all"]].concat()).await;
        let expected = ["there is no file or folder /nowhere/at/all", "see whether"];
        missing.failed_with_hint(1, &expected);
    }
}

#[tokio::test]
async fn sessions_are_imported_for_an_account_that_is_there() {
    let place = Place::new();
    place.write("a.jsonl", recording(false));
    let file = place.path("a.jsonl").display().to_string();
    let account = "11111111-2222-4333-8444-555555555555";
    let ran = place
        .run(&["sessions", "import", "--account", account, &file])
        .await;
    ran.failed_with_hint(1, &[account]);
}

#[tokio::test]
async fn pruning_deletes_what_rests_and_says_before_what_it_would() {
    let place = Place::new();
    place.write("a.jsonl", recording(false));
    let file = place.path("a.jsonl").display().to_string();
    place.run(&["sessions", "import", &file]).await.ok();
    place
        .sql("UPDATE sessions SET updated_at = '2020-01-01T00:00:00+00:00'")
        .await;
    let prune = ["sessions", "prune", "--older-than", "90"];
    let dry = place.run(&[&prune[..], &["--dry-run"]].concat()).await.ok();
    assert_eq!(dry, "1 sessions would be deleted\n");
    assert_eq!(place.run(&prune).await.ok(), "1 sessions deleted\n");
    for table in ["sessions", "session_events", "blobs"] {
        let left = match table {
            "sessions" => place.number("SELECT COUNT(*) FROM sessions").await,
            "session_events" => place.number("SELECT COUNT(*) FROM session_events").await,
            _ => place.number("SELECT COUNT(*) FROM blobs").await,
        };
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn the_local_user_needs_no_key_where_the_server_is_his_alone() {
    let place = Place::new().with("COMMONTRACE_SINGLE_USER", "true");
    let server = place.serve().await;
    let session = serde_json::json!({
        "trace_id": "mine", "developer_id": "dev-001", "start_time": "2025-11-27T10:00:00Z",
        "repo": {
            "name": "my-app", "url": "https://git.example/user/repo", "branch": "main",
            "commit_before": "abc123", "commit_after": "def456", "test_command": "pytest"
        },
    });
    let stored = server.anyone().post("/traces", session).await;
    assert_eq!(stored.status, 201, "{stored:?}");
    server.stop().await;
    // It is the same account that the command line works for.
    let listed = place.run(&["sessions", "list"]).await.ok();
    assert!(listed.starts_with("mine "), "{listed}");
    let open = place.with("COMMONTRACE_LISTEN", "0.0.0.0:0");
    let refused = open.run(&["serve"]).await;
    refused.failed_with_hint(1, &["COMMONTRACE_SINGLE_USER"]);
}

#[tokio::test]
async fn what_is_no_file_is_named_and_keeps_nobody_waiting() {
    let place = Place::new();
    place.write("mixed/a.jsonl", recording(false));
    let pipe = place.path("mixed/b.jsonl");
    let made = tokio::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.await.unwrap().success());
    let folder = place.path("mixed").display().to_string();
    let ran = place.run(&["sessions", "import", &folder]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("b.jsonl"), "{ran:?}");
    assert!(ran.stdout.contains("2 new events"), "{ran:?}");
}

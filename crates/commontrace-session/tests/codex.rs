//! Codex's rollouts of each generation.

mod common;

use common::{Read, bodies, read, read_all, read_bytes};
use commontrace_session::{Actor, Body, Ended};

#[test]
fn a_rollout_becomes_events_in_order_and_each_result_counts_once() {
    let read = read("codex/rollout.jsonl");
    assert_eq!(read.report().counts.bad, 0, "{:?}", read.report().damage);
    assert!(
        read.report().counts.unknown.is_empty(),
        "{:?}",
        read.report().counts.unknown
    );
    assert_eq!(
        bodies(&read),
        [
            "user_message",
            "user_message",
            "user_message",
            "reasoning_step",
            "terminal_command",
            "test_result",
            "code_edit",
            "code_edit",
            "terminal_command",
            "test_result",
            "terminal_command",
            "error",
            "code_edit",
            "tool_call",
            "tool_result",
            "search",
            "user_message",
            "rollback",
            "compaction",
            "error",
            "reasoning_step",
            "terminal_command",
        ]
    );
    let (key, session) = &read.sessions[0];
    assert_eq!(&*key.id, "019c4b43-1451-7af3-be4c-000000000001");
    assert_eq!(session.model.as_deref(), Some("openai/gpt-5.1-codex"));
    assert_eq!(
        session.repo.commit_before,
        "0d3c4465a7fd013edaff839c8faa36d326bcccc9"
    );
    assert_eq!(session.repo.name, "shop");
    // The counts are those of the whole session and are not added up.
    assert_eq!(session.extra["usage"]["output_tokens"], 30);
}

#[test]
fn commands_have_the_exit_code_of_each_form() {
    let read = read("codex/rollout.jsonl");
    let commands: Vec<_> = read
        .events
        .iter()
        .filter_map(|(_, event)| match &event.body {
            Body::TerminalCommand {
                command,
                exit_code,
                ended,
                duration_ms,
                cwd,
                ..
            } => Some((&**command, *exit_code, *ended, *duration_ms, cwd.as_deref())),
            _ => None,
        })
        .collect();
    assert_eq!(
        commands,
        [
            ("cargo test", Some(101), None, Some(2500), None),
            (
                "cargo test",
                Some(0),
                None,
                Some(3000),
                Some("crates/price")
            ),
            (
                "sleep 60",
                Some(124),
                Some(Ended::TimedOut),
                Some(1000),
                None
            ),
            ("cargo bench", None, None, None, None),
        ]
    );
}

#[test]
fn patches_are_unified_diffs_wherever_they_were_given() {
    let read = read("codex/rollout.jsonl");
    let diffs: Vec<_> = read
        .events
        .iter()
        .filter_map(|(_, event)| match &event.body {
            Body::CodeEdit {
                file_path, diff, ..
            } => Some((&**file_path, &**diff)),
            _ => None,
        })
        .collect();
    assert_eq!(
        diffs,
        [
            (
                "src/price.rs",
                "--- a/src/price.rs\n+++ b/src/price.rs\n@@ -1,1 +1,1 @@ fn total\n-    round(x)\n+    x.round()\n"
            ),
            (
                "NOTES.md",
                "--- /dev/null\n+++ b/NOTES.md\n@@ -0,0 +1,1 @@\n+Rounded.\n"
            ),
            (
                "src/price.rs",
                "--- a/src/price.rs\n+++ b/src/price.rs\n@@ -1,1 +1,1 @@\n-a\n+b\n"
            ),
        ]
    );
}

#[test]
fn what_codex_writes_in_the_persons_name_is_not_the_persons() {
    let read = read("codex/rollout.jsonl");
    let said: Vec<_> = read
        .events
        .iter()
        .filter_map(|(_, event)| match &event.body {
            Body::UserMessage { content } if event.actor == Actor::Human => Some(&**content),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["Mend the rounding", "And now?"]);
}

#[test]
fn turns_that_were_taken_back_stay_and_are_marked() {
    let read = read("codex/rollout.jsonl");
    let turn = read.events.iter().find(
        |(_, event)| matches!(&event.body, Body::UserMessage { content } if content == "And now?"),
    );
    let back = read.events.iter().find_map(|(_, event)| match &event.body {
        Body::Rollback { to, .. } => to.clone(),
        _ => None,
    });
    assert_eq!(back, turn.map(|(_, event)| event.id.clone()));
}

#[test]
fn a_fork_has_only_what_is_its_own() {
    let read = read_all(&["codex/rollout.jsonl", "codex/fork.jsonl"]);
    let own: Vec<&str> = read
        .events
        .iter()
        .filter(|(key, _)| key.id.ends_with('2'))
        .map(|(_, event)| event.body.name())
        .collect();
    assert_eq!(own, ["user_message"]);
    assert_eq!(read.reports[1].counts.duplicate, 10);
    let (_, session) = read
        .sessions
        .iter()
        .find(|(key, _)| key.id.ends_with('2'))
        .expect("the fork");
    assert_eq!(
        session.extra["continues"],
        "019c4b43-1451-7af3-be4c-000000000001"
    );
}

#[test]
fn older_generations_give_the_same_events() {
    for name in ["codex/bare.jsonl", "codex/first.json"] {
        let read = read(name);
        assert_eq!(
            bodies(&read),
            ["user_message", "terminal_command", "reasoning_step"],
            "{name}"
        );
        let start = read.sessions[0].1.start_time.expect("a start");
        assert!(start.to_rfc3339().starts_with("2025-0"), "{start}");
    }
}

#[test]
fn a_compressed_rollout_is_the_same_session() {
    let plain = std::fs::read(common::fixture("codex/rollout.jsonl")).expect("a fixture");
    let packed =
        ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
    let ids = |read: &Read| -> Vec<String> {
        read.events
            .iter()
            .map(|(_, event)| event.id.clone())
            .collect()
    };
    let read = read_bytes("rollout.jsonl.zst", &packed);
    assert_eq!(ids(&read), ids(&common::read("codex/rollout.jsonl")));
    // One that was cut off gives what comes before the cut.
    let cut = read_bytes("rollout.jsonl.zst", &packed[..packed.len() - 20]);
    assert_eq!(cut.report().counts.bad, 1, "{:?}", cut.report());
}

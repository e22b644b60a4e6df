//! Claude Code's files, as they are and as they go wrong.

mod common;

use common::{Read, bodies, read, read_all};
use commontrace_session::{Actor, Body, Ended};

fn events_of(kind: &str, read: &Read) -> Vec<commontrace_session::Event> {
    read.events
        .iter()
        .filter(|(_, event)| event.body.name() == kind)
        .map(|(_, event)| event.clone())
        .collect()
}

#[test]
fn a_session_becomes_events_in_order() {
    let read = read("claude_code/session.jsonl");
    assert_eq!(
        bodies(&read),
        [
            "user_message",
            "reasoning_step",
            "terminal_command",
            "test_result",
            "file_open",
            "code_edit",
            "terminal_command",
            "test_result",
            "terminal_command",
            "commit",
            "approval_denied",
            "search",
            "terminal_command",
            "terminal_command",
            "terminal_command",
            "terminal_command",
            "error",
            "user_message",
            "tool_result",
            "compaction",
            "reasoning_step",
            "error",
            "pull_request",
            "tool_result",
        ]
    );
    assert_eq!(read.report().counts.bad, 0, "{:?}", read.report().damage);
    let (_, session) = &read.sessions[0];
    assert_eq!(session.title.as_deref(), Some("Mend the rounding"));
    assert_eq!(session.repo.name, "shop");
    assert_eq!(session.repo.branch, "mend-rounding");
    assert_eq!(session.repo.test_command, "pytest -q");
    assert_eq!(session.model.as_deref(), Some("claude-opus-4-6"));
    assert_eq!(session.tool_version.as_deref(), Some("2.1.34"));
}

#[test]
fn exit_codes_are_what_the_record_tells_and_null_where_it_does_not() {
    let read = read("claude_code/session.jsonl");
    let ends: Vec<_> = events_of("terminal_command", &read)
        .into_iter()
        .map(|event| match event.body {
            Body::TerminalCommand {
                command,
                exit_code,
                ended,
                duration_ms,
                ..
            } => (command, exit_code, ended, duration_ms),
            other => panic!("{other:?}"),
        })
        .collect();
    let command = |text: &str| text.to_owned();
    assert_eq!(
        ends,
        [
            (command("pytest -q"), Some(1), None, Some(2500)),
            (command("pytest -q"), Some(0), None, Some(1000)),
            (
                command("git commit -am 'Round half up'"),
                Some(0),
                None,
                Some(1000)
            ),
            (
                command("npm start"),
                None,
                Some(Ended::Background),
                Some(1000)
            ),
            (
                command("sleep 600"),
                Some(143),
                Some(Ended::TimedOut),
                Some(1000)
            ),
            (command("grep -c x y"), None, None, Some(1000)),
            (command("make"), None, Some(Ended::Interrupted), Some(1000)),
        ]
    );
}

#[test]
fn diffs_are_made_of_the_texts_because_the_recorded_patch_has_blanks_for_tabs() {
    let read = read("claude_code/session.jsonl");
    let Body::CodeEdit {
        file_path, diff, ..
    } = &events_of("code_edit", &read)[0].body
    else {
        panic!("an edit");
    };
    assert_eq!(file_path, "src/price.py");
    assert_eq!(
        diff,
        "--- a/src/price.py\n+++ b/src/price.py\n@@ -1,3 +1,3 @@\n def total(x):\n-\treturn round(x)\n+\treturn int(x + 0.5)\n \n"
    );
}

#[test]
fn what_a_message_used_counts_once_though_several_lines_tell_it() {
    let read = read("claude_code/session.jsonl");
    let (_, session) = &read.sessions[0];
    assert_eq!(session.extra["usage"]["output_tokens"], 120);
    let told = read
        .events
        .iter()
        .filter(|(_, event)| event.extra.contains_key("usage"))
        .count();
    assert_eq!(told, 1);
}

#[test]
fn secrets_and_names_are_gone_from_events_and_records_and_hashes_stay() {
    let read = read("claude_code/session.jsonl");
    let all = format!(
        "{:?}{}",
        read.events,
        String::from_utf8_lossy(&read.blobs.concat())
    );
    for secret in ["mira", "kX7!vq92"] {
        assert!(!all.contains(secret), "{secret}");
    }
    assert!(all.contains("0d3c4465a7fd013edaff839c8faa36d326bcccc9"));
    assert!(read.report().counts.redacted.total() > 0);
    let marked: Vec<&str> = read
        .events
        .iter()
        .filter(|(_, event)| event.redacted)
        .map(|(_, event)| event.body.name())
        .collect();
    assert_eq!(marked, ["user_message"]);
}

#[test]
fn each_event_leads_to_its_record_byte_for_byte() {
    let read = read("claude_code/session.jsonl");
    for (_, event) in &read.events {
        let raw = read.record(event.raw.as_ref().expect("a record"));
        assert!(raw.starts_with('{') && raw.ends_with('}'), "{raw}");
    }
    let spaced = events_of("pull_request", &read);
    assert_eq!(
        read.record(spaced[0].raw.as_ref().expect("a record")),
        r#"{ "type": "pr-link",  "sessionId": "5e55", "prNumber": 7, "prUrl": "https://github.com/acme/shop/pull/7" }"#
    );
}

#[test]
fn cumulative_copies_are_one_session_with_each_event_once() {
    let once = read("claude_code/session.jsonl");
    let both = read_all(&[
        "claude_code/session_earlier.jsonl",
        "claude_code/session.jsonl",
    ]);
    assert_eq!(both.sessions.len(), 1);
    let ids = |read: &Read| {
        let mut ids: Vec<String> = read
            .events
            .iter()
            .map(|(_, event)| event.id.clone())
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&once), ids(&both));
    assert_eq!(
        both.reports[1].counts.duplicate,
        both.reports[0].counts.imported
    );
}

#[test]
fn a_damaged_line_costs_that_line_and_two_objects_on_one_line_are_two() {
    let read = read("claude_code/damaged.jsonl");
    let report = read.report();
    assert_eq!(
        bodies(&read),
        ["user_message", "reasoning_step", "user_message"]
    );
    assert_eq!((report.counts.imported, report.counts.bad), (4, 2));
    let damage: Vec<_> = report
        .damage
        .iter()
        .map(|damage| (damage.line, &*damage.reason))
        .collect();
    assert_eq!(
        damage,
        [
            (2, "no JSON"),
            (6, "cut off: the file ends within a record")
        ]
    );
    let bytes = std::fs::read(common::fixture("claude_code/damaged.jsonl")).expect("a fixture");
    assert!(bytes[report.damage[0].offset as usize..].starts_with(b"{\"type\":\"user\",oops"));
    assert_eq!(report.counts.unknown["brand-new"], 1);
}

#[test]
fn sub_agents_are_actors_whether_inside_progress_lines_or_in_files_of_their_own() {
    let read = read_all(&[
        "claude_code/parent.jsonl",
        "claude_code/parent/subagents/agent-a1.jsonl",
    ]);
    assert_eq!(read.sessions.len(), 1);
    let agent = Actor::Subagent("a1".to_owned());
    let by_agent: Vec<&str> = read
        .events
        .iter()
        .filter(|(_, event)| event.actor == agent)
        .map(|(_, event)| event.body.name())
        .collect();
    assert_eq!(by_agent, ["reasoning_step", "terminal_command"]);
    let command = events_of("terminal_command", &read)
        .into_iter()
        .find(|event| event.actor == agent)
        .expect("a command");
    assert_eq!(command.extra["set_to_work_by"], "toolu_t");
    // The first two records of the agent stand in both places.
    assert_eq!(read.reports[1].counts.duplicate, 2);
}

#[test]
fn large_outputs_come_from_the_side_folder_and_without_it_are_said_to_be_cut() {
    let whole = read("claude_code/parent.jsonl");
    let output = |read: &Read| {
        let event = &events_of("terminal_command", read)[0];
        match &event.body {
            Body::TerminalCommand { output, .. } => {
                (output.clone(), event.extra.contains_key("truncated"))
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        output(&whole),
        ("the whole output of [redacted:email]\n".to_owned(), false)
    );
    let bytes = std::fs::read(common::fixture("claude_code/parent.jsonl")).expect("a fixture");
    let alone = common::read_bytes("elsewhere.jsonl", &bytes);
    assert!(output(&alone).1);
}

#[test]
fn sessions_that_are_marked_as_internal_are_left_out() {
    let own = format!(
        "{}\n{}\n",
        r#"{"type":"file-history-snapshot","sessionId":"own","messageId":"m"}"#,
        r#"{"type":"user","uuid":"u1","sessionId":"own","message":{"role":"user","content":"[commontrace:internal] Judge this"}}"#,
    ) + r#"{"type":"assistant","uuid":"u2","sessionId":"own","message":{"role":"assistant","content":[{"type":"text","text":"ok"}]}}"#;
    let read = common::read_bytes("own.jsonl", own.as_bytes());
    assert!(read.events.is_empty() && read.sessions.is_empty());
    assert_eq!(
        read.report().counts.reasons["marked as [commontrace:internal]"],
        3
    );
}

#[test]
fn a_file_that_grows_gives_what_is_new_each_time() {
    let whole = std::fs::read(common::fixture("claude_code/session.jsonl")).expect("a fixture");
    let once = read("claude_code/session.jsonl");
    let mut grown = common::Growing::default();
    for length in [whole.len() / 3, whole.len() / 2, whole.len()] {
        let report = grown.read("session.jsonl", &whole[..length]);
        assert_eq!(report.ends_within_record, length < whole.len());
    }
    let grown = grown.finish();
    let ids = |read: &Read| -> Vec<String> {
        read.events
            .iter()
            .map(|(_, event)| event.id.clone())
            .collect()
    };
    assert_eq!(ids(&grown), ids(&once));
}

#[test]
fn a_file_without_records_is_no_damage() {
    let read = common::read_bytes("empty.jsonl", b"\n  \n");
    assert_eq!((read.report().format, read.report().counts.bad), (None, 0));
}

//! Trajectories: ATIF, SWE-agent, mini-swe-agent.

mod common;

use common::{Read, bodies, read, read_all};
use commontrace_session::{Actor, Body};

fn commands(read: &Read) -> Vec<(&str, Option<i64>, Option<u64>)> {
    read.events
        .iter()
        .filter_map(|(_, event)| match &event.body {
            Body::TerminalCommand {
                command,
                exit_code,
                duration_ms,
                ..
            } => Some((&**command, *exit_code, *duration_ms)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_step_of_atif_becomes_its_thoughts_words_and_calls() {
    let read = read("atif/main.json");
    assert_eq!(
        bodies(&read),
        [
            "user_message",
            "user_message",
            "reasoning_step",
            "reasoning_step",
            "terminal_command",
            "test_result",
            "code_edit",
            "user_message",
        ]
    );
    assert_eq!(commands(&read), [("pytest -q", Some(1), None)]);
    assert_eq!(read.events[0].1.actor, Actor::System);
    assert_eq!(read.events[1].1.actor, Actor::Human);
}

#[test]
fn continuations_and_sub_agents_join_the_session_and_copied_steps_are_left_out() {
    let read = read_all(&[
        "atif/main.json",
        "atif/main.cont-1.json",
        "atif/summary.json",
    ]);
    assert_eq!(read.sessions.len(), 1);
    assert_eq!(read.events.len(), 8 + 1 + 2);
    let last = read.events.last().map(|(_, event)| event.actor.clone());
    assert_eq!(last, Some(Actor::Subagent("run-1-summary".to_owned())));
    for report in &read.reports[1..] {
        assert_eq!(
            report.counts.reasons["context that was copied from another trajectory"],
            1
        );
    }
    let embedded = common::read("atif/embedded.json");
    let actors: Vec<String> = embedded
        .events
        .iter()
        .map(|(_, event)| event.actor.to_string())
        .collect();
    assert_eq!(actors, ["agent", "agent", "agent", "subagent:t-sub"]);
}

#[test]
fn what_swe_agent_does_has_neither_time_nor_exit_code() {
    let read = read("swe_agent/run.traj");
    assert_eq!(
        bodies(&read),
        [
            "user_message",
            "user_message",
            "reasoning_step",
            "file_open",
            "reasoning_step",
            "code_edit",
            "reasoning_step",
            "terminal_command",
            "test_result",
            "tool_result",
        ]
    );
    assert_eq!(commands(&read), [("python -m pytest", None, None)]);
    assert!(
        read.events
            .iter()
            .all(|(_, event)| event.timestamp.is_none())
    );
    let edit = read.events.iter().find_map(|(_, event)| match &event.body {
        Body::CodeEdit {
            file_path, diff, ..
        } => Some((&**file_path, &**diff)),
        _ => None,
    });
    assert_eq!(
        edit,
        Some((
            "src/price.py",
            "--- a/src/price.py\n+++ b/src/price.py\n@@ -2,1 +2,1 @@\n-    return round(x)\n+    return int(x + 0.5)\n"
        ))
    );
    let (_, session) = &read.sessions[0];
    assert_eq!(session.extra["exit_status"], "submitted");
    assert!(
        session.extra["submission"]
            .as_str()
            .is_some_and(|patch| patch.ends_with("\r\n"))
    );
    // The prompt that each step repeats becomes no events.
    let all = format!("{:?}", read.events);
    assert!(!all.contains("the whole prompt again") && !all.contains("example of another"));
}

#[test]
fn a_demonstration_has_only_the_conversation() {
    let read = read("swe_agent/demonstration.traj");
    assert_eq!(
        bodies(&read),
        [
            "user_message",
            "user_message",
            "reasoning_step",
            "search",
            "reasoning_step",
            "code_edit"
        ]
    );
    let Some((_, Body::CodeEdit { diff, .. })) =
        read.events.last().map(|(key, event)| (key, &event.body))
    else {
        panic!("an edit");
    };
    assert!(diff.ends_with("-it's a\n+b\n"), "{diff}");
}

#[test]
fn commands_of_mini_swe_agent_have_their_exit_codes() {
    let v1 = read("mini_swe_agent/v1.traj.json");
    assert_eq!(
        commands(&v1),
        [
            ("pytest -q", Some(1), None),
            ("echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", None, None)
        ]
    );
    let people = v1
        .events
        .iter()
        .filter(|(_, event)| event.actor == Actor::Human)
        .count();
    assert_eq!(people, 1);
    let v2 = read("mini_swe_agent/v2.traj.json");
    assert_eq!(
        commands(&v2),
        [("false", Some(1), Some(2000)), ("ls", Some(0), Some(1000))]
    );
    let (_, session) = &v2.sessions[0];
    assert_eq!(session.model.as_deref(), Some("openai/gpt-5"));
    assert_eq!(session.extra["exit_status"], "Submitted");
}

//! Events as hosts send them are understood as what they are.

use std::path::Path;

use commontrace_hook::event::{Ended, Event, Ignored, What};
use commontrace_hook::host::Host;
use commontrace_hook::hosts::{read, write};
use serde_json::Value;

fn fixture(name: &str) -> (Host, Option<String>, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect(name);
    let (host, rest) = name.split_once('/').expect("a host's folder");
    let event = rest.split('-').next().map(str::to_owned);
    (
        Host::named(host).expect(host),
        event,
        serde_json::from_str(&text).expect(name),
    )
}

fn event(name: &str) -> Result<Event, Ignored> {
    let (host, event, payload) = fixture(name);
    read(host, event.as_deref(), &payload)
}

#[track_caller]
fn ran(name: &str, command: &str, ended: Ended, printed: &str) {
    let event = event(name).unwrap_or_else(|why| panic!("{name}: {why}"));
    assert!(
        event
            .cwd
            .is_some_and(|cwd| cwd == Path::new("/home/ada/webshop")),
        "{name}"
    );
    let What::Ran(ran) = event.what else {
        panic!("{name}: {:?}", event.what)
    };
    assert_eq!(
        (ran.command.as_str(), ran.ended),
        (command, ended),
        "{name}"
    );
    assert!(ran.output.contains(printed), "{name}: {}", ran.output);
}

const MISSING: &str = "Cannot find module 'express'";
const SWITCH: &str = "git switch -c fix/cart-total";
const SWITCHED: &str = "Switched to a new branch";

#[test]
fn a_failed_command_is_one_on_every_host() {
    let badly = Ended::Badly(Some(1));
    for name in [
        "claude/PostToolUseFailure-2.1.280-npm-test",
        "codex/PostToolUse-0.118.0-failure-text",
        "codex/PostToolUse-0.130.0-failure-object",
        "codex/PostToolUse-0.144.6-failure-exec",
        "cursor/postToolUse-2026.07.23-shell-exit-1",
        "cursor/postToolUseFailure-2026.07.23-error",
        "gemini/AfterTool-0.24.0-exit-1",
        "gemini/AfterTool-0.52.0-exit-1",
        "vscode/PostToolUse-1.126-terminal-failed",
        "copilot/postToolUse-1.0.65-exit-1",
        "copilot/postToolUseFailure-1.0.65",
        "opencode/tool.after-1.2-bash-exit-1",
    ] {
        ran(name, "npm test", badly, MISSING);
    }
    for name in [
        "copilot/postToolUseFailure-1.0.65-args-object",
        "copilot/PostToolUseFailure-1.0.65-snake-case",
    ] {
        ran(name, "npm test", Ended::Badly(None), MISSING);
    }
    ran(
        "gemini/AfterTool-0.52.0-error",
        "npm test",
        Ended::Badly(None),
        "spawn bash ENOENT",
    );
}

#[test]
fn a_command_that_ended_well_is_no_failure_whatever_it_printed() {
    for name in [
        "codex/PostToolUse-0.118.0-success-text",
        "codex/PostToolUse-0.130.0-success-object",
        "codex/PostToolUse-0.144.6-success-exec",
        "cursor/postToolUse-2026.07.23-shell",
        "gemini/AfterTool-0.24.0-success",
        "gemini/AfterTool-0.52.0-success",
        "vscode/PostToolUse-1.126-terminal",
        "copilot/postToolUse-1.0.65-bash",
        "copilot/PostToolUse-1.0.65-snake-case",
        "opencode/tool.after-1.2-bash",
    ] {
        ran(name, SWITCH, Ended::Well, SWITCHED);
    }
    let git = event("claude/PostToolUse-2.1.280-git-stderr").expect("an event");
    let What::Ran(git) = git.what else {
        panic!("a command ran")
    };
    assert_eq!(git.ended, Ended::Well);
}

#[test]
fn nothing_is_concluded_where_the_host_does_not_say_how_a_command_ended() {
    ran(
        "codex/PostToolUse-0.155.0-failure-plain",
        "npm test",
        Ended::Unknown,
        MISSING,
    );
}

#[test]
fn what_was_interrupted_denied_or_ours_is_left_alone() {
    for name in [
        "claude/PostToolUseFailure-2.1.280-interrupt",
        "claude/PostToolUseFailure-2.1.280-mcp",
        "cursor/postToolUseFailure-2026.07.23-denied",
        "cursor/postToolUseFailure-2026.07.23-interrupt",
        "cursor/postToolUseFailure-2026.07.23-timeout",
        "gemini/AfterTool-0.52.0-cancelled",
    ] {
        assert_eq!(event(name), Err(Ignored::OfNoInterest), "{name}");
    }
}

#[test]
fn a_changed_file_is_known_with_what_changed() {
    for name in [
        "claude/PostToolUse-2.1.280-edit",
        "codex/PostToolUse-0.155.0-apply-patch",
        "gemini/AfterTool-0.52.0-replace",
        "vscode/PostToolUse-1.126-edit",
        "copilot/postToolUse-1.0.65-edit",
        "opencode/tool.after-1.2-edit",
    ] {
        let What::Edited(edit) = event(name).expect(name).what else {
            panic!("{name}")
        };
        assert!(
            edit.path.ends_with("src/server.js"),
            "{name}: {}",
            edit.path
        );
        assert!(
            edit.old.contains("exprss") && edit.new.contains("express"),
            "{name}: {edit:?}"
        );
    }
    for name in [
        "claude/PostToolUse-2.1.280-write",
        "claude/PostToolUse-2.1.280-notebook",
        "cursor/postToolUse-2026.07.23-write",
    ] {
        let What::Edited(edit) = event(name).expect(name).what else {
            panic!("{name}")
        };
        assert!(
            !edit.path.is_empty() && !edit.new.is_empty(),
            "{name}: {edit:?}"
        );
    }
}

#[test]
fn beginnings_prompts_and_ends_are_known() {
    let stop = |name: &str| match event(name).expect(name).what {
        What::Stopped(stop) => (stop.again, stop.unattended),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(stop("claude/Stop-2.1.280"), (false, false));
    assert_eq!(stop("claude/Stop-2.1.280-active"), (true, false));
    assert_eq!(stop("claude/Stop-2.1.280-background"), (false, true));
    assert_eq!(stop("claude/Stop-2.1.280-unattended"), (false, true));
    for name in [
        "codex/Stop-0.155.0",
        "cursor/stop-2026.07.23",
        "gemini/AfterAgent-0.52.0",
        "vscode/Stop-1.126",
        "copilot/agentStop-1.0.65",
        "opencode/session.idle-1.2",
    ] {
        assert_eq!(stop(name), (false, false), "{name}");
    }
    for name in [
        "claude/SessionStart-2.1.280-startup",
        "claude/SessionStart-2.1.280-resume",
        "claude/SessionStart-2.1.280-clear",
        "claude/SessionStart-2.1.280-compact",
        "codex/SessionStart-0.155.0",
        "cursor/sessionStart-2026.07.23",
        "gemini/SessionStart-0.52.0",
        "vscode/SessionStart-1.126",
        "copilot/sessionStart-1.0.65",
        "opencode/session.start-1.2",
    ] {
        assert_eq!(event(name).expect(name).what, What::Started, "{name}");
    }
    for name in [
        "claude/UserPromptSubmit-2.1.280",
        "codex/UserPromptSubmit-0.155.0",
        "cursor/beforeSubmitPrompt-2026.07.23",
        "gemini/BeforeAgent-0.52.0",
        "vscode/UserPromptSubmit-1.126",
        "copilot/userPromptSubmitted-1.0.65",
    ] {
        assert!(
            matches!(event(name).expect(name).what, What::Prompted(text) if !text.is_empty()),
            "{name}"
        );
    }
    for name in [
        "claude/SessionEnd-2.1.280",
        "cursor/sessionEnd-2026.07.23",
        "gemini/SessionEnd-0.52.0",
        "copilot/sessionEnd-1.0.65",
    ] {
        assert_eq!(event(name).expect(name).what, What::Ended, "{name}");
    }
    let What::Read(trace) = event("claude/PostToolUse-2.1.280-get-trace")
        .expect("an event")
        .what
    else {
        panic!("a trace was read")
    };
    assert!(uuid::Uuid::parse_str(&trace).is_ok(), "{trace}");
}

#[test]
fn every_wired_event_has_a_fixture_and_none_fails_to_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for host in Host::ALL {
        let files = std::fs::read_dir(folder.join(host.name())).expect("a folder for each host");
        let names: Vec<String> = files
            .map(|file| {
                file.expect("a file")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        for wired in host.events() {
            let is_it = |name: &&String| name.split('-').next() == Some(wired.event);
            assert!(
                names.iter().any(|name| is_it(&name)),
                "{} {}",
                host.name(),
                wired.event
            );
        }
        for name in &names {
            let name = format!("{}/{}", host.name(), name.trim_end_matches(".json"));
            assert_ne!(event(&name), Err(Ignored::Malformed), "{name}");
        }
    }
}

#[test]
fn answers_have_the_form_that_each_host_reads() {
    let answer = |name: &str| {
        let (host, named, payload) = fixture(name);
        write(
            host,
            &read(host, named.as_deref(), &payload).expect(name),
            "facts",
        )
    };
    let nested = |event: &str| serde_json::json!({"hookSpecificOutput": {"hookEventName": event, "additionalContext": "facts"}});
    assert_eq!(
        answer("claude/PostToolUseFailure-2.1.280-npm-test"),
        Some(nested("PostToolUseFailure"))
    );
    assert_eq!(answer("claude/Stop-2.1.280"), Some(nested("Stop")));
    assert_eq!(
        answer("codex/PostToolUse-0.130.0-failure-object"),
        Some(nested("PostToolUse"))
    );
    // A key that its schema does not have would void the answer.
    assert_eq!(answer("codex/Stop-0.155.0"), None);
    assert_eq!(
        answer("gemini/AfterTool-0.52.0-exit-1"),
        Some(nested("AfterTool"))
    );
    assert_eq!(
        answer("cursor/postToolUseFailure-2026.07.23-error"),
        Some(serde_json::json!({"additional_context": "facts"}))
    );
    assert_eq!(
        answer("copilot/postToolUseFailure-1.0.65"),
        Some(serde_json::json!({"additionalContext": "facts"}))
    );
    assert_eq!(
        answer("opencode/tool.after-1.2-bash-exit-1"),
        Some(serde_json::json!({"additionalContext": "facts"}))
    );
}

#[test]
fn what_real_hosts_sent_is_understood() {
    let missing = "No such file or directory";
    for (name, ended) in [
        ("claude/PostToolUseFailure-2.1.330", Ended::Badly(Some(2))),
        // Nothing in it tells a failure from a success.
        ("codex/PostToolUse-0.169.0", Ended::Unknown),
        ("gemini/AfterTool-0.61.0", Ended::Badly(Some(2))),
        ("copilot/postToolUse-1.0.102", Ended::Badly(Some(2))),
        ("opencode/tool.after-1.18.33", Ended::Badly(Some(2))),
    ] {
        let name = format!("{name}-recorded-failure");
        ran(&name, "ls no-such-folder", ended, missing);
    }
    for (name, ended) in [
        ("claude/PostToolUse-2.1.330", Ended::Well),
        ("codex/PostToolUse-0.169.0", Ended::Unknown),
        ("gemini/AfterTool-0.61.0", Ended::Well),
        ("copilot/postToolUse-1.0.102", Ended::Well),
        ("opencode/tool.after-1.18.33", Ended::Well),
    ] {
        let name = format!("{name}-recorded-stderr");
        ran(&name, r#"echo "warning: loud" >&2"#, ended, "warning: loud");
    }
    for name in [
        "claude/SessionStart-2.1.330",
        "codex/SessionStart-0.169.0",
        "gemini/SessionStart-0.61.0",
        "copilot/sessionStart-1.0.102",
        "opencode/session.start-1.18.33",
    ] {
        let event = event(&format!("{name}-recorded")).expect(name);
        assert!(matches!(event.what, What::Started), "{name}: {event:?}");
    }
    for name in [
        "claude/UserPromptSubmit-2.1.330",
        "codex/UserPromptSubmit-0.169.0",
        "gemini/BeforeAgent-0.61.0",
        "copilot/userPromptSubmitted-1.0.102",
    ] {
        let event = event(&format!("{name}-recorded")).expect(name);
        assert!(matches!(event.what, What::Prompted(_)), "{name}: {event:?}");
    }
    for name in [
        "claude/Stop-2.1.330",
        "codex/Stop-0.169.0",
        "gemini/AfterAgent-0.61.0",
        "copilot/agentStop-1.0.102",
        "opencode/session.idle-1.18.33",
    ] {
        let event = event(&format!("{name}-recorded")).expect(name);
        assert!(matches!(event.what, What::Stopped(_)), "{name}: {event:?}");
    }
    for name in [
        "claude/SessionEnd-2.1.330",
        "gemini/SessionEnd-0.61.0",
        "copilot/sessionEnd-1.0.102",
    ] {
        let event = event(&format!("{name}-recorded")).expect(name);
        assert!(matches!(event.what, What::Ended), "{name}: {event:?}");
    }
}

//! What tools answered, together with what they were asked.

use std::borrow::Cow;

use serde_json::Value;

use super::super::desk::Desk;
use super::super::json::{self, Member, members};
use super::super::state::Call;
use super::{Block, Scene, edits};
use crate::event::Ended;
use crate::{Actor, Body, Event};

members!(
    /// `toolUseResult`, the structured twin of a result, of the tools that have events of their own.
    Twin {
        stdout = "stdout",
        stderr = "stderr",
        interrupted = "interrupted",
        interpretation = "returnCodeInterpretation",
        background = "backgroundTaskId",
        stored = "persistedOutputPath",
        file = "file",
        content = "content",
        original = "originalFile",
        old = "oldString",
        new = "newString",
        replace_all = "replaceAll",
        patch = "structuredPatch",
        user_modified = "userModified",
        agent = "agentId",
    }
);

members!(
    /// The part of a file that was read.
    FilePart {
        first = "startLine",
        lines = "numLines",
        total = "totalLines",
    }
);

/// What the tool writes where a person did not let it run.
const DENIED: &[&str] = &[
    "The user doesn't want to proceed",
    "The user doesn't want to take this action",
    "User rejected tool use",
    "The user rejected",
    "Permission to use",
];

const INTERRUPTED: &str = "[Request interrupted by user";

/// The events of a result.
pub(super) fn events(
    desk: &mut Desk<'_>,
    scene: &Scene<'_>,
    block: Block<'_>,
    twin: Member<'_>,
) -> Vec<Event> {
    let id = json::string(block.tool);
    let call = desk.state(scene.key).answered(&id);
    let outcome = Outcome {
        twin: json::object(twin).unwrap_or_default(),
        text: text_of(block.content),
        is_error: json::flag(block.is_error),
    };
    let mut event = match &call {
        Some(call) if !call.told => paired(desk, scene, call, outcome),
        _ => unpaired(desk, scene, call.as_ref(), outcome),
    };
    event.tool_call_id = Some(id).filter(|id| !id.is_empty());
    vec![event]
}

/// A result, before it is known of what.
struct Outcome<'o> {
    twin: Twin<'o>,
    text: String,
    is_error: Option<bool>,
}

impl Outcome<'_> {
    fn failed(&self) -> bool {
        self.is_error == Some(true)
    }
}

/// The result of a tool that has no event of its own, or of a call that is not there.
fn unpaired(
    desk: &mut Desk<'_>,
    scene: &Scene<'_>,
    call: Option<&Call>,
    outcome: Outcome<'_>,
) -> Event {
    if let Some(what) = denied(desk, scene, &outcome, call) {
        return by_human(scene.event(what), &outcome);
    }
    let mut truncated = false;
    let content = whole(
        desk,
        scene,
        outcome.text,
        outcome.twin.stored,
        &mut truncated,
    );
    let mut event = scene.event(Body::ToolResult {
        name: call.map(|call| call.name.clone()),
        content,
        is_error: outcome.is_error,
    });
    if truncated {
        event
            .extra
            .insert("truncated".to_owned(), Value::Bool(true));
    }
    if let Some(agent) = json::said(outcome.twin.agent) {
        event.extra.insert("agent".to_owned(), Value::from(&*agent));
    }
    event
}

/// The event that a call and its result are together.
fn paired(desk: &mut Desk<'_>, scene: &Scene<'_>, call: &Call, outcome: Outcome<'_>) -> Event {
    if let Some(what) = denied(desk, scene, &outcome, Some(call)) {
        return by_human(call.event(what), &outcome);
    }
    if call.name == "Bash" {
        return command(desk, scene, call, outcome);
    }
    if outcome.failed() {
        return failure(call, &outcome.text);
    }
    let path = call
        .first(&["file_path", "notebook_path", "path"])
        .unwrap_or("");
    let path = desk.state(scene.key).roots.relative(path);
    match &*call.name {
        "Read" => {
            let mut event = call.event(Body::FileOpen { file_path: path });
            if let Some(part) = json::object::<FilePart<'_>>(outcome.twin.file) {
                let numbers = [
                    ("start_line", part.first),
                    ("lines", part.lines),
                    ("total_lines", part.total),
                ];
                for (name, member) in numbers {
                    if let Some(number) = json::int(member) {
                        event.extra.insert(name.to_owned(), Value::from(number));
                    }
                }
            }
            event
        }
        "Grep" | "Glob" | "LS" | "WebSearch" => {
            let query = call
                .first(&["pattern", "query", "path"])
                .unwrap_or("")
                .to_owned();
            let mut truncated = false;
            let results = whole(
                desk,
                scene,
                outcome.text,
                outcome.twin.stored,
                &mut truncated,
            );
            let mut event = call.event(Body::Search {
                query,
                path: call.text("path").map(|_| path),
                results: Some(results),
            });
            if truncated {
                event
                    .extra
                    .insert("truncated".to_owned(), Value::Bool(true));
            }
            event
        }
        _ => edits::event(call, path, &outcome.twin),
    }
}

/// A command with what came of it. Success has no exit code in the record, and is 0 only where the command
/// was waited for; failure is a text that names the code.
fn command(desk: &mut Desk<'_>, scene: &Scene<'_>, call: &Call, outcome: Outcome<'_>) -> Event {
    let twin = &outcome.twin;
    let in_background = call.arguments.get("run_in_background") == Some(&Value::Bool(true))
        || twin.background.is_some();
    let mut ended = None;
    let mut exit_code = None;
    let mut output: Option<String> = None;
    if outcome.failed() {
        let text = outcome
            .text
            .strip_prefix("Error: ")
            .unwrap_or(&outcome.text);
        match exit_in(text) {
            Some((code, rest)) => {
                exit_code = Some(code);
                if rest.trim_start().starts_with("Command timed out") {
                    ended = Some(Ended::TimedOut);
                } else if rest.contains(INTERRUPTED) {
                    ended = Some(Ended::Interrupted);
                }
                output = Some(rest.to_owned());
            }
            None if text.starts_with("Command timed out") => ended = Some(Ended::TimedOut),
            None if text.starts_with(INTERRUPTED) => ended = Some(Ended::Interrupted),
            None => return failure(call, text),
        }
    } else if json::flag(twin.interrupted) == Some(true) {
        ended = Some(Ended::Interrupted);
    } else if in_background {
        ended = Some(Ended::Background);
    } else if json::said(twin.interpretation).is_none() {
        exit_code = Some(0);
    }
    let output = output.unwrap_or_else(|| {
        let (out, err) = (json::text(twin.stdout), json::text(twin.stderr));
        match (out, err) {
            (None, None) => outcome.text.clone(),
            (out, err) => joined(&out.unwrap_or_default(), &err.unwrap_or_default()),
        }
    });
    // Which of the two texts has the stub depends on the version.
    let stub = if outcome.text.contains(STORED) {
        outcome.text
    } else {
        output.clone()
    };
    let mut truncated = false;
    let output = if stub.contains(STORED) || twin.stored.is_some() {
        match whole(desk, scene, stub, twin.stored, &mut truncated) {
            stub if truncated && !output.contains(STORED) && !output.is_empty() => {
                drop(stub);
                output
            }
            whole => whole,
        }
    } else {
        output
    };
    let state = desk.state(scene.key);
    let folder = json::text(scene.line.cwd);
    let mut event = call.event(Body::TerminalCommand {
        command: call.text("command").unwrap_or("").to_owned(),
        exit_code,
        output,
        duration_ms: took(call, scene),
        cwd: state.roots.folder(folder.as_deref()),
        ended,
    });
    if let Some(interpretation) = json::said(twin.interpretation) {
        event.extra.insert(
            "return_code_interpretation".to_owned(),
            Value::from(&*interpretation),
        );
    }
    if let Some(description) = call.text("description") {
        event
            .extra
            .insert("description".to_owned(), Value::from(description));
    }
    if truncated {
        event
            .extra
            .insert("truncated".to_owned(), Value::Bool(true));
    }
    event
}

/// The time from the call to its result, in milliseconds.
fn took(call: &Call, scene: &Scene<'_>) -> Option<u64> {
    let took = scene.at?.signed_duration_since(call.at?);
    u64::try_from(took.num_milliseconds()).ok()
}

/// The code and the rest of `Exit code 1` and the lines after it.
fn exit_in(text: &str) -> Option<(i64, &str)> {
    let rest = text.strip_prefix("Exit code ")?;
    let digits = rest
        .find(|c: char| !(c.is_ascii_digit() || c == '-'))
        .unwrap_or(rest.len());
    let code = rest[..digits].parse().ok()?;
    let rest = &rest[digits..];
    Some((code, rest.strip_prefix('\n').unwrap_or(rest)))
}

/// What a person did not let run, if that is what a result says.
fn denied(
    desk: &mut Desk<'_>,
    scene: &Scene<'_>,
    outcome: &Outcome<'_>,
    call: Option<&Call>,
) -> Option<Body> {
    let text = outcome
        .text
        .strip_prefix("Error: ")
        .unwrap_or(&outcome.text);
    if !outcome.failed() || !DENIED.iter().any(|start| text.starts_with(start)) {
        return None;
    }
    let what = match call {
        Some(call) => {
            match call.first(&["command", "file_path", "notebook_path", "url", "pattern"]) {
                Some(argument) if call.name == "Bash" => argument.to_owned(),
                Some(argument) => {
                    let argument = desk.state(scene.key).roots.relative(argument);
                    format!("{} {argument}", call.name)
                }
                None => call.name.clone(),
            }
        }
        None => "a tool".to_owned(),
    };
    Some(Body::ApprovalDenied { what })
}

/// What a person did, with the words that came with it.
fn by_human(mut event: Event, outcome: &Outcome<'_>) -> Event {
    event.actor = Actor::Human;
    event
        .extra
        .insert("said".to_owned(), Value::from(&*outcome.text));
    event
}

/// A call that failed outside of what it was to do.
fn failure(call: &Call, text: &str) -> Event {
    let text = text
        .trim()
        .trim_start_matches("<tool_use_error>")
        .trim_end_matches("</tool_use_error>");
    let mut event = call.event(Body::Error {
        message: format!("{}: {text}", call.name),
    });
    event
        .extra
        .insert("tool".to_owned(), Value::from(&*call.name));
    event
}

/// How a text begins that stands for a larger one in a side file.
const STORED: &str = "<persisted-output>";

/// The whole of a text of which the record has only the start, if the side file is there.
fn whole(
    desk: &mut Desk<'_>,
    scene: &Scene<'_>,
    text: String,
    stored: Member<'_>,
    truncated: &mut bool,
) -> String {
    let is_stub = text.contains(STORED);
    if !is_stub && stored.is_none() {
        return text;
    }
    let path = json::said(stored).or_else(|| {
        let (_, rest) = text.split_once("saved to: ")?;
        rest.lines()
            .next()
            .map(|path| Cow::Owned(path.trim().to_owned()))
    });
    let Some(whole) = path.and_then(|path| scene.input.beside.tool_result(&path)) else {
        *truncated = is_stub;
        return text;
    };
    if !scene.input.redacts {
        return whole;
    }
    let answer = commontrace_redact::redact(&whole);
    desk.report
        .counts
        .redacted
        .add(&answer.findings.iter().collect());
    answer.text.into_owned()
}

/// The text of a content that is a string or blocks.
pub(super) fn text_of(content: Member<'_>) -> String {
    if let Some(text) = json::text(content) {
        return text.into_owned();
    }
    let mut out = String::new();
    for block in json::objects::<Block<'_>>(content) {
        if !out.is_empty() {
            out.push('\n');
        }
        match json::text(block.text) {
            Some(text) => out.push_str(&text),
            None => {
                out.push('[');
                out.push_str(&json::string(block.kind));
                out.push(']');
            }
        }
    }
    out
}

/// Two streams as one text.
pub(super) fn joined(out: &str, err: &str) -> String {
    match (out.trim_end().is_empty(), err.trim().is_empty()) {
        (_, true) => out.to_owned(),
        (true, false) => err.to_owned(),
        (false, false) => format!("{}\n{err}", out.trim_end_matches('\n')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_read_from_words() {
        assert_eq!(exit_in("Exit code 101\nerror"), Some((101, "error")));
        assert_eq!(exit_in("Exit code 1"), Some((1, "")));
        assert_eq!(exit_in("Exit code x"), None);
        assert_eq!(exit_in("exit code 1"), None);
    }

    #[test]
    fn streams_are_joined_with_a_line_between_them() {
        assert_eq!(joined("a\n", "b"), "a\nb");
        assert_eq!(joined("", "b"), "b");
        assert_eq!(joined("a\n", ""), "a\n");
    }
}

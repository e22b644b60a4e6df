//! Calls of tools, which have their results with them.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::desk::Desk;
use super::super::json::{self, Member, members};
use super::super::state::{Call, State};
use super::{Scene, shell};
use crate::event::Ended;
use crate::{Actor, Body, Event, diff};

members!(
    /// A call.
    ToolCall {
        id = "id",
        name = "name",
        args = "args",
        result = "result",
        status = "status",
        at = "timestamp",
        display = "resultDisplay",
        agent = "agentId",
    }
);

members!(
    /// An item of a result.
    Answer { response = "functionResponse" }
);
members!(
    /// What a function answered.
    Function { response = "response" }
);
members!(
    /// The text of it.
    Response {
        output = "output",
        error = "error",
    }
);
members!(
    /// How an edit is shown.
    Display {
        diff = "fileDiff",
        before = "originalContent",
        after = "newContent",
    }
);

/// The events of a call.
pub(super) fn events(desk: &mut Desk<'_>, scene: &Scene<'_>, call: ToolCall<'_>) -> Vec<Event> {
    let id = json::string(call.id);
    let end = json::time(call.at).or(scene.at);
    let start = started(&id).filter(|start| end.is_none_or(|end| *start <= end));
    let made = Call {
        record: id.clone(),
        name: json::string(call.name),
        arguments: desk.value(call.args),
        size: call.args.map_or(0, |args| args.get().len()),
        at: start.or(end),
        actor: scene.actor.clone(),
        parent: None,
        told: false,
        id,
    };
    let text = text_of(call.result);
    let state = desk.state(scene.key);
    let happened = match json::text(call.status).as_deref() {
        Some("cancelled") => vec![made.event(denied(&made))],
        Some("error") => {
            let message = if text.is_empty() {
                json::string(call.display)
            } else {
                text
            };
            vec![made.event(Body::Error {
                message: format!("{}: {message}", made.name),
            })]
        }
        Some("success") => {
            let took = start.zip(end).and_then(|(start, end)| {
                u64::try_from(end.signed_duration_since(start).num_milliseconds()).ok()
            });
            finished(state, &made, text, call.display, took)
        }
        _ => {
            // It was not finished when this was written; a later file may know how it ended.
            state.answered(&made.id);
            return state
                .wait(made)
                .and_then(Call::unanswered)
                .into_iter()
                .collect();
        }
    };
    state.answered(&made.id);
    let mut events: Vec<Event> = Vec::new();
    for mut event in happened {
        event.id = match (&event.body, events.is_empty()) {
            (Body::ToolCall { .. }, _) => format!("{}#call", made.id),
            _ => made.id.clone(),
        };
        match &event.body {
            Body::ApprovalDenied { .. } => event.actor = Actor::Human,
            Body::ToolResult { .. } => event.timestamp = end,
            _ => {}
        }
        if let Some(agent) = json::said(call.agent) {
            event.extra.insert("agent".to_owned(), Value::from(&*agent));
        }
        events.push(event);
    }
    events
}

/// The moment in an id such as `read_file-1768010961326-7266fc4bc8133`, where a call began.
fn started(id: &str) -> Option<DateTime<Utc>> {
    let mut parts = id.rsplit('-');
    parts.next()?;
    let milliseconds = parts.next().filter(|part| part.len() == 13)?;
    DateTime::from_timestamp_millis(milliseconds.parse().ok()?)
}

/// What the functions answered.
fn text_of(result: Member<'_>) -> String {
    if let Some(text) = json::text(result) {
        return text.into_owned();
    }
    let answers = json::objects::<Answer<'_>>(result)
        .into_iter()
        .filter_map(|answer| {
            let function: Function<'_> = json::object(answer.response)?;
            if let Some(text) = json::text(function.response) {
                return Some(text.into_owned());
            }
            let response: Response<'_> = json::object(function.response)?;
            json::text(response.output)
                .or_else(|| json::text(response.error))
                .map(Into::into)
        });
    answers.collect::<Vec<String>>().join("\n")
}

/// What the person refused.
fn denied(call: &Call) -> Body {
    let argument = call.first(&["command", "file_path", "absolute_path", "url", "pattern"]);
    let what = match argument {
        Some(argument) if call.name == "run_shell_command" => argument.to_owned(),
        Some(argument) => format!("{} {argument}", call.name),
        None => call.name.clone(),
    };
    Body::ApprovalDenied { what }
}

/// What a call that went through is. A command's status is "success" however it exits.
fn finished(
    state: &State,
    call: &Call,
    text: String,
    display: Member<'_>,
    duration_ms: Option<u64>,
) -> Vec<Event> {
    let path = || {
        let path = call
            .first(&["file_path", "absolute_path", "path", "dir_path"])
            .unwrap_or("");
        state.roots.relative(path)
    };
    let body = match &*call.name {
        "run_shell_command" => {
            let shell = shell::read(&text);
            let ended = if text.starts_with("Command was automatically cancelled")
                || text.contains("timed out") && shell.exit_code.is_none()
            {
                Some(Ended::TimedOut)
            } else if text.starts_with("Command was cancelled") {
                Some(Ended::Interrupted)
            } else if text.starts_with("Command moved to background") {
                Some(Ended::Background)
            } else {
                None
            };
            let output = match &shell.error {
                Some(error) => format!("{}\n{error}", shell.output),
                None => shell.output,
            };
            Body::TerminalCommand {
                command: call.text("command").unwrap_or("").to_owned(),
                exit_code: shell.exit_code,
                output,
                duration_ms,
                cwd: state.roots.folder(call.first(&["dir_path", "directory"])),
                ended,
            }
        }
        "read_file" => Body::FileOpen { file_path: path() },
        "search_file_content" | "grep_search" | "glob" | "list_directory" | "google_web_search" => {
            Body::Search {
                query: call
                    .first(&["pattern", "query", "path", "dir_path"])
                    .unwrap_or("")
                    .to_owned(),
                path: call
                    .first(&["path", "dir_path"])
                    .map(|path| state.roots.relative(path)),
                results: Some(text),
            }
        }
        "write_file" | "replace" | "edit" => return vec![edit(call, path(), &text, display)],
        _ => {
            return vec![
                call.event(Body::ToolCall {
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                }),
                call.event(Body::ToolResult {
                    name: Some(call.name.clone()),
                    content: text,
                    is_error: Some(false),
                }),
            ];
        }
    };
    vec![call.event(body)]
}

fn edit(call: &Call, path: String, answer: &str, display: Member<'_>) -> Event {
    let display: Display<'_> = json::object(display).unwrap_or_default();
    let before = json::text(display.before);
    let after = json::text(display.after);
    let written = call.text("content");
    let mut snapshot_after = None;
    let mut placed = true;
    let diff = if let (Some(before), Some(after)) = (&before, &after) {
        let before = Some(&**before).filter(|before| !before.is_empty());
        diff::between(&path, before, Some(after))
    } else if let Some(hunks) = json::text(display.diff).filter(|shown| shown.contains("@@ ")) {
        let at = hunks.find("@@ ").unwrap_or(0);
        let is_new = hunks[at..].starts_with("@@ -0,0 ");
        format!("{}{}", diff::header(&path, !is_new, true), &hunks[at..])
    } else if let Some(written) = written {
        if answer.contains("new file") {
            diff::between(&path, None, Some(written))
        } else {
            // What was there before is not told.
            snapshot_after = Some(written.to_owned());
            String::new()
        }
    } else {
        placed = false;
        let lines = |name| {
            call.text(name)
                .map(|text| format!("{}\n", text.trim_end_matches('\n')))
        };
        diff::between(
            &path,
            lines("old_string").as_deref(),
            lines("new_string").as_deref(),
        )
    };
    let edit = call.event(Body::CodeEdit {
        file_path: path,
        diff,
        snapshot_after,
    });
    if placed {
        edit
    } else {
        edit.with_place_unknown()
    }
}

//! Calls of tools and their results.

use serde_json::Value;

use super::super::desk::Desk;
use super::super::found::short_hash;
use super::super::json::{self, members};
use super::super::state::{Call, State};
use super::command::{command_of, seconds};
use super::edits::{edits, recorded};
use super::events::text_of;
use super::{Scene, output, patch};
use crate::event::Ended;
use crate::{Body, Event};

/// Names under which the versions offer a shell.
const SHELLS: &[&str] = &[
    "shell",
    "container.exec",
    "shell_command",
    "exec_command",
    "local_shell_call",
    "unified_exec",
];

/// At most so many commands are waited for.
const MOST_RUNNING: usize = 32;

/// The name of the tool that asks after a command which goes on.
const ASK: &str = "write_stdin";

/// The events of an item of the conversation that is a call or a result.
pub(super) fn events(desk: &mut Desk<'_>, scene: &Scene<'_>, kind: &str) -> Vec<Event> {
    let payload = &scene.payload;
    match kind {
        "function_call" => {
            let arguments = json::text(payload.arguments)
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_else(|| desk.value(payload.arguments));
            call(desk, scene, json::string(payload.name), arguments)
        }
        "custom_tool_call" => {
            let input = json::text(payload.input).map_or(Value::Null, |input| Value::from(&*input));
            call(desk, scene, json::string(payload.name), input)
        }
        "local_shell_call" => {
            let action = desk.value(payload.action);
            call(desk, scene, kind.to_owned(), action)
        }
        "web_search_call" => search(scene),
        "function_call_output" | "custom_tool_call_output" | "local_shell_call_output" => {
            result(desk, scene)
        }
        other => {
            desk.report.unknown(&format!("response_item/{other}"));
            Vec::new()
        }
    }
}

fn call(desk: &mut Desk<'_>, scene: &Scene<'_>, name: String, arguments: Value) -> Vec<Event> {
    let payload = &scene.payload;
    let id = json::said(payload.call)
        .or_else(|| json::said(payload.id))
        .unwrap_or_default();
    let size = [payload.arguments, payload.input, payload.action]
        .into_iter()
        .flatten()
        .map(|raw| raw.get().len())
        .sum();
    let mut call = Call {
        id: id.clone().into_owned(),
        record: id.into_owned(),
        name,
        arguments,
        size,
        at: scene.at,
        actor: crate::Actor::Agent,
        parent: None,
        told: false,
    };
    if desk
        .state(scene.key)
        .codex
        .done
        .contains(&short_hash(&[&call.id]))
    {
        return Vec::new();
    }
    let mut events = Vec::new();
    if !is_paired(&call) {
        let arguments = call.arguments.take();
        let name = call.name.clone();
        let mut event = call.event(Body::ToolCall { name, arguments });
        event.id = format!("{}#call", call.id);
        events.push(event);
        call.told = true;
        call.size = 0;
    }
    let state = desk.state(scene.key);
    if let Some(forgotten) = state.wait(call) {
        events.extend(unanswered(state, forgotten));
    }
    events
}

/// Whether a call and its result are one event.
fn is_paired(call: &Call) -> bool {
    SHELLS.contains(&&*call.name)
        || matches!(
            &*call.name,
            ASK | "apply_patch" | "read_file" | "grep_files"
        )
}

fn search(scene: &Scene<'_>) -> Vec<Event> {
    let action = json::value(scene.payload.action).unwrap_or(Value::Null);
    let query = ["query", "url", "pattern"]
        .iter()
        .find_map(|name| action.get(name)?.as_str());
    let mut event = scene.event(Body::Search {
        query: query.unwrap_or("").to_owned(),
        path: None,
        results: None,
    });
    event.extra.insert("where".to_owned(), Value::from("web"));
    vec![event]
}

/// A result as the conversation has it: a text, or parts of one.
fn result(desk: &mut Desk<'_>, scene: &Scene<'_>) -> Vec<Event> {
    members!(
        /// The first form that was not only a text.
        Wrapped {
            content = "content",
            success = "success",
        }
    );
    let raw = scene.payload.output;
    let (text, success) = match json::object::<Wrapped<'_>>(raw) {
        Some(wrapped) => (text_of(wrapped.content), json::flag(wrapped.success)),
        None => (text_of(raw), None),
    };
    let read = output::read(&text);
    let success = success.or(read.exit_code.map(|code| code == 0));
    answer(
        desk,
        scene,
        Answer {
            read,
            text,
            success,
            diffs: Vec::new(),
        },
    )
}

/// A result as the tool's own event has it, which tells more.
pub(super) fn ended(desk: &mut Desk<'_>, scene: &Scene<'_>, kind: &str) -> Vec<Event> {
    let payload = &scene.payload;
    if kind == "patch_apply_end" {
        let text = json::string(payload.stderr);
        let success = json::flag(payload.success);
        let diffs = recorded(desk, scene);
        return answer(
            desk,
            scene,
            Answer {
                read: output::read(""),
                text,
                success,
                diffs,
            },
        );
    }
    let text = json::said(payload.aggregated).map_or_else(
        || [payload.stdout, payload.stderr].map(json::string).concat(),
        Into::into,
    );
    let exit_code = json::int(payload.exit_code);
    let read = output::Output {
        exit_code,
        seconds: seconds(payload.duration),
        timed_out: exit_code == Some(124) && text.contains("timed out after"),
        text: text.clone(),
        running: None,
    };
    let success = exit_code.map(|code| code == 0);
    answer(
        desk,
        scene,
        Answer {
            read,
            text,
            success,
            diffs: Vec::new(),
        },
    )
}

/// What came of a call.
struct Answer {
    read: output::Output,
    text: String,
    success: Option<bool>,
    /// The changes as they were made, if the record has them.
    diffs: Vec<patch::Change>,
}

/// Puts a result to its call. Of two results of one call the first is taken.
fn answer(desk: &mut Desk<'_>, scene: &Scene<'_>, answer: Answer) -> Vec<Event> {
    let id = json::string(scene.payload.call);
    let state = desk.state(scene.key);
    let is_new = id.is_empty() || state.codex.done.insert(short_hash(&[&id]));
    if !is_new {
        return Vec::new();
    }
    let Some(call) = state.answered(&id) else {
        let mut event = scene.event(Body::ToolResult {
            name: None,
            content: answer.text,
            is_error: answer.success.map(|success| !success),
        });
        event.tool_call_id = Some(id.clone()).filter(|id| !id.is_empty());
        event.id = id;
        return vec![event];
    };
    if call.told {
        let mut event = Event {
            timestamp: scene.at.or(call.at),
            ..call.event(Body::ToolResult {
                name: Some(call.name.clone()),
                content: answer.text,
                is_error: answer.success.map(|success| !success),
            })
        };
        event.id = id;
        return vec![event];
    }
    if call.name == ASK {
        return asked(state, scene, &call, &answer);
    }
    match patched(state, &call, &answer) {
        Some(events) => events,
        None => vec![finished(state, scene, &call, answer)]
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// The edits of a call that patches files; `None` if it does not.
fn patched(state: &State, call: &Call, answer: &Answer) -> Option<Vec<Event>> {
    let changes = patch_of(call)?;
    if answer.success == Some(false) {
        let text = if answer.read.text.is_empty() {
            &answer.text
        } else {
            &answer.read.text
        };
        let mut event = call.event(Body::Error {
            message: format!("apply_patch: {}", text.trim()),
        });
        event.id.clone_from(&call.id);
        return Some(vec![event]);
    }
    let changes = if answer.diffs.is_empty() {
        changes
    } else {
        answer.diffs.clone()
    };
    Some(edits(state, call, changes))
}

/// The changes that a call asks for.
fn patch_of(call: &Call) -> Option<Vec<patch::Change>> {
    if call.name == "apply_patch" {
        let text = call
            .arguments
            .as_str()
            .or_else(|| call.first(&["input", "patch"]))?;
        return patch::changes(text);
    }
    let command = SHELLS
        .contains(&&*call.name)
        .then(|| command_of(&call.arguments))?;
    command
        .contains("apply_patch")
        .then(|| patch::changes(&command))?
}

/// The event of a command, or of reading and searching, with what came of it.
fn finished(state: &mut State, scene: &Scene<'_>, call: &Call, answer: Answer) -> Option<Event> {
    let mut event = match &*call.name {
        "read_file" => call.event(Body::FileOpen {
            file_path: state
                .roots
                .relative(call.first(&["file_path", "path"]).unwrap_or("")),
        }),
        "grep_files" => call.event(Body::Search {
            query: call.text("pattern").unwrap_or("").to_owned(),
            path: call.text("path").map(|path| state.roots.relative(path)),
            results: Some(answer.text),
        }),
        "apply_patch" => call.event(Body::ToolResult {
            name: Some(call.name.clone()),
            content: answer.text,
            is_error: answer.success.map(|success| !success),
        }),
        _ => {
            let took = answer
                .read
                .seconds
                .map(|seconds| (seconds.max(0.0) * 1e3).round() as u64);
            let took = took.or_else(|| {
                let took = scene.at?.signed_duration_since(call.at?);
                u64::try_from(took.num_milliseconds()).ok()
            });
            let ended = answer.read.timed_out.then_some(Ended::TimedOut);
            command(
                state,
                call,
                answer.read.exit_code,
                answer.read.text,
                took,
                ended,
            )
        }
    };
    event.id.clone_from(&call.id);
    if let Some(number) = answer.read.running {
        // Whoever asks after it will be told how it ends.
        let running = &mut state.codex.running;
        running.push((number, event));
        // Nobody asks after more at once.
        return (running.len() > MOST_RUNNING).then(|| gone_on(running.remove(0).1));
    }
    Some(event)
}

fn command(
    state: &State,
    call: &Call,
    exit_code: Option<i64>,
    output: String,
    duration_ms: Option<u64>,
    ended: Option<Ended>,
) -> Event {
    let folder = call.first(&["workdir", "working_directory", "cwd"]);
    call.event(Body::TerminalCommand {
        command: command_of(&call.arguments),
        exit_code,
        output,
        duration_ms,
        cwd: state.roots.folder(folder),
        ended,
    })
}

/// The end of a command that went on, or what it has printed since.
fn asked(state: &mut State, scene: &Scene<'_>, call: &Call, answer: &Answer) -> Vec<Event> {
    let number = call.arguments.get("session_id").and_then(Value::as_i64);
    let at = state
        .codex
        .running
        .iter()
        .rposition(|(running, _)| Some(*running) == number);
    let Some(at) = at else {
        let mut event = call.event(Body::ToolResult {
            name: Some(call.name.clone()),
            content: answer.text.clone(),
            is_error: None,
        });
        event.id.clone_from(&call.id);
        return vec![event];
    };
    let goes_on = answer.read.running.is_some() || answer.read.exit_code.is_none();
    let (_, event) = &mut state.codex.running[at];
    let began = event.timestamp;
    if let Body::TerminalCommand {
        exit_code,
        output,
        duration_ms,
        ..
    } = &mut event.body
    {
        output.push_str(&answer.read.text);
        *exit_code = answer.read.exit_code;
        if let (Some(now), Some(began)) = (scene.at, began) {
            *duration_ms = u64::try_from(now.signed_duration_since(began).num_milliseconds()).ok();
        }
    }
    if goes_on {
        return Vec::new();
    }
    vec![state.codex.running.remove(at).1]
}

/// The events of a call that nothing answered: what was asked for, and nothing of how it went.
pub(crate) fn unanswered(state: &State, call: Call) -> Vec<Event> {
    let mut events = if call.told || call.name == ASK {
        Vec::new()
    } else if let Some(changes) = patch_of(&call) {
        edits(state, &call, changes)
    } else if SHELLS.contains(&&*call.name) {
        let mut event = command(state, &call, None, String::new(), None, None);
        event.id.clone_from(&call.id);
        vec![event]
    } else {
        call.unanswered().into_iter().collect()
    };
    for event in &mut events {
        event
            .extra
            .insert("unanswered".to_owned(), Value::Bool(true));
    }
    events
}

/// Commands of which nobody learnt how they ended.
pub(crate) fn left_over(state: &mut State) -> Vec<Event> {
    let running = std::mem::take(&mut state.codex.running);
    running
        .into_iter()
        .map(|(_, event)| gone_on(event))
        .collect()
}

/// A command of which nobody learnt how it ended.
fn gone_on(mut event: Event) -> Event {
    if let Body::TerminalCommand { ended, .. } = &mut event.body {
        *ended = Some(Ended::Background);
    }
    event
}

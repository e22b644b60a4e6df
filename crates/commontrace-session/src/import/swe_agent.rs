//! SWE-agent: one document with the steps, and with the conversation that they were made in.
//!
//! It has no id, no times and no exit codes. Steps carry a copy of the whole prompt, which is kept with the
//! record and never becomes events.

mod editor;

use serde_json::Value;
use serde_json::value::RawValue;

use super::desk::{Desk, Identity};
use super::document::Document;
use super::found::{SessionKey, short_hash};
use super::json::{self, members};
use super::paths::Roots;
use super::tools::{self, Used};
use super::{Format, ImportError};
use crate::{Actor, Body, Event, diff};
use editor::{Editor, editor_arguments, refused};

members!(
    /// The document.
    Whole {
        trajectory = "trajectory",
        history = "history",
        info = "info",
        environment = "environment",
        replay = "replay_config",
    }
);

members!(
    /// A step, or an item of the conversation.
    Step {
        role = "role",
        content = "content",
        response = "response",
        thought = "thought",
        action = "action",
        observation = "observation",
        state = "state",
        took = "execution_time",
        demo = "is_demo",
        kind = "message_type",
    }
);

members!(
    /// How it went.
    Info {
        stats = "model_stats",
        submission = "submission",
        status = "exit_status",
        edited = "edited_files",
    }
);

members!(
    /// What it cost.
    Stats {
        sent = "tokens_sent",
        received = "tokens_received",
    }
);

/// Reads a document.
pub(crate) fn read(document: &Document, desk: &mut Desk<'_>) -> Result<(), ImportError> {
    let Some(whole) = json::object::<Whole<'_>>(document.whole()) else {
        desk.report
            .bad(1, 0, "no object, or one with a member twice");
        return Ok(());
    };
    let history = json::items(whole.history);
    let steps = json::items(whole.trajectory);
    // A file that grows keeps its start, and another run of the same task has another first step.
    let mut words: Vec<&str> = history.iter().take(2).map(|item| item.get()).collect();
    words.extend(steps.first().map(|step| step.get()));
    words.extend(whole.environment.map(RawValue::get));
    let key = SessionKey {
        format: Format::SweAgent.name(),
        id: format!("{:032x}", short_hash(&words)).into(),
    };
    header(desk, &key, &whole);
    document.rest(desk, &key, &["trajectory", "history"])?;
    let mut memory = Editor::default();
    if steps.is_empty() {
        return conversation(document, desk, &key, &history, &mut memory);
    }
    for item in &history {
        let step: Step<'_> = json::object(Some(item)).unwrap_or_default();
        if json::text(step.role).as_deref() == Some("assistant") {
            break;
        }
        prompt(document, desk, &key, item, step)?;
    }
    for raw in steps {
        let step: Step<'_> = json::object(Some(raw)).unwrap_or_default();
        let observation = json::text(step.observation).map(|text| text.replace("\r\n", "\n"));
        document.item(desk, &key, Identity::Content, ("step", raw.get()), |desk| {
            acted(desk, &key, step, observation.as_deref(), &mut memory)
        })?;
    }
    Ok(())
}

fn header(desk: &mut Desk<'_>, key: &SessionKey, whole: &Whole<'_>) {
    let info: Info<'_> = json::object(whole.info).unwrap_or_default();
    let stats: Stats<'_> = json::object(info.stats).unwrap_or_default();
    let state = desk.state(key);
    for (kind, member) in [
        ("input_tokens", stats.sent),
        ("output_tokens", stats.received),
    ] {
        if let Some(count) = json::int(member).and_then(|count| u64::try_from(count).ok()) {
            state.usage.insert(kind, count);
        }
    }
    let model = json::text(whole.replay)
        .and_then(|replay| serde_json::from_str::<Value>(&replay).ok())
        .and_then(|replay| {
            Some(
                replay
                    .get("agent")?
                    .get("model")?
                    .get("name")?
                    .as_str()?
                    .to_owned(),
            )
        });
    if let Some(model) = model {
        state.saw_model(&model);
    }
    let extra = &mut desk.header(key).extra;
    let members = [
        ("environment", whole.environment),
        ("exit_status", info.status),
        ("submission", info.submission),
        ("model_stats", info.stats),
        ("edited_files", info.edited),
    ];
    for (name, member) in members {
        if let Some(value) = json::value(member).filter(|value| !value.is_null()) {
            extra.insert(name.to_owned(), value);
        }
    }
}

/// What stands before the first step: the rules and the task. Examples of other sessions are left out.
fn prompt(
    document: &Document,
    desk: &mut Desk<'_>,
    key: &SessionKey,
    raw: &RawValue,
    step: Step<'_>,
) -> Result<(), ImportError> {
    if json::flag(step.demo) == Some(true)
        || json::text(step.kind).as_deref() == Some("demonstration")
    {
        desk.report
            .skip("an example that was planted in the prompt");
        return Ok(());
    }
    let actor = match json::text(step.role).as_deref() {
        Some("system") => Actor::System,
        _ => Actor::Human,
    };
    document.item(desk, key, Identity::Content, ("history", raw.get()), |_| {
        let content = content(step);
        vec![Event {
            actor,
            ..Event::new(Body::UserMessage { content })
        }]
    })
}

/// The text of an item: a text, or parts of one.
fn content(step: Step<'_>) -> String {
    members!(
        /// A part.
        Part { text = "text" }
    );
    if let Some(text) = json::text(step.content) {
        return text.into_owned();
    }
    let parts = json::objects::<Part<'_>>(step.content);
    parts
        .into_iter()
        .map(|part| json::string(part.text))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Reads a conversation without steps, as demonstrations are.
fn conversation(
    document: &Document,
    desk: &mut Desk<'_>,
    key: &SessionKey,
    history: &[&RawValue],
    memory: &mut Editor,
) -> Result<(), ImportError> {
    let mut items = history.iter().peekable();
    while let Some(raw) = items.next() {
        let step: Step<'_> = json::object(Some(raw)).unwrap_or_default();
        if json::text(step.role).as_deref() != Some("assistant") {
            prompt(document, desk, key, raw, step)?;
            continue;
        }
        let answer = items.next_if(|next| {
            let next: Step<'_> = json::object(Some(next)).unwrap_or_default();
            matches!(json::text(next.role).as_deref(), Some("user" | "tool"))
        });
        let observation = answer
            .map(|raw| content(json::object(Some(raw)).unwrap_or_default()).replace("\r\n", "\n"));
        document.item(
            desk,
            key,
            Identity::Content,
            ("history", raw.get()),
            |desk| acted(desk, key, step, observation.as_deref(), memory),
        )?;
        if let Some(raw) = answer {
            document.item(desk, key, Identity::Content, ("history", raw.get()), |_| {
                Vec::new()
            })?;
        }
    }
    Ok(())
}

fn acted(
    desk: &mut Desk<'_>,
    key: &SessionKey,
    step: Step<'_>,
    observation: Option<&str>,
    memory: &mut Editor,
) -> Vec<Event> {
    let thought =
        json::said(step.thought).map_or_else(String::new, |thought| thought.trim().to_owned());
    let action = json::string(step.action);
    let action = action.trim();
    let took = json::float(step.took).map(|seconds| (seconds.max(0.0) * 1e3).round() as u64);
    let mut events = Vec::new();
    if !thought.is_empty() {
        let mut event = Event::new(Body::ReasoningStep { content: thought });
        event.extra.insert("kind".to_owned(), Value::from("text"));
        events.push(event);
    } else if action.is_empty() {
        let content =
            json::said(step.response).map_or_else(|| content(step), std::borrow::Cow::into_owned);
        if !content.trim().is_empty() {
            events.push(Event::new(Body::ReasoningStep { content }));
        }
    }
    if let Some(folder) = memory.opened(step) {
        desk.state(key).saw_folder(&folder);
    }
    if !action.is_empty() {
        let roots = &desk.state(key).roots;
        events.extend(done(roots, action, observation.unwrap_or(""), took, memory));
    }
    memory.see(observation.unwrap_or(""));
    events
}

/// What came of an action.
fn done(
    roots: &Roots,
    action: &str,
    observation: &str,
    took: Option<u64>,
    memory: &Editor,
) -> Vec<Event> {
    let (first, rest) = action
        .split_once(char::is_whitespace)
        .unwrap_or((action, ""));
    let argument = rest.trim().trim_matches(['"', '\'']);
    let body = match first {
        "open" if !argument.is_empty() => {
            let path = argument.split_whitespace().next().unwrap_or("");
            Body::FileOpen {
                file_path: roots.relative(path),
            }
        }
        "find_file" | "search_dir" | "search_file" => Body::Search {
            query: argument.to_owned(),
            path: None,
            results: Some(observation.to_owned()),
        },
        "edit" => match memory.edit(rest, roots) {
            Some(edit) if refused(observation) => Body::Error {
                message: format!("edit {}: {}", edit.path, observation.trim()),
            },
            Some(edit) => return vec![edit.event()],
            None => tool(first, argument, observation),
        },
        "str_replace_editor" => {
            let used = Used {
                name: first,
                arguments: &editor_arguments(rest),
                answer: Some(observation),
                duration_ms: took,
            };
            return tools::events(&used, roots);
        }
        "goto" | "scroll_down" | "scroll_up" | "submit" | "exit_forfeit" => {
            tool(first, argument, observation)
        }
        "create" if !argument.is_empty() => Body::CodeEdit {
            file_path: roots.relative(argument),
            diff: diff::between(&roots.relative(argument), None, Some("\n")),
            snapshot_after: None,
        },
        _ => Body::TerminalCommand {
            command: action.to_owned(),
            exit_code: None,
            output: observation.to_owned(),
            duration_ms: took,
            cwd: None,
            ended: None,
        },
    };
    vec![Event::new(body)]
}

fn tool(name: &str, argument: &str, observation: &str) -> Body {
    Body::ToolResult {
        name: Some(format!("{name} {argument}").trim().to_owned()),
        content: observation.to_owned(),
        is_error: None,
    }
}

//! mini-swe-agent: a list of messages, with or without an object around it.
//!
//! A command stands in a fenced block or in the message's `extra`, and its result in a later message, with
//! the exit code.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use super::desk::{Desk, Identity};
use super::document::Document;
use super::found::{SessionKey, short_hash};
use super::json::{self, members};
use super::{Format, ImportError};
use crate::{Actor, Body, Event};

members!(
    /// The document, if it is no bare list.
    Whole {
        messages = "messages",
        info = "info",
        version = "trajectory_format",
    }
);

members!(
    /// A message.
    Message {
        role = "role",
        content = "content",
        extra = "extra",
        calls = "tool_calls",
        call = "tool_call_id",
    }
);

members!(
    /// What the agent notes of a message.
    Extra {
        actions = "actions",
        code = "returncode",
        at = "timestamp",
        status = "exit_status",
        output = "raw_output",
    }
);

members!(
    /// A command.
    Action {
        command = "command",
        call = "tool_call_id",
    }
);

members!(
    /// A call of a tool.
    ToolCall { id = "id", function = "function" }
);

members!(
    /// What was called.
    Function { arguments = "arguments" }
);

members!(
    /// How it went.
    Info {
        stats = "model_stats",
        status = "exit_status",
        submission = "submission",
        version = "mini_version",
        config = "config",
    }
);

/// Fences of commands.
const FENCES: &[&str] = &["```mswea_bash_command", "```bash", "```sh"];

/// A command whose result is to come.
struct Pending {
    command: String,
    call: Option<String>,
    at: Option<DateTime<Utc>>,
}

/// Reads a document.
pub(crate) fn read(document: &Document, desk: &mut Desk<'_>) -> Result<(), ImportError> {
    let whole: Whole<'_> = json::object(document.whole()).unwrap_or_default();
    let mut messages = json::items(whole.messages);
    if messages.is_empty() {
        messages = json::items(document.whole());
    }
    // A run that grows keeps its start, and another run of the same task has another first answer.
    let words: Vec<&str> = messages
        .iter()
        .take(3)
        .map(|message| message.get())
        .collect();
    if words.is_empty() {
        desk.report.bad(1, 0, "without messages");
        return Ok(());
    }
    let key = SessionKey {
        format: Format::MiniSweAgent.name(),
        id: format!("{:032x}", short_hash(&words)).into(),
    };
    header(desk, &key, &whole);
    document.rest(desk, &key, &["messages"])?;
    let mut pending = VecDeque::new();
    let mut asked = false;
    for raw in messages {
        document.item(
            desk,
            &key,
            Identity::Content,
            ("message", raw.get()),
            |desk| events(desk, &key, raw, &mut pending, &mut asked),
        )?;
    }
    // The last command submits, and nothing answers it.
    let left: Vec<Event> = pending
        .into_iter()
        .map(|pending| command(pending, None, String::new(), None))
        .collect();
    let last = format!("{:032x}", short_hash(&[&key.id, "unanswered"]));
    if !left.is_empty() {
        desk.write_late(&key, &last, left);
    }
    Ok(())
}

fn header(desk: &mut Desk<'_>, key: &SessionKey, whole: &Whole<'_>) {
    let info: Info<'_> = json::object(whole.info).unwrap_or_default();
    let state = desk.state(key);
    let model = json::value(info.config)
        .and_then(|config| Some(config.get("model")?.get("model_name")?.as_str()?.to_owned()));
    if let Some(model) = model {
        state.saw_model(&model);
    }
    let header = desk.header(key);
    header.tool_version = json::said(info.version)
        .map(Into::into)
        .or(header.tool_version.take());
    let members = [
        ("exit_status", info.status),
        ("submission", info.submission),
        ("model_stats", info.stats),
        ("trajectory_format", whole.version),
    ];
    for (name, member) in members {
        if let Some(value) = json::value(member).filter(|value| !value.is_null()) {
            header.extra.insert(name.to_owned(), value);
        }
    }
}

fn events(
    desk: &mut Desk<'_>,
    key: &SessionKey,
    raw: &RawValue,
    pending: &mut VecDeque<Pending>,
    asked: &mut bool,
) -> Vec<Event> {
    let message: Message<'_> = json::object(Some(raw)).unwrap_or_default();
    let extra: Extra<'_> = json::object(message.extra).unwrap_or_default();
    let at = json::time(extra.at);
    let content = text_of(message);
    let by = |actor, body| {
        vec![Event {
            actor,
            timestamp: at,
            ..Event::new(body)
        }]
    };
    if let Some(at) = at {
        desk.state(key).saw_time(at);
    }
    match json::text(message.role).as_deref() {
        Some("assistant") => answered(message, extra, &content, at, pending),
        Some("system") => by(Actor::System, Body::UserMessage { content }),
        Some("user" | "tool" | "exit") => {
            let code =
                json::int(extra.code).or_else(|| tag(&content, "returncode")?.trim().parse().ok());
            let is_result = code.is_some() || message.call.is_some();
            if !pending.is_empty() && is_result {
                let call = json::text(message.call);
                let named = pending.iter().position(|pending| {
                    call.is_some() && pending.call.as_deref() == call.as_deref()
                });
                let output = json::text(extra.output)
                    .map(Into::into)
                    .or_else(|| {
                        tag(&content, "output")
                            .map(|output| output.trim_start_matches('\n').to_owned())
                    })
                    .unwrap_or(content);
                return pending
                    .remove(named.unwrap_or(0))
                    .map(|pending| command(pending, code, output, at))
                    .into_iter()
                    .collect();
            }
            if content.trim().is_empty() {
                return Vec::new();
            }
            if json::said(extra.status).is_some() {
                return by(
                    Actor::System,
                    Body::ToolResult {
                        name: Some("submit".to_owned()),
                        content,
                        is_error: None,
                    },
                );
            }
            // The first message is the task; later ones are the tool's own.
            let first = !std::mem::replace(asked, true);
            by(
                if first { Actor::Human } else { Actor::System },
                Body::UserMessage { content },
            )
        }
        other => {
            desk.report.unknown(other.unwrap_or("message without role"));
            Vec::new()
        }
    }
}

/// What the model said, and the commands that it wants to be run.
fn answered(
    message: Message<'_>,
    extra: Extra<'_>,
    content: &str,
    at: Option<DateTime<Utc>>,
    pending: &mut VecDeque<Pending>,
) -> Vec<Event> {
    let mut commands: Vec<Pending> = Vec::new();
    let mut said = content.trim().to_owned();
    let fenced = FENCES.iter().find_map(|fence| {
        let (before, rest) = content.split_once(fence)?;
        let (command, after) = rest.strip_prefix('\n')?.split_once("\n```")?;
        Some((before, command, after))
    });
    for action in json::objects::<Action<'_>>(extra.actions) {
        commands.push(Pending {
            command: json::string(action.command),
            call: json::said(action.call).map(Into::into),
            at,
        });
    }
    if commands.is_empty() {
        for call in json::objects::<ToolCall<'_>>(message.calls) {
            let function: Function<'_> = json::object(call.function).unwrap_or_default();
            let arguments = json::text(function.arguments)
                .and_then(|text| serde_json::from_str::<Value>(&text).ok())
                .or_else(|| json::value(function.arguments));
            let command = arguments
                .as_ref()
                .and_then(|arguments| arguments.get("command")?.as_str());
            commands.push(Pending {
                command: command.unwrap_or("").to_owned(),
                call: json::said(call.id).map(Into::into),
                at,
            });
        }
    }
    if let Some((before, command, after)) = fenced {
        said = format!("{}\n{}", before.trim(), after.trim())
            .trim()
            .to_owned();
        if commands.is_empty() {
            commands.push(Pending {
                command: command.to_owned(),
                call: None,
                at,
            });
        }
    }
    pending.extend(commands);
    if said.is_empty() {
        return Vec::new();
    }
    let mut event = Event {
        timestamp: at,
        ..Event::new(Body::ReasoningStep { content: said })
    };
    event.extra.insert("kind".to_owned(), Value::from("text"));
    vec![event]
}

fn command(
    pending: Pending,
    exit_code: Option<i64>,
    output: String,
    end: Option<DateTime<Utc>>,
) -> Event {
    let took = end.zip(pending.at).and_then(|(end, start)| {
        u64::try_from(end.signed_duration_since(start).num_milliseconds()).ok()
    });
    Event {
        timestamp: pending.at,
        tool_call_id: pending.call,
        ..Event::new(Body::TerminalCommand {
            command: pending.command,
            exit_code,
            output,
            duration_ms: took,
            cwd: None,
            ended: None,
        })
    }
}

/// The text of a message: a text, or parts of one.
fn text_of(message: Message<'_>) -> String {
    members!(
        /// A part.
        Part { text = "text" }
    );
    if let Some(text) = json::text(message.content) {
        return text.into_owned();
    }
    let parts = json::objects::<Part<'_>>(message.content);
    parts
        .into_iter()
        .map(|part| json::string(part.text))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What stands between `<name>` and the last `</name>`.
fn tag<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inside, _) = rest.rsplit_once(&format!("</{name}>"))?;
    Some(inside)
}

//! Lines of the model: thoughts, words to the person, calls of tools.

use serde_json::{Value, json};

use super::super::desk::Desk;
use super::super::json;
use super::super::state::Call;
use super::{Block, Message, Scene};
use crate::{Actor, Body, Event};

use super::super::json::members;

members!(
    /// What a message used, in tokens.
    Usage {
        input = "input_tokens",
        output = "output_tokens",
        created = "cache_creation_input_tokens",
        read = "cache_read_input_tokens",
    }
);

/// Tools whose call and result are one event.
const PAIRED: &[&str] = &[
    "Bash",
    "Read",
    "Edit",
    "MultiEdit",
    "Write",
    "NotebookEdit",
    "Grep",
    "Glob",
    "LS",
    "WebSearch",
];

/// What the model is called where there was none: the tool wrote the message itself.
const NO_MODEL: &str = "<synthetic>";

/// The events of a line of the model.
pub(super) fn events(desk: &mut Desk<'_>, scene: &Scene<'_>) -> Vec<Event> {
    let Some(message) = json::object::<Message<'_>>(scene.line.message) else {
        return Vec::new();
    };
    let model = json::said(message.model).unwrap_or_default();
    let failed = json::flag(scene.line.api_error) == Some(true) || model == NO_MODEL;
    if !failed && !model.is_empty() && scene.agent.is_none() {
        desk.state(scene.key).saw_model(&model);
    }
    let mut events = Vec::new();
    let blocks = json::objects::<Block<'_>>(message.content);
    if blocks.is_empty()
        && let Some(text) = json::said(message.content)
    {
        events.push(said(scene, &text, failed));
    }
    for block in blocks {
        match json::text(block.kind).as_deref() {
            Some("text") => {
                events.extend(json::said(block.text).map(|text| said(scene, &text, failed)));
            }
            Some("thinking") => {
                events.extend(json::said(block.thinking).map(|text| {
                    let mut event = scene.event(Body::ReasoningStep {
                        content: text.into_owned(),
                    });
                    event
                        .extra
                        .insert("kind".to_owned(), Value::from("thinking"));
                    event
                }));
            }
            Some("tool_use" | "server_tool_use") => call(desk, scene, block, &mut events),
            _ => {}
        }
    }
    let id = json::id(message.id);
    for event in &mut events {
        if let Some(id) = &id {
            event
                .extra
                .insert("message_id".to_owned(), Value::from(&**id));
        }
    }
    usage(desk, scene, id.as_deref(), message, &mut events);
    events
}

/// What was said, or why the model's service said nothing.
fn said(scene: &Scene<'_>, text: &str, failed: bool) -> Event {
    let content = text.to_owned();
    if failed {
        return Event {
            actor: Actor::System,
            ..scene.event(Body::Error { message: content })
        };
    }
    let mut event = scene.event(Body::ReasoningStep { content });
    event.extra.insert("kind".to_owned(), Value::from("text"));
    event
}

fn call(desk: &mut Desk<'_>, scene: &Scene<'_>, block: Block<'_>, events: &mut Vec<Event>) {
    let name = json::string(block.name);
    let arguments = desk.value(block.input);
    let mut call = Call {
        id: json::string(block.id),
        record: scene.uuid.clone(),
        size: block.input.map_or(0, |input| input.get().len()),
        name,
        arguments,
        at: scene.at,
        actor: scene.actor(),
        parent: scene.parent.clone(),
        told: false,
    };
    if !PAIRED.contains(&&*call.name) {
        let arguments = call.arguments.take();
        let name = call.name.clone();
        events.push(call.event(Body::ToolCall { name, arguments }));
        call.told = true;
        call.size = 0;
    }
    let forgotten = desk.state(scene.key).wait(call);
    events.extend(forgotten.and_then(Call::unanswered));
}

/// Counts what a message used: once for each message, though several lines may tell it.
fn usage(
    desk: &mut Desk<'_>,
    scene: &Scene<'_>,
    id: Option<&str>,
    message: Message<'_>,
    events: &mut [Event],
) {
    let Some(usage) = json::object::<Usage<'_>>(message.usage) else {
        return;
    };
    let count = |member| {
        json::int(member)
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or(0)
    };
    let used = [usage.input, usage.output, usage.created, usage.read].map(count);
    let state = desk.state(scene.key);
    let (more, new) = match id {
        Some(id) => state.claude.used_more(id, used, events.len()),
        None => (used, true),
    };
    let kinds = [
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ];
    for (kind, count) in kinds.into_iter().zip(more) {
        state.used(kind, count);
    }
    if new
        && used.iter().any(|count| *count > 0)
        && let Some(event) = events.first_mut()
    {
        let [input, output, created, read] = used;
        event.extra.insert(
            "usage".to_owned(),
            json!({
                "input_tokens": input,
                "output_tokens": output,
                "cache_creation_input_tokens": created,
                "cache_read_input_tokens": read,
            }),
        );
    }
}

//! A message: what was said, thought and called.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::OWN_SESSION_MARK;
use super::super::desk::Desk;
use super::super::found::SessionKey;
use super::super::json::{self, Member, members};
use super::calls;
use crate::{Actor, Body, Event};

members!(
    /// A message.
    Message {
        id = "id",
        at = "timestamp",
        kind = "type",
        content = "content",
        shown = "displayContent",
        model = "model",
        thoughts = "thoughts",
        tokens = "tokens",
        calls = "toolCalls",
    }
);

members!(
    /// A thought.
    Thought {
        subject = "subject",
        description = "description",
        at = "timestamp",
    }
);

members!(
    /// Tokens of a message.
    Tokens {
        input = "input",
        output = "output",
        cached = "cached",
        thoughts = "thoughts",
        tool = "tool",
    }
);

members!(
    /// A part of a message.
    Part { text = "text" }
);

/// A message's place.
pub(super) struct Scene<'s> {
    pub(super) key: &'s SessionKey,
    pub(super) id: &'s str,
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) actor: Actor,
}

impl Scene<'_> {
    fn event(&self, id: String, body: Body) -> Event {
        Event {
            id,
            timestamp: self.at,
            actor: self.actor.clone(),
            ..Event::new(body)
        }
    }
}

/// What a message says and does.
pub(super) fn events(desk: &mut Desk<'_>, scene: &Scene<'_>, message: Message<'_>) -> Vec<Event> {
    let content = text_of(message.content);
    let whole = |actor: Actor, body| Event {
        actor,
        ..scene.event(scene.id.to_owned(), body)
    };
    match json::text(message.kind).as_deref() {
        Some("user") => {
            let shown = text_of(message.shown);
            let content = if shown.trim().is_empty() {
                content
            } else {
                shown
            };
            if content.trim().is_empty() {
                return Vec::new();
            }
            if content.trim_start().starts_with(OWN_SESSION_MARK) && scene.actor == Actor::Agent {
                desk.disown(scene.key);
                return Vec::new();
            }
            let actor = if scene.actor == Actor::Agent {
                Actor::Human
            } else {
                Actor::Agent
            };
            vec![whole(actor, Body::UserMessage { content })]
        }
        Some("gemini") => model(desk, scene, message, content),
        Some("error") => vec![whole(Actor::System, Body::Error { message: content })],
        Some("info" | "warning") => Vec::new(),
        other => {
            desk.report.unknown(other.unwrap_or("message without type"));
            Vec::new()
        }
    }
}

/// What the model thought, said and did.
fn model(
    desk: &mut Desk<'_>,
    scene: &Scene<'_>,
    message: Message<'_>,
    content: String,
) -> Vec<Event> {
    let mut events = Vec::new();
    for (number, thought) in json::objects::<Thought<'_>>(message.thoughts)
        .into_iter()
        .enumerate()
    {
        let parts = [json::said(thought.subject), json::said(thought.description)];
        let content = parts.into_iter().flatten().collect::<Vec<_>>().join("\n");
        if content.is_empty() {
            continue;
        }
        let mut event = scene.event(
            format!("{}#thought{number}", scene.id),
            Body::ReasoningStep { content },
        );
        event.timestamp = json::time(thought.at).or(scene.at);
        event
            .extra
            .insert("kind".to_owned(), Value::from("thinking"));
        events.push(event);
    }
    if !content.trim().is_empty() {
        let mut event = scene.event(scene.id.to_owned(), Body::ReasoningStep { content });
        event.extra.insert("kind".to_owned(), Value::from("text"));
        events.push(event);
    }
    for call in json::objects::<calls::ToolCall<'_>>(message.calls) {
        events.extend(calls::events(desk, scene, call));
    }
    if let Some(model) = json::said(message.model)
        && scene.actor == Actor::Agent
    {
        desk.state(scene.key).saw_model(&model);
    }
    for event in &mut events {
        event
            .extra
            .insert("message_id".to_owned(), Value::from(scene.id));
    }
    if let Some(tokens) = json::object::<Tokens<'_>>(message.tokens)
        && desk.is_new_event(scene.key, &format!("{}#usage", scene.id))
    {
        let count = |member| {
            json::int(member)
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or(0)
        };
        let output = count(tokens.output)
            .saturating_add(count(tokens.thoughts))
            .saturating_add(count(tokens.tool));
        let state = desk.state(scene.key);
        state.used("input_tokens", count(tokens.input));
        state.used("cached_input_tokens", count(tokens.cached));
        state.used("output_tokens", output);
        if let Some(event) = events.first_mut() {
            let usage = json!({
                "input_tokens": count(tokens.input),
                "cached_input_tokens": count(tokens.cached),
                "output_tokens": output,
            });
            event.extra.insert("usage".to_owned(), usage);
        }
    }
    events
}

/// The text of a content: a text, a part, or parts.
fn text_of(content: Member<'_>) -> String {
    if let Some(text) = json::text(content) {
        return text.into_owned();
    }
    let part = |part: Part<'_>| json::text(part.text).map(std::borrow::Cow::into_owned);
    if let Some(one) = json::object::<Part<'_>>(content) {
        return part(one).unwrap_or_default();
    }
    let texts = json::items(content).into_iter().filter_map(|item| {
        json::text(Some(item))
            .map(std::borrow::Cow::into_owned)
            .or_else(|| json::object(Some(item)).and_then(part))
    });
    texts.collect::<Vec<_>>().join("\n")
}

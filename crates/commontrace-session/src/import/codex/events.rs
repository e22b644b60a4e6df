//! What became of a line: messages, thoughts, and what the tool said of itself.

use serde_json::Value;

use super::super::OWN_SESSION_MARK;
use super::super::desk::Desk;
use super::super::json::{self, Member, members};
use super::{Scene, calls, session};
use crate::{Actor, Body, Event};

members!(
    /// A part of a message.
    Part {
        text = "text",
        kind = "type",
    }
);

/// How messages begin that Codex writes in the person's name.
const SCAFFOLDING: &[&str] = &[
    "<environment_context>",
    "<user_instructions>",
    "<permissions instructions>",
    "<collaboration_mode>",
    "<turn_aborted>",
    "<subagent_notification>",
    "<skill>",
    "<INSTRUCTIONS>",
    "<user_shell_command>",
    "# AGENTS.md instructions",
];

/// Events that repeat what the conversation has, or tell nothing of what happened.
const MIRRORS: &[&str] = &[
    "user_message",
    "agent_message",
    "agent_reasoning",
    "agent_reasoning_raw_content",
    "agent_reasoning_section_break",
    "task_started",
    "task_complete",
    "turn_started",
    "turn_complete",
    "context_compacted",
    "web_search_end",
    "mcp_tool_call_begin",
    "mcp_tool_call_end",
    "exec_command_begin",
    "patch_apply_begin",
    "turn_diff",
    "session_configured",
    "thread_name_updated",
    "item_completed",
    "view_image_tool_call",
    "plan_update",
];

/// What a line tells.
pub(super) fn of(desk: &mut Desk<'_>, scene: &Scene<'_>, kind: &str) -> Vec<Event> {
    let payload = &scene.payload;
    let inner = json::text(payload.kind).unwrap_or_default();
    match (kind, &*inner) {
        ("session_meta", _) => {
            session::meta(desk, scene);
            Vec::new()
        }
        ("turn_context", _) => {
            let state = desk.state(scene.key);
            if let Some(folder) = json::said(payload.cwd) {
                state.saw_folder(&folder);
            }
            if let Some(model) = json::said(payload.model) {
                let name = match &state.codex.provider {
                    Some(provider) => format!("{provider}/{model}"),
                    None => model.into_owned(),
                };
                state.saw_model(&name);
            }
            Vec::new()
        }
        ("response_item", "message") => message(desk, scene).into_iter().collect(),
        ("response_item", "reasoning") => reasoning(scene).into_iter().collect(),
        ("response_item", _) => calls::events(desk, scene, &inner),
        ("event_msg", "exec_command_end" | "patch_apply_end") => calls::ended(desk, scene, &inner),
        ("event_msg", "token_count") => {
            session::tokens(desk, scene);
            Vec::new()
        }
        ("event_msg", "turn_aborted") => {
            let reason = json::text(payload.reason).unwrap_or_default();
            let actor = if reason == "interrupted" {
                Actor::Human
            } else {
                Actor::System
            };
            let message = format!("turn aborted: {reason}");
            vec![scene.by(actor, Body::Error { message })]
        }
        ("event_msg", "thread_rolled_back") => vec![session::rollback(desk, scene)],
        ("event_msg", "error" | "stream_error" | "warning") => json::said(payload.message)
            .map(|message| {
                scene.by(
                    Actor::System,
                    Body::Error {
                        message: message.into_owned(),
                    },
                )
            })
            .into_iter()
            .collect(),
        ("event_msg", mirror) if MIRRORS.contains(&mirror) => Vec::new(),
        ("compacted", _) => vec![scene.by(
            Actor::System,
            Body::Compaction {
                summary: json::said(payload.message).map(Into::into),
            },
        )],
        ("state" | "world_state" | "inter_agent_communication", _) => Vec::new(),
        ("event_msg", other) => {
            desk.report.unknown(&format!("event_msg/{other}"));
            Vec::new()
        }
        (other, _) => {
            desk.report.unknown(other);
            Vec::new()
        }
    }
}

/// The texts of a message's parts.
pub(super) fn text_of(content: Member<'_>) -> String {
    if let Some(text) = json::text(content) {
        return text.into_owned();
    }
    let parts: Vec<String> = json::objects::<Part<'_>>(content)
        .into_iter()
        .map(|part| match json::text(part.text) {
            Some(text) => text.into_owned(),
            None => format!("[{}]", json::string(part.kind)),
        })
        .collect();
    parts.join("\n")
}

fn message(desk: &mut Desk<'_>, scene: &Scene<'_>) -> Option<Event> {
    let content = text_of(scene.payload.content);
    let text = content.trim_start();
    if text.is_empty() {
        return None;
    }
    if json::text(scene.payload.role)? == "assistant" {
        let mut event = scene.event(Body::ReasoningStep { content });
        event.extra.insert("kind".to_owned(), Value::from("text"));
        return Some(event);
    }
    let by_person = json::text(scene.payload.role)? == "user";
    if by_person && !SCAFFOLDING.iter().any(|start| text.starts_with(start)) {
        let first = !std::mem::replace(&mut desk.state(scene.key).codex.opened, true);
        if first && text.starts_with(OWN_SESSION_MARK) {
            desk.disown(scene.key);
            return None;
        }
        return Some(scene.by(Actor::Human, Body::UserMessage { content }));
    }
    Some(scene.by(Actor::System, Body::UserMessage { content }))
}

fn reasoning(scene: &Scene<'_>) -> Option<Event> {
    let summary = text_of(scene.payload.summary);
    let content = if summary.trim().is_empty() {
        text_of(scene.payload.content)
    } else {
        summary
    };
    if content.trim().is_empty() {
        return None;
    }
    let mut event = scene.event(Body::ReasoningStep { content });
    event
        .extra
        .insert("kind".to_owned(), Value::from("thinking"));
    Some(event)
}

//! Lines of the person, and what the tool writes in the person's name: results, commands, summaries.

use serde_json::Value;

use super::super::OWN_SESSION_MARK;
use super::super::desk::Desk;
use super::super::json;
use super::{Block, Message, Scene, results};
use crate::{Actor, Body, Event};

/// What the tool writes where a person stopped the agent.
const INTERRUPTED: &str = "[Request interrupted by user";

/// The events of a line of the person.
pub(super) fn events(desk: &mut Desk<'_>, scene: &Scene<'_>) -> Vec<Event> {
    let Some(message) = json::object::<Message<'_>>(scene.line.message) else {
        return Vec::new();
    };
    if json::flag(scene.line.compact_summary) == Some(true) {
        return vec![compaction(desk, scene, message)];
    }
    if let Some(text) = json::text(message.content) {
        return typed(desk, scene, &text);
    }
    let blocks = json::objects::<Block<'_>>(message.content);
    let results = blocks
        .iter()
        .filter(|block| json::text(block.kind).as_deref() == Some("tool_result"))
        .count();
    let mut events = Vec::new();
    for block in blocks {
        match json::text(block.kind).as_deref() {
            Some("tool_result") => {
                // The structured twin does not say which of several results it is.
                let twin = scene.line.result.filter(|_| results == 1);
                events.extend(results::events(desk, scene, block, twin));
            }
            Some("text") => events.extend(typed(desk, scene, &json::string(block.text))),
            Some("image") => events.push(said(scene, "[image]")),
            Some("document") => events.push(said(scene, "[document]")),
            _ => {}
        }
    }
    events
}

/// The agent's memory was summarised, and this is the summary.
fn compaction(desk: &mut Desk<'_>, scene: &Scene<'_>, message: Message<'_>) -> Event {
    let boundary = desk.state(scene.key).claude.boundary.take();
    let mut event = boundary.unwrap_or_else(|| Event {
        actor: Actor::System,
        ..scene.event(Body::Compaction { summary: None })
    });
    event.body = Body::Compaction {
        summary: Some(results::text_of(message.content)),
    };
    event
}

/// What was typed, or written in the name of the person who typed.
pub(super) fn typed(desk: &mut Desk<'_>, scene: &Scene<'_>, text: &str) -> Vec<Event> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    if let Some(tags) = tags(text) {
        return command(desk, scene, &tags);
    }
    if text.starts_with(INTERRUPTED) {
        return vec![Event {
            actor: Actor::Human,
            ..scene.event(Body::Error {
                message: text.trim_matches(['[', ']']).to_owned(),
            })
        }];
    }
    let event = said(scene, text);
    if event.actor == Actor::Human {
        let state = desk.state(scene.key);
        let first = !std::mem::replace(&mut state.claude.opened, true);
        if first && text.starts_with(OWN_SESSION_MARK) {
            desk.disown(scene.key);
            return Vec::new();
        }
    }
    vec![event]
}

fn said(scene: &Scene<'_>, text: &str) -> Event {
    let mut event = scene.event(Body::UserMessage {
        content: text.to_owned(),
    });
    event.actor = if let Some(agent) = &scene.agent {
        // What sets a sub-agent to work was written by the agent that did.
        event.extra.insert("to".to_owned(), Value::from(&**agent));
        Actor::Agent
    } else if json::flag(scene.line.meta) == Some(true) {
        Actor::System
    } else {
        Actor::Human
    };
    event
}

/// Tags and their contents.
type Tags<'t> = Vec<(&'t str, &'t str)>;

/// Tags that stand for a command of the tool itself.
const COMMAND_TAGS: &[&str] = &[
    "command-name",
    "command-message",
    "command-args",
    "command-contents",
    "local-command-stdout",
    "local-command-stderr",
    "local-command-caveat",
    "bash-input",
    "bash-stdout",
    "bash-stderr",
];

/// The tags of a text that is made wholly of them; words that merely quote one are a person's.
fn tags(text: &str) -> Option<Tags<'_>> {
    let mut rest = text;
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix('<')?.split_once('>')?;
        if !COMMAND_TAGS.contains(&name) {
            return None;
        }
        let (content, after) = after.split_once(&format!("</{name}>"))?;
        tags.push((name, content));
        rest = after.trim_start();
    }
    Some(tags)
}

fn command(desk: &mut Desk<'_>, scene: &Scene<'_>, tags: &Tags<'_>) -> Vec<Event> {
    let tag = |name: &str| {
        tags.iter()
            .find(|(tag, _)| *tag == name)
            .map(|(_, content)| content.trim())
    };
    if let Some(name) = tag("command-name") {
        let arguments = tag("command-args").unwrap_or("");
        let name = name.trim_start_matches('/');
        let mut event = said(scene, format!("/{name} {arguments}").trim());
        event
            .extra
            .insert("slash_command".to_owned(), Value::from(name));
        return vec![event];
    }
    if let Some(command) = tag("bash-input") {
        let mut event = scene.event(Body::UserMessage {
            content: String::new(),
        });
        event.id.clone_from(&scene.uuid);
        let earlier = desk
            .state(scene.key)
            .claude
            .typed_command
            .replace((event, command.to_owned()));
        return earlier
            .map(|(event, command)| ran(event, command, String::new()))
            .into_iter()
            .collect();
    }
    let output =
        |out: &str, err: &str| results::joined(tag(out).unwrap_or(""), tag(err).unwrap_or(""));
    if tag("bash-stdout").is_some() || tag("bash-stderr").is_some() {
        let output = output("bash-stdout", "bash-stderr");
        let typed = desk.state(scene.key).claude.typed_command.take();
        let event = match typed {
            Some((event, command)) => ran(event, command, output),
            None => Event {
                actor: Actor::Human,
                ..scene.event(Body::ToolResult {
                    name: None,
                    content: output,
                    is_error: None,
                })
            },
        };
        return vec![event];
    }
    let output = output("local-command-stdout", "local-command-stderr");
    if output.is_empty() {
        return Vec::new();
    }
    vec![Event {
        actor: Actor::System,
        ..scene.event(Body::ToolResult {
            name: None,
            content: output,
            is_error: None,
        })
    }]
}

/// A command that a person typed to be run.
fn ran(event: Event, command: String, output: String) -> Event {
    Event {
        actor: Actor::Human,
        body: Body::TerminalCommand {
            command,
            exit_code: None,
            output,
            duration_ms: None,
            cwd: None,
            ended: None,
        },
        ..event
    }
}

#[cfg(test)]
mod tests {
    use super::tags;

    #[test]
    fn only_a_text_made_wholly_of_tags_is_a_command() {
        let text = "<command-name>/clear</command-name>\n  <command-args></command-args>";
        assert_eq!(
            tags(text),
            Some(vec![("command-name", "/clear"), ("command-args", "")])
        );
        for text in [
            "why does <command-name>/clear</command-name> fail?",
            "<command-name>/clear</command-name> and then",
            "<b>bold</b>",
            "<command-name>",
            "<",
        ] {
            assert_eq!(tags(text), None, "{text}");
        }
    }
}

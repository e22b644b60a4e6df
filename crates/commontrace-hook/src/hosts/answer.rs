//! What a host is answered.

use serde_json::{Value, json};

use crate::event::{Event, What};
use crate::host::Host;

/// Writes facts for the agent in the form that the host reads after this event; nothing where it hands nothing on.
pub fn write(host: Host, event: &Event, facts: &str) -> Option<Value> {
    let name = event.name.as_str();
    match host {
        Host::Claude => nested(name, facts),
        // Its answer after a turn has no such member, and an unknown one voids the answer.
        Host::Codex | Host::Vscode if matches!(event.what, What::Stopped(_) | What::Ended) => None,
        Host::Codex | Host::Vscode => nested(name, facts),
        Host::Gemini => match event.what {
            What::Stopped(_) | What::Ended => None,
            _ => nested(name, facts),
        },
        Host::Cursor => match event.what {
            What::Started | What::Ran(_) => Some(json!({ "additional_context": facts })),
            _ => None,
        },
        Host::Copilot if name.starts_with(char::is_uppercase) => nested(name, facts),
        Host::Copilot => match event.what {
            What::Started | What::Ran(_) => Some(json!({ "additionalContext": facts })),
            _ => None,
        },
        Host::Opencode => match event.what {
            What::Ran(_) => Some(json!({ "additionalContext": facts })),
            _ => None,
        },
    }
}

fn nested(name: &str, facts: &str) -> Option<Value> {
    Some(json!({ "hookSpecificOutput": { "hookEventName": name, "additionalContext": facts } }))
}

//! Each host's events, read into one form, and our answer, written into each host's form.

mod answer;
mod claude;
mod copilot;
mod cursor;
mod gemini;
mod opencode;

use serde_json::Value;

pub use answer::write;

use crate::event::{Event, Ignored};
use crate::host::Host;

/// Reads an event that a host sent. `named` is the event's name where the host does not send it along.
pub fn read(host: Host, named: Option<&str>, payload: &Value) -> Result<Event, Ignored> {
    let fields = crate::fields::Fields::of(payload).ok_or(Ignored::Malformed)?;
    let name = fields
        .text(&["hook_event_name", "hookEventName", "event"])
        .or(named);
    let name = name.ok_or(Ignored::Malformed)?;
    match host {
        // Alike, but for names of tools and how a failure is told.
        Host::Claude | Host::Codex | Host::Vscode => claude::read(host, name, fields),
        Host::Cursor => cursor::read(name, fields),
        Host::Gemini => gemini::read(name, fields),
        Host::Copilot => copilot::read(name, fields),
        Host::Opencode => opencode::read(name, fields),
    }
}

//! Copilot CLI. Its events do not say their names, and arguments come as text.

use std::path::PathBuf;

use serde_json::Value;

use super::claude::{is_our, other};
use crate::event::{Ended, Event, Ignored, Ran, Stop, What};
use crate::fields::{Fields, command, exit_code, printed};
use crate::host::Host;

pub(super) fn read(name: &str, fields: Fields<'_>) -> Result<Event, Ignored> {
    // VS Code reads the same file of hooks and sends events of its own form.
    if fields
        .text(&["hook_event_name", "hookEventName"])
        .is_some_and(|name| name.starts_with(char::is_uppercase))
    {
        return super::claude::read(Host::Vscode, name, fields);
    }
    let what = match name {
        "sessionStart" => What::Started,
        "userPromptSubmitted" => What::Prompted(
            fields
                .text(&["prompt"])
                .ok_or(Ignored::Malformed)?
                .to_owned(),
        ),
        "postToolUse" => used(fields, false)?,
        "postToolUseFailure" => used(fields, true)?,
        "agentStop" => What::Stopped(Stop {
            again: fields.is(&["stopHookActive"]),
            unattended: false,
        }),
        "sessionEnd" => What::Ended,
        _ => return Err(Ignored::OfNoInterest),
    };
    let cwd = fields.text(&["cwd"]);
    // Older versions name no session: then there is one for each folder.
    let session = fields.text(&["sessionId", "session_id"]).or(cwd);
    Ok(Event {
        session: session.ok_or(Ignored::Malformed)?.to_owned(),
        cwd: cwd.map(PathBuf::from),
        call: fields.text(&["toolUseId", "toolCallId"]).map(str::to_owned),
        name: name.to_owned(),
        what,
    })
}

fn used(fields: Fields<'_>, failed: bool) -> Result<What, Ignored> {
    let tool = fields
        .text(&["toolName", "tool_name"])
        .ok_or(Ignored::Malformed)?;
    let parsed;
    let input = match fields
        .any(&["toolArgs", "tool_input"])
        .ok_or(Ignored::Malformed)?
    {
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text).map_err(|_| Ignored::Malformed)?;
            Fields::of(&parsed)
        }
        value => Fields::of(value),
    };
    let input = input.ok_or(Ignored::Malformed)?;
    if !matches!(tool, "bash" | "powershell") {
        if failed {
            return Err(Ignored::OfNoInterest);
        }
        if is_our(tool, "get_trace") {
            let id = input.text(&["trace_id"]).ok_or(Ignored::Malformed)?;
            return Ok(What::Read(id.to_owned()));
        }
        return other(tool, input);
    }
    let result = fields.any(&["toolResult", "tool_result"]);
    let kind = result
        .and_then(Fields::of)
        .and_then(|result| result.text(&["resultType", "result_type"]));
    if matches!(kind, Some("denied" | "rejected" | "timeout")) {
        return Err(Ignored::OfNoInterest);
    }
    let text = match fields.any(&["error"]).filter(|_| failed) {
        Some(error) => printed(error),
        None => result.map(printed).unwrap_or_default(),
    };
    let code = exit_code(&text);
    Ok(What::Ran(Ran {
        command: command(input).ok_or(Ignored::Malformed)?,
        ended: match (code, kind) {
            (Some(0), _) => Ended::Well,
            (Some(code), _) => Ended::Badly(Some(code)),
            (None, Some("failure")) => Ended::Badly(None),
            (None, _) if failed => Ended::Badly(None),
            (None, Some("success")) => Ended::Well,
            (None, _) => Ended::Unknown,
        },
        output: text,
    }))
}

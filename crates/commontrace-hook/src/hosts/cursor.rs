//! Cursor. Its events carry the user's e-mail address, which nobody here reads.

use std::path::PathBuf;

use serde_json::Value;

use super::claude::{is_our, other};
use crate::event::{Ended, Event, Ignored, Ran, Stop, What};
use crate::fields::{Fields, command, exit_code, printed};

pub(super) fn read(name: &str, fields: Fields<'_>) -> Result<Event, Ignored> {
    let what = match name {
        "sessionStart" => What::Started,
        "beforeSubmitPrompt" => What::Prompted(
            fields
                .text(&["prompt"])
                .ok_or(Ignored::Malformed)?
                .to_owned(),
        ),
        "postToolUse" => used(fields)?,
        "postToolUseFailure" => failed(fields)?,
        "stop" => What::Stopped(Stop {
            again: fields.code(&["loop_count"]).is_some_and(|count| count > 0),
            unattended: fields
                .text(&["status"])
                .is_some_and(|status| status != "completed"),
        }),
        "sessionEnd" => What::Ended,
        _ => return Err(Ignored::OfNoInterest),
    };
    let session = fields.text(&["conversation_id", "session_id"]);
    let root = fields
        .any(&["workspace_roots"])
        .and_then(|roots| roots.as_array()?.first()?.as_str());
    Ok(Event {
        session: session.ok_or(Ignored::Malformed)?.to_owned(),
        cwd: fields
            .text(&["cwd"])
            .filter(|cwd| !cwd.is_empty())
            .or(root)
            .map(PathBuf::from),
        call: fields.text(&["tool_use_id"]).map(str::to_owned),
        name: name.to_owned(),
        what,
    })
}

fn is_shell(tool: &str) -> bool {
    matches!(tool, "Shell" | "run_terminal_cmd" | "Bash" | "terminal")
}

fn used(fields: Fields<'_>) -> Result<What, Ignored> {
    let tool = fields.text(&["tool_name"]).ok_or(Ignored::Malformed)?;
    let input = fields.object(&["tool_input"]);
    if !is_shell(tool) {
        // Tools of servers come as `MCP:<tool>`.
        if tool == "MCP:contribute_trace" {
            return Ok(What::Contributed);
        }
        if tool == "MCP:get_trace" || is_our(tool, "get_trace") {
            let id = input.and_then(|input| input.text(&["trace_id"]));
            return Ok(What::Read(id.ok_or(Ignored::Malformed)?.to_owned()));
        }
        return other(tool, input.ok_or(Ignored::Malformed)?);
    }
    let output = fields.any(&["tool_output"]);
    // An object as text; what is not one is what was printed.
    let parsed = output.and_then(|output| match output {
        Value::String(text) => serde_json::from_str(text).ok(),
        Value::Object(_) => Some(output.clone()),
        _ => None,
    });
    let code = parsed
        .as_ref()
        .and_then(Fields::of)
        .and_then(|fields| fields.code(&["exitCode", "exit_code", "code"]));
    let text = match &parsed {
        Some(parsed @ Value::Object(_)) => printed(parsed),
        _ => output.map(printed).unwrap_or_default(),
    };
    Ok(What::Ran(Ran {
        command: input.and_then(command).ok_or(Ignored::Malformed)?,
        ended: match code.or_else(|| exit_code(output?.as_str().filter(|_| parsed.is_none())?)) {
            Some(0) => Ended::Well,
            Some(code) => Ended::Badly(Some(code)),
            // Failures have an event of their own.
            None => Ended::Well,
        },
        output: text,
    }))
}

fn failed(fields: Fields<'_>) -> Result<What, Ignored> {
    let tool = fields.text(&["tool_name"]).ok_or(Ignored::Malformed)?;
    // Time is up, or the user said no: nothing was found out about the command.
    let refused = fields
        .text(&["failure_type"])
        .is_some_and(|kind| kind != "error");
    if !is_shell(tool) || refused || fields.is(&["is_interrupt"]) {
        return Err(Ignored::OfNoInterest);
    }
    let error = fields
        .any(&["error_message", "error"])
        .map(printed)
        .unwrap_or_default();
    Ok(What::Ran(Ran {
        command: fields
            .object(&["tool_input"])
            .and_then(command)
            .ok_or(Ignored::Malformed)?,
        ended: Ended::Badly(exit_code(&error)),
        output: error,
    }))
}

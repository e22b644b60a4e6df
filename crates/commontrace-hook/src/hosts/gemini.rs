//! Gemini CLI, which tells of commands that ended well and badly by the same event.

use std::path::PathBuf;

use super::claude::{is_our, other};
use crate::event::{Ended, Event, Ignored, Ran, Stop, What};
use crate::fields::{Fields, command, printed};

pub(super) fn read(name: &str, fields: Fields<'_>) -> Result<Event, Ignored> {
    let what = match name {
        "SessionStart" => What::Started,
        "BeforeAgent" => What::Prompted(
            fields
                .text(&["prompt"])
                .ok_or(Ignored::Malformed)?
                .to_owned(),
        ),
        "AfterTool" => used(fields)?,
        "AfterAgent" => What::Stopped(Stop {
            again: fields.is(&["stop_hook_active"]),
            unattended: false,
        }),
        "SessionEnd" => What::Ended,
        _ => return Err(Ignored::OfNoInterest),
    };
    Ok(Event {
        session: fields
            .text(&["session_id"])
            .ok_or(Ignored::Malformed)?
            .to_owned(),
        cwd: fields.text(&["cwd"]).map(PathBuf::from),
        call: fields.text(&["tool_use_id", "call_id"]).map(str::to_owned),
        name: name.to_owned(),
        what,
    })
}

fn used(fields: Fields<'_>) -> Result<What, Ignored> {
    let tool = fields.text(&["tool_name"]).ok_or(Ignored::Malformed)?;
    let input = fields.object(&["tool_input"]);
    if tool != "run_shell_command" {
        if is_our(tool, "get_trace") {
            let id = input.and_then(|input| input.text(&["trace_id"]));
            return Ok(What::Read(id.ok_or(Ignored::Malformed)?.to_owned()));
        }
        return other(tool, input.ok_or(Ignored::Malformed)?);
    }
    let response = fields.any(&["tool_response"]);
    let error = response
        .and_then(Fields::of)
        .and_then(|response| response.any(&["error"]));
    let shown = response
        .and_then(Fields::of)
        .and_then(|response| response.any(&["llmContent", "returnDisplay"]));
    let text = shown.map(printed).unwrap_or_default();
    // By the user, or because it took too long: nothing was found out.
    if text.starts_with("Command was ") && error.is_none() {
        return Err(Ignored::OfNoInterest);
    }
    let told = Told::of(&text);
    let code = told.code;
    Ok(What::Ran(Ran {
        command: input.and_then(command).ok_or(Ignored::Malformed)?,
        ended: match (code, error) {
            (Some(0), None) => Ended::Well,
            (code @ Some(1..), _) | (code @ Some(..0), _) => Ended::Badly(code),
            (_, Some(_)) => Ended::Badly(None),
            // It leaves the code out where it is 0.
            (None, None) if told.signal => Ended::Badly(None),
            (None, None) => Ended::Well,
        },
        output: if told.output.is_empty() {
            error.map(printed).unwrap_or_default()
        } else {
            told.output
        },
    }))
}

/// What the host's report of a command says: `Command:`, `Directory:`, `Output:`, `Error:`, `Exit Code:` and so on, each
/// at the beginning of a line.
struct Told {
    output: String,
    code: Option<i32>,
    signal: bool,
}

impl Told {
    fn of(text: &str) -> Self {
        let mut told = Self {
            output: String::new(),
            code: None,
            signal: false,
        };
        let mut kept = true;
        for line in text.lines() {
            let rest = |before: &str| line.strip_prefix(before).map(str::trim);
            let nothing = |value: &str| value.is_empty() || value == "(none)" || value == "(empty)";
            if let Some(value) = rest("Exit Code:") {
                told.code = value.parse().ok();
                kept = false;
            } else if let Some(value) = rest("Signal:") {
                told.signal = !nothing(value) && value != "0";
                kept = false;
            } else if [
                "Command:",
                "Directory:",
                "Background PIDs:",
                "Process Group PGID:",
            ]
            .iter()
            .any(|key| line.starts_with(key))
            {
                kept = false;
            } else if let Some(value) = rest("Output:")
                .or_else(|| rest("Stdout:"))
                .or_else(|| rest("Stderr:"))
                .or_else(|| rest("Error:"))
            {
                kept = true;
                if !nothing(value) {
                    told.output.push_str(value);
                    told.output.push('\n');
                }
            } else if kept {
                told.output.push_str(line);
                told.output.push('\n');
            }
        }
        told
    }
}

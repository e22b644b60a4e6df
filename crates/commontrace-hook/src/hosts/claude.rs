//! Claude Code, and those that took over its events: Codex CLI and VS Code.

use std::path::PathBuf;

use serde_json::Value;

use crate::event::{Edit, Ended, Event, Ignored, Ran, Stop, What};
use crate::fields::{Fields, command, exit_code, printed};
use crate::host::Host;

/// What shells are called: by Claude Code, by Codex and by VS Code.
const SHELLS: [&str; 13] = [
    "Bash",
    "PowerShell",
    "shell",
    "local_shell",
    "exec_command",
    "unified_exec",
    "container.exec",
    "run_in_terminal",
    "runInTerminal",
    "runTerminalCommand",
    "execute_bash",
    "bash",
    "powershell",
];

pub(super) fn read(host: Host, name: &str, fields: Fields<'_>) -> Result<Event, Ignored> {
    let session = fields.text(&["session_id", "sessionId"]);
    let what = match name {
        "SessionStart" => What::Started,
        "UserPromptSubmit" => What::Prompted(
            fields
                .text(&["prompt"])
                .ok_or(Ignored::Malformed)?
                .to_owned(),
        ),
        "PostToolUse" => used(host, fields)?,
        "PostToolUseFailure" => failed(fields)?,
        "Stop" => What::Stopped(stop(fields)),
        "SessionEnd" => What::Ended,
        _ => return Err(Ignored::OfNoInterest),
    };
    Ok(Event {
        session: session.ok_or(Ignored::Malformed)?.to_owned(),
        cwd: fields.text(&["cwd"]).map(PathBuf::from),
        call: fields
            .text(&["tool_use_id", "toolUseId"])
            .map(str::to_owned),
        name: name.to_owned(),
        what,
    })
}

fn used(host: Host, fields: Fields<'_>) -> Result<What, Ignored> {
    let tool = tool(fields)?;
    let input = input(fields);
    if SHELLS.contains(&tool) {
        let response = fields.any(&["tool_response", "toolResponse", "tool_result"]);
        return Ok(What::Ran(Ran {
            command: input.and_then(command).ok_or(Ignored::Malformed)?,
            ended: match response.map_or(Ended::Well, ended) {
                // Claude Code and VS Code tell of commands that failed, or say so in the output.
                Ended::Unknown if host != Host::Codex => Ended::Well,
                ended => ended,
            },
            output: response.map(printed).unwrap_or_default(),
        }));
    }
    let input = input.ok_or(Ignored::Malformed)?;
    other(tool, input)
}

/// What a tool did that is no shell.
pub(super) fn other(tool: &str, input: Fields<'_>) -> Result<What, Ignored> {
    if is_our(tool, "contribute_trace") {
        return Ok(What::Contributed);
    }
    if is_our(tool, "get_trace") {
        let id = input.text(&["trace_id"]).ok_or(Ignored::Malformed)?;
        return Ok(What::Read(id.to_owned()));
    }
    if tool == "apply_patch" {
        let patch = input
            .text(&["command", "input", "patch"])
            .unwrap_or_default();
        return Ok(What::Edited(patched(patch)));
    }
    const EDITORS: [&str; 18] = [
        "Edit",
        "MultiEdit",
        "Write",
        "NotebookEdit",
        "edit",
        "write",
        "create",
        "edit_file",
        "write_file",
        "replace",
        "search_replace",
        "create_file",
        "createFile",
        "replace_string_in_file",
        "insert_edit_into_file",
        "multi_replace_string_in_file",
        "str_replace_editor",
        "StrReplace",
    ];
    if !EDITORS.contains(&tool) {
        return Err(Ignored::OfNoInterest);
    }
    let first = input
        .any(&["edits", "replacements"])
        .and_then(|edits| Fields::of(edits.as_array()?.first()?));
    let text = |names: &[&str]| {
        let found = input.text(names).or_else(|| first?.text(names));
        found.unwrap_or_default().to_owned()
    };
    Ok(What::Edited(Edit {
        path: text(&[
            "file_path",
            "filePath",
            "notebook_path",
            "path",
            "target_file",
            "absolute_path",
        ]),
        old: text(&["old_string", "oldString", "old_str"]),
        new: text(&[
            "new_string",
            "newString",
            "new_str",
            "content",
            "new_source",
            "file_text",
        ]),
    }))
}

/// Whether a tool is one of ours: hosts put the server's name before it, and a plugin's.
pub(super) fn is_our(tool: &str, name: &str) -> bool {
    tool.contains("commontrace") && tool.ends_with(name)
}

/// The first file of a patch in the form of Codex, and its lines.
fn patched(patch: &str) -> Edit {
    let path = patch.lines().find_map(|line| {
        let rest = line.strip_prefix("*** ")?;
        let kinds = ["Update File: ", "Add File: ", "Delete File: "];
        kinds.iter().find_map(|kind| rest.strip_prefix(kind))
    });
    let lines = |sign: char| {
        let lines: Vec<&str> = patch
            .lines()
            .filter_map(|line| line.strip_prefix(sign))
            .collect();
        lines.join("\n")
    };
    Edit {
        path: path.unwrap_or_default().to_owned(),
        old: lines('-'),
        new: lines('+'),
    }
}

fn failed(fields: Fields<'_>) -> Result<What, Ignored> {
    if !SHELLS.contains(&tool(fields)?) || fields.is(&["is_interrupt", "isInterrupt"]) {
        return Err(Ignored::OfNoInterest);
    }
    let error = fields.any(&["error"]).map(printed).unwrap_or_default();
    Ok(What::Ran(Ran {
        command: input(fields).and_then(command).ok_or(Ignored::Malformed)?,
        ended: Ended::Badly(exit_code(&error)),
        output: error,
    }))
}

/// How a command ended by the answer of its tool. Claude Code tells only of those that ended well; Codex tells of
/// all, in the answer's text or members.
fn ended(response: &Value) -> Ended {
    let code = match response {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) => return ended(&inner),
            _ => match exit_code(text) {
                Some(code) => Some(code),
                None => return Ended::Unknown,
            },
        },
        Value::Object(_) => {
            let Some(fields) = Fields::of(response) else {
                return Ended::Unknown;
            };
            let names = &["exit_code", "exitCode", "code"];
            let code = fields
                .code(names)
                .or_else(|| fields.object(&["metadata"])?.code(names));
            if code.is_none() && fields.any(&["stdout", "stderr"]).is_some() {
                // Claude Code's form, which has no code because it is always 0.
                return if fields.is(&["interrupted"]) {
                    Ended::Unknown
                } else {
                    Ended::Well
                };
            }
            code.or_else(|| exit_code(&printed(response)))
        }
        _ => None,
    };
    match code {
        Some(0) => Ended::Well,
        Some(code) => Ended::Badly(Some(code)),
        None => Ended::Unknown,
    }
}

fn stop(fields: Fields<'_>) -> Stop {
    let mode = fields.text(&["permission_mode"]).unwrap_or_default();
    let in_background = match fields.any(&["background_tasks"]) {
        Some(Value::Array(tasks)) => !tasks.is_empty(),
        Some(Value::Number(count)) => count.as_u64() != Some(0),
        _ => false,
    };
    Stop {
        again: fields.is(&["stop_hook_active", "stopHookActive"]),
        unattended: in_background || matches!(mode, "dontAsk" | "bypassPermissions"),
    }
}

fn tool<'v>(fields: Fields<'v>) -> Result<&'v str, Ignored> {
    fields
        .text(&["tool_name", "toolName"])
        .ok_or(Ignored::Malformed)
}

fn input(fields: Fields<'_>) -> Option<Fields<'_>> {
    fields.object(&["tool_input", "toolInput"])
}

//! Tools by the names that several agents give them, for formats that record any agent.

use serde_json::Value;

use super::paths::Roots;
use crate::{Body, Event, diff};

/// A call with what came of it.
pub(crate) struct Used<'u> {
    pub(crate) name: &'u str,
    pub(crate) arguments: &'u Value,
    /// What it answered, if the record tells.
    pub(crate) answer: Option<&'u str>,
    pub(crate) duration_ms: Option<u64>,
}

impl Used<'_> {
    fn first(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .find_map(|name| self.arguments.get(name)?.as_str())
    }

    fn answered(&self) -> String {
        self.answer.unwrap_or("").to_owned()
    }
}

/// Names of shells.
const SHELLS: &[&str] = &[
    "bash",
    "execute_bash",
    "bash_command",
    "run_shell_command",
    "shell",
    "shell_command",
    "terminal",
    "run_command",
    "execute_command",
    "exec_command",
    "run_in_terminal",
    "terminal_command",
];

/// What a call and its answer are: one event, or the call and its result. Who did it and when is still to be
/// said.
pub(crate) fn events(used: &Used<'_>, roots: &Roots) -> Vec<Event> {
    let name = used.name.to_ascii_lowercase();
    let path = || {
        let path = used.first(&[
            "path",
            "file_path",
            "absolute_path",
            "filename",
            "file_name",
            "dir_path",
        ]);
        roots.relative(path.unwrap_or(""))
    };
    if SHELLS.contains(&&*name)
        && let Some(command) = used.first(&["command", "cmd", "keystrokes", "input"])
    {
        return vec![Event::new(Body::TerminalCommand {
            command: command.trim_end_matches('\n').to_owned(),
            exit_code: used.answer.and_then(exit_code),
            output: used.answered(),
            duration_ms: used.duration_ms,
            cwd: roots.folder(used.first(&["workdir", "cwd"])),
            ended: None,
        })];
    }
    let event = match &*name {
        "str_replace_editor" | "str_replace_based_edit_tool" | "editor" => editor(used, path()),
        "think" => used.first(&["thought", "content"]).map(|thought| {
            Event::new(Body::ReasoningStep {
                content: thought.to_owned(),
            })
        }),
        "finish" => used.first(&["message", "outputs"]).map(|said| {
            Event::new(Body::ReasoningStep {
                content: said.to_owned(),
            })
        }),
        "read" | "read_file" | "view" | "open" | "open_file" => {
            Some(Event::new(Body::FileOpen { file_path: path() }))
        }
        "grep"
        | "glob"
        | "search"
        | "search_dir"
        | "search_file"
        | "find_file"
        | "search_file_content"
        | "web_search" => Some(Event::new(Body::Search {
            query: used
                .first(&["pattern", "query", "search_term", "file_name"])
                .unwrap_or("")
                .to_owned(),
            path: used
                .first(&["path", "dir", "file", "dir_path"])
                .map(|path| roots.relative(path)),
            results: Some(used.answered()),
        })),
        "edit" | "replace" => replaced(
            used,
            path(),
            &["old_string", "old_str", "search"],
            &["new_string", "new_str", "replace"],
        ),
        "write" | "write_file" | "create" | "create_file" => {
            used.first(&["content", "file_text", "text"]).map(|text| {
                Event::new(Body::CodeEdit {
                    file_path: path(),
                    diff: String::new(),
                    snapshot_after: Some(text.to_owned()),
                })
            })
        }
        _ => None,
    };
    event.map_or_else(|| unknown(used), |event| vec![event])
}

/// A call of a tool for which there is no type of its own, and what it answered.
fn unknown(used: &Used<'_>) -> Vec<Event> {
    let mut bodies = vec![Body::ToolCall {
        name: used.name.to_owned(),
        arguments: used.arguments.clone(),
    }];
    if let Some(answer) = used.answer {
        bodies.push(Body::ToolResult {
            name: Some(used.name.to_owned()),
            content: answer.to_owned(),
            is_error: None,
        });
    }
    bodies.into_iter().map(Event::new).collect()
}

/// The editor that several agents share: one tool with a command for each thing to do.
fn editor(used: &Used<'_>, path: String) -> Option<Event> {
    let failed = used
        .answer
        .is_some_and(|answer| answer.starts_with("ERROR") || answer.starts_with("Error"));
    let command = used.first(&["command"])?;
    if failed && command != "view" {
        return Some(Event::new(Body::Error {
            message: format!("{} {command}: {}", used.name, used.answered()),
        }));
    }
    let body = match command {
        "view" => Body::FileOpen { file_path: path },
        "create" => Body::CodeEdit {
            diff: diff::between(&path, None, Some(used.first(&["file_text"]).unwrap_or(""))),
            file_path: path,
            snapshot_after: None,
        },
        "str_replace" => return replaced(used, path, &["old_str"], &["new_str"]),
        "insert" => {
            let line = used
                .arguments
                .get("insert_line")
                .and_then(|line| line.as_u64().or_else(|| line.as_str()?.parse().ok()))
                .and_then(|line| u32::try_from(line).ok())?;
            let line = usize::try_from(line).ok()?;
            let text = used.first(&["new_str", "insert_text"])?;
            let ended = ended(text);
            let mut diff = diff::header(&path, true, true);
            let lines = ended.split_inclusive('\n').map(|line| ('+', line));
            diff::push_hunk(&mut diff, line, line, lines);
            Body::CodeEdit {
                file_path: path,
                diff,
                snapshot_after: None,
            }
        }
        _ => return None,
    };
    Some(Event::new(body))
}

/// An edit of which the place in the file is not told.
fn replaced(used: &Used<'_>, path: String, old: &[&str], new: &[&str]) -> Option<Event> {
    let (old, new) = (used.first(old)?, used.first(new).unwrap_or(""));
    let edit = Event::new(Body::CodeEdit {
        diff: diff::between(&path, Some(&ended(old)), Some(&ended(new))),
        file_path: path,
        snapshot_after: None,
    });
    Some(edit.with_place_unknown())
}

/// The text with a line break at its end, unless it is empty.
pub(crate) fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        text.to_owned()
    } else {
        format!("{text}\n")
    }
}

/// The exit code that some tools write behind the output.
fn exit_code(answer: &str) -> Option<i64> {
    const SIGNS: &[&str] = &[
        "[The command completed with exit code ",
        "[Command finished with exit code ",
        "Process exited with code ",
        "Exit code: ",
        "Exit Code: ",
        "<returncode>",
    ];
    SIGNS.iter().find_map(|sign| {
        let (_, rest) = answer.rsplit_once(sign)?;
        let digits = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '-'))
            .unwrap_or(rest.len());
        // -1 stands for a command that goes on.
        rest[..digits].parse().ok().filter(|code| *code >= 0)
    })
}

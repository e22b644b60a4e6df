//! The recorded commands, and the events that hosts make of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::document::NewTrace;

/// Characters of an output after which Claude Code leaves out its middle.
const CLAUDE_CUT: usize = 10_000;

/// A command that really ran.
#[derive(Debug, Clone, Deserialize)]
pub struct Recorded {
    pub id: String,
    pub cwd: String,
    pub command: String,
    pub exit_code: i32,
    pub stdout: String,
    pub stderr: String,
    /// Both streams as they came.
    pub output: String,
    /// What somebody else wrote down after solving it.
    pub trace: Option<Fix>,
}

/// A trace that solves a recorded failure.
#[derive(Debug, Clone, Deserialize)]
pub struct Fix {
    title: String,
    tags: Vec<String>,
    context: String,
    solution: String,
}

/// The three sets that belong together.
#[derive(Debug)]
pub struct Sets {
    pub failing: Vec<Recorded>,
    pub unanswered: Vec<Recorded>,
    pub successful: Vec<Recorded>,
}

/// A host and the form in which it reports a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Claude,
    Codex,
    Gemini,
}

macro_rules! recorded {
    ($name:literal) => {
        read(include_str!(concat!(
            "../../../../commontrace/tests/data/commands/",
            $name,
            ".json"
        )))
        .context($name)
    };
}

impl Sets {
    /// Reads the sets that are measured on, or those for choosing thresholds.
    pub fn read(dev: bool) -> Result<Self> {
        Ok(match dev {
            false => Self {
                failing: recorded!("failing")?,
                unanswered: recorded!("unanswered")?,
                successful: recorded!("successful")?,
            },
            true => Self {
                failing: recorded!("dev-failing")?,
                unanswered: recorded!("dev-unanswered")?,
                successful: recorded!("dev-successful")?,
            },
        })
    }

    /// Returns the traces that solve the failures, by the ids of these.
    pub fn fixes(&self) -> BTreeMap<String, NewTrace> {
        let fixes = self
            .failing
            .iter()
            .filter_map(|case| Some((case.id.clone(), case.trace.as_ref()?.to_trace())));
        fixes.collect()
    }
}

fn read(text: &str) -> Result<Vec<Recorded>> {
    serde_json::from_str(text).context("is no list of recorded commands")
}

impl Fix {
    fn to_trace(&self) -> NewTrace {
        NewTrace {
            title: self.title.clone(),
            context_text: self.context.clone(),
            solution_text: self.solution.clone(),
            tags: self.tags.clone(),
        }
    }
}

impl Host {
    /// The host's name on our command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
        }
    }

    /// Returns the event of this command in a session.
    pub fn event(self, case: &Recorded, session: &str) -> Value {
        let mut event = json!({
            "session_id": session, "transcript_path": "/home/ada/.agent/transcript.jsonl", "cwd": case.cwd,
            "tool_input": {"command": case.command, "description": "Run it"},
        });
        let more = match self {
            Self::Claude if case.exit_code != 0 => json!({
                "hook_event_name": "PostToolUseFailure", "permission_mode": "default", "tool_name": "Bash",
                "tool_use_id": call(session, &case.id), "is_interrupt": false, "duration_ms": 812,
                "error": claude_error(case.exit_code, &case.output),
            }),
            Self::Claude => json!({
                "hook_event_name": "PostToolUse", "permission_mode": "default", "tool_name": "Bash",
                "tool_use_id": call(session, &case.id), "duration_ms": 812,
                "tool_response": {
                    "stdout": case.stdout, "stderr": case.stderr, "interrupted": false, "isImage": false,
                },
            }),
            Self::Codex => json!({
                "hook_event_name": "PostToolUse", "permission_mode": "default", "tool_name": "Bash",
                "turn_id": "turn-1", "model": "gpt-5.5", "tool_use_id": call(session, &case.id),
                "tool_response": case.output,
            }),
            Self::Gemini => json!({
                "hook_event_name": "AfterTool", "tool_name": "run_shell_command",
                "timestamp": "2026-11-02T09:14:31.204Z",
                "tool_response": {"llmContent": gemini_content(case), "returnDisplay": case.output},
            }),
        };
        if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
            event.extend(more);
        }
        event
    }
}

fn call(session: &str, id: &str) -> String {
    format!("toolu_{session}_{id}")
}

/// What Claude Code says of a command that failed.
fn claude_error(code: i32, output: &str) -> String {
    let output = output.trim_end();
    let characters = output.chars().count();
    if characters <= CLAUDE_CUT {
        return format!("Exit code {code}\n{output}");
    }
    let head: String = output.chars().take(CLAUDE_CUT / 2).collect();
    let tail: String = output.chars().skip(characters - CLAUDE_CUT / 2).collect();
    format!(
        "Exit code {code}\n{head}\n\n... [{} characters truncated] ...\n\n{tail}",
        characters - CLAUDE_CUT
    )
}

fn gemini_content(case: &Recorded) -> String {
    let output = case.output.trim_end();
    let output = if output.is_empty() { "(empty)" } else { output };
    match case.exit_code {
        0 => format!("Output: {output}\nProcess Group PGID: 48213"),
        code => format!("Output: {output}\nExit Code: {code}\nProcess Group PGID: 48213"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_to_answer_has_its_trace_and_ended_badly() {
        for (dev, counts) in [(false, [50, 50, 50]), (true, [40, 40, 20])] {
            let sets = Sets::read(dev).unwrap();
            let all = [&sets.failing, &sets.unanswered, &sets.successful];
            assert_eq!(all.map(Vec::len), counts);
            assert_eq!(sets.fixes().len(), sets.failing.len());
            let failed = |case: &Recorded| case.exit_code != 0;
            assert!(sets.failing.iter().chain(&sets.unanswered).all(failed));
            assert!(!sets.successful.iter().any(failed));
        }
    }

    #[test]
    fn a_long_output_is_cut_as_the_host_cuts_it() {
        let long = claude_error(2, &"é".repeat(10_010));
        assert!(long.starts_with("Exit code 2\né"));
        assert!(long.contains("\n... [10 characters truncated] ...\n"));
        assert_eq!(claude_error(1, "no\n"), "Exit code 1\nno");
    }
}

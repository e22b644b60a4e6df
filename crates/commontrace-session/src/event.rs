//! One thing that happened in a session.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

/// One thing that happened.
///
/// In JSON the body is `event_type` and `data`, as clients post it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique within its session: the recording tool's id, else a hash of what was recorded, so that
    /// a record which is read twice gives the same events.
    pub id: String,
    /// When it happened, if the record says so.
    pub timestamp: Option<DateTime<Utc>>,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
    /// Who did it.
    #[serde(default)]
    pub actor: Actor,
    /// The event that it follows from, by id, if the record says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The tool call that it makes or answers, in the recording tool's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Whether something in it was redacted; such a diff applies no longer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redacted: bool,
    /// Where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The record that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawRef>,
    /// Members of the record that have no place above.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// The member of `extra` that tells what is known of an edit's place.
const POSITION: &str = "position";

impl Event {
    /// An event of which nothing more is known than what happened; its id is still to be given.
    pub fn new(body: Body) -> Self {
        Self {
            id: String::new(),
            timestamp: None,
            body,
            actor: Actor::default(),
            parent: None,
            tool_call_id: None,
            redacted: false,
            source: None,
            raw: None,
            extra: Map::new(),
        }
    }

    /// Whether the record does not tell where in its file an edit was made. The lines that the headings of
    /// such an edit's hunks name mean nothing.
    pub fn place_unknown(&self) -> bool {
        self.extra.contains_key(POSITION)
    }

    /// The same event, of which nobody knows where in its file it was made.
    pub(crate) fn with_place_unknown(mut self) -> Self {
        self.extra
            .insert(POSITION.to_owned(), Value::from("unknown"));
        self
    }
}

impl Body {
    /// The name of the type, as in `event_type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::FileOpen { .. } => "file_open",
            Self::FileClose { .. } => "file_close",
            Self::CodeEdit { .. } => "code_edit",
            Self::TerminalCommand { .. } => "terminal_command",
            Self::TestResult { .. } => "test_result",
            Self::ReasoningStep { .. } => "reasoning_step",
            Self::UserMessage { .. } => "user_message",
            Self::AgentMessage { .. } => "agent_message",
            Self::ToolCall { .. } => "tool_call",
            Self::ToolResult { .. } => "tool_result",
            Self::FileRead { .. } => "file_read",
            Self::Search { .. } => "search",
            Self::Commit { .. } => "commit",
            Self::PullRequest { .. } => "pull_request",
            Self::Compaction { .. } => "compaction",
            Self::Error { .. } => "error",
            Self::ApprovalDenied { .. } => "approval_denied",
            Self::Rollback { .. } => "rollback",
        }
    }
}

/// What happened. Exit codes and durations that nobody recorded are `None`, never 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event_type", content = "data", rename_all = "snake_case")]
pub enum Body {
    /// A file was opened to be read.
    FileOpen {
        /// Relative to the repository's root where the record allows to tell.
        file_path: String,
    },
    /// A file was closed.
    FileClose {
        /// See `file_open`.
        file_path: String,
    },
    /// A file was changed.
    CodeEdit {
        /// See `file_open`.
        file_path: String,
        /// A unified diff; empty if the record shows only the whole new text.
        diff: String,
        /// The whole file afterwards, if the record has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot_after: Option<String>,
    },
    /// A command was run.
    TerminalCommand {
        /// For a shell, as it was typed.
        command: String,
        /// `None` if it is not known or the command was not waited for.
        #[serde(default)]
        exit_code: Option<i64>,
        /// What it printed, both streams as far as the record keeps them.
        output: String,
        /// How long it took, in milliseconds.
        #[serde(default)]
        duration_ms: Option<u64>,
        /// The working directory, if it is not the repository's root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwd: Option<String>,
        /// How it ended, where that is no exit code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Ended>,
    },
    /// Tests were run.
    TestResult {
        /// Whether all passed; `None` if the record does not tell.
        #[serde(default)]
        tests_passed: Option<bool>,
        /// The command that ran them.
        test_command: String,
        /// Those that failed, by name.
        #[serde(default)]
        failed_tests: Vec<String>,
        /// In words or the runner's last lines.
        summary: String,
    },
    /// The actor thought aloud: hypotheses, plans, conclusions.
    ReasoningStep {
        /// What was said.
        content: String,
    },
    /// A person asked or told something.
    UserMessage {
        /// What was said.
        content: String,
    },
    /// The agent answered the person.
    AgentMessage {
        /// What was said.
        content: String,
    },
    /// A tool was called for which there is no type of its own.
    ToolCall {
        /// The tool's name.
        name: String,
        /// What it was given.
        arguments: Value,
    },
    /// What such a tool answered.
    ToolResult {
        /// The tool's name, if the record tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What it answered.
        content: String,
        /// Whether it failed; `None` if the record does not tell.
        #[serde(default)]
        is_error: Option<bool>,
    },
    /// Part or all of a file was read.
    FileRead {
        /// See `file_open`.
        file_path: String,
        /// What was read, if the record keeps it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<String>,
    },
    /// Files or the web were searched.
    Search {
        /// What for.
        query: String,
        /// Where, if the record tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// What was found, if the record keeps it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        results: Option<String>,
    },
    /// A commit was made.
    Commit {
        /// Its id, as far as it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha: Option<String>,
        /// Its message.
        message: String,
    },
    /// A pull request was opened or named.
    PullRequest {
        /// Its address.
        url: String,
    },
    /// The agent's memory was summarised.
    Compaction {
        /// The summary that it went on with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
    },
    /// Something failed outside of a command: the model's service, a tool, the recorder.
    Error {
        /// What failed.
        message: String,
    },
    /// A person did not let a tool run.
    ApprovalDenied {
        /// The tool or command.
        what: String,
    },
    /// What was said and done from some event on was taken back.
    Rollback {
        /// The event from which on, if the record tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// How a command ended that has no exit code to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It ran longer than it was allowed to.
    TimedOut,
    /// A person or the agent stopped it.
    Interrupted,
    /// Nobody waited for its end.
    Background,
}

/// Who did something. In JSON a string: `human`, `agent`, `system` or `subagent:<id>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A person.
    Human,
    /// The agent that the session is of.
    #[default]
    Agent,
    /// One that the agent has set to work, by its id.
    Subagent(String),
    /// The tool itself.
    System,
}

/// The format that an event was read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Such as `claude-code`.
    pub format: String,
    /// The recording tool's or the format's version, if the record tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Where the record of an event is kept, after redaction and otherwise byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RawRef {
    /// SHA-256 of the blob, in lower-case hexadecimal digits.
    pub blob: String,
    /// Where in the blob the record begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub length: u64,
}

const SUBAGENT: &str = "subagent:";

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Human => f.write_str("human"),
            Self::Agent => f.write_str("agent"),
            Self::Subagent(id) => write!(f, "{SUBAGENT}{id}"),
            Self::System => f.write_str("system"),
        }
    }
}

impl FromStr for Actor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "human" => Ok(Self::Human),
            "agent" => Ok(Self::Agent),
            "system" => Ok(Self::System),
            _ => match text.strip_prefix(SUBAGENT) {
                Some(id) if !id.is_empty() => Ok(Self::Subagent(id.to_owned())),
                _ => Err("must be human, agent, system or subagent:<id>".to_owned()),
            },
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_clients_post_is_an_event_and_unknown_ends_stay_unknown() {
        let posted = json!({
            "id": "e1",
            "timestamp": "2026-01-31T12:00:00Z",
            "event_type": "terminal_command",
            "data": {"command": "cargo test", "output": ""},
            "actor": "subagent:a1",
        });
        let event: Event = serde_json::from_value(posted).expect("an event");
        assert_eq!(event.actor, Actor::Subagent("a1".to_owned()));
        let Body::TerminalCommand { exit_code, .. } = &event.body else {
            panic!("a command");
        };
        assert_eq!(*exit_code, None);
        let written = serde_json::to_value(&event).expect("JSON");
        assert_eq!(written["data"]["exit_code"], json!(null));
        assert_eq!(written["actor"], json!("subagent:a1"));
        let again: Event = serde_json::from_value(written).expect("the same event");
        assert_eq!(again, event);
    }
}

//! One event as a model is shown it.

use std::sync::LazyLock;

use commontrace_core::text::clean;
use commontrace_session::{Actor, Body, Event};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::Limits;

/// What stands in the place of a model's name.
const MODEL: &str = "[model]";

static MODELS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)\b(?:claude|anthropic|openai|chatgpt|gpt-?\d|gemini|codex|copilot|deepseek|mistral|llama-?\d|qwen-?\d|grok-?\d)[\w-]*(?:\.\d[\w-]*)*",
    )
    .expect("a pattern that the tests compile")
});

/// An event in JSON, and the texts in it.
pub struct Shown {
    pub json: String,
    /// Each text as it is shown; head and tail of one that was cut are two.
    pub texts: Vec<String>,
    pub cut: bool,
}

pub struct Shower<'a> {
    models: &'a [&'a str],
    limits: Limits,
    with_reasoning: bool,
}

impl<'a> Shower<'a> {
    pub fn new(models: &'a [&'a str], limits: Limits, with_reasoning: bool) -> Self {
        Self {
            models,
            limits,
            with_reasoning,
        }
    }

    /// The event; nothing if it is not to be shown.
    pub fn show(&self, label: &str, event: &Event) -> Option<Shown> {
        let mut one = One {
            shower: self,
            data: Map::new(),
            texts: Vec::new(),
            cut: false,
        };
        let name = one.fill(&event.body)?;
        let actor = match &event.actor {
            Actor::Human => "human",
            Actor::Agent => "agent",
            Actor::Subagent(_) => "subagent",
            Actor::System => "system",
        };
        let json = json!({"event": label, "type": name, "actor": actor, "data": one.data});
        Some(Shown {
            json: json.to_string(),
            texts: one.texts,
            cut: one.cut,
        })
    }

    /// A text without escape sequences, hidden characters and names of models.
    pub fn hide(&self, text: &str) -> String {
        let mut text = clean(text).into_owned();
        for model in self.models.iter().filter(|model| model.len() > 3) {
            text = text.replace(model, MODEL);
            // `provider/model` is called by its second part too.
            if let Some((_, name)) = model.split_once('/').filter(|(_, name)| name.len() > 3) {
                text = text.replace(name, MODEL);
            }
        }
        match MODELS.replace_all(&text, MODEL) {
            std::borrow::Cow::Borrowed(_) => text,
            std::borrow::Cow::Owned(hidden) => hidden,
        }
    }
}

struct One<'a> {
    shower: &'a Shower<'a>,
    data: Map<String, Value>,
    texts: Vec<String>,
    cut: bool,
}

impl One<'_> {
    /// Fills in what the event says, and returns its type.
    fn fill(&mut self, body: &Body) -> Option<&'static str> {
        let words = self.shower.with_reasoning;
        Some(match body {
            Body::FileOpen { file_path, .. } => {
                self.text("file_path", file_path);
                "file_open"
            }
            Body::FileClose { .. } => return None,
            Body::CodeEdit {
                file_path,
                diff,
                snapshot_after,
                ..
            } => {
                self.text("file_path", file_path);
                match snapshot_after {
                    Some(whole) if diff.is_empty() => self.text("file_afterwards", whole),
                    _ => self.text("diff", diff),
                }
                "code_edit"
            }
            Body::TerminalCommand {
                command,
                exit_code,
                output,
                ended,
                ..
            } => {
                self.text("command", command);
                self.data.insert("exit_code".to_owned(), json!(exit_code));
                if let Some(ended) = ended {
                    self.data.insert("ended".to_owned(), json!(ended));
                }
                self.text("output", output);
                "terminal_command"
            }
            Body::TestResult {
                tests_passed,
                test_command,
                failed_tests,
                summary,
                ..
            } => {
                self.text("test_command", test_command);
                self.data
                    .insert("tests_passed".to_owned(), json!(tests_passed));
                self.text("failed_tests", &failed_tests.join("\n"));
                self.text("summary", summary);
                "test_result"
            }
            Body::ReasoningStep { content, .. } if words => {
                self.text("content", content);
                "reasoning_step"
            }
            Body::AgentMessage { content, .. } if words => {
                self.text("content", content);
                "agent_message"
            }
            Body::Compaction { summary, .. } if words => {
                self.text("summary", summary.as_deref().unwrap_or(""));
                "compaction"
            }
            Body::ReasoningStep { .. } | Body::AgentMessage { .. } | Body::Compaction { .. } => {
                return None;
            }
            Body::UserMessage { content, .. } => {
                self.text("content", content);
                "user_message"
            }
            Body::ToolCall {
                name, arguments, ..
            } => {
                self.text("name", name);
                // Plans and lists of things to do are reasoning in the shape of a call.
                let lower = name.to_lowercase();
                let plans = ["think", "todo", "plan"]
                    .iter()
                    .any(|word| lower.contains(word));
                if words || !plans {
                    self.text("arguments", &arguments.to_string());
                }
                "tool_call"
            }
            Body::ToolResult {
                content, is_error, ..
            } => {
                self.data.insert("is_error".to_owned(), json!(is_error));
                self.text("content", content);
                "tool_result"
            }
            Body::FileRead {
                file_path, content, ..
            } => {
                self.text("file_path", file_path);
                self.text("content", content.as_deref().unwrap_or(""));
                "file_read"
            }
            Body::Search {
                query,
                path,
                results,
                ..
            } => {
                self.text("query", query);
                self.text("path", path.as_deref().unwrap_or(""));
                self.text("results", results.as_deref().unwrap_or(""));
                "search"
            }
            Body::Commit { message, .. } => {
                self.text("message", if words { message } else { "" });
                "commit"
            }
            Body::PullRequest { .. } => "pull_request",
            Body::Error { message, .. } => {
                self.text("message", message);
                "error"
            }
            Body::ApprovalDenied { what, .. } => {
                self.text("what", what);
                "approval_denied"
            }
            Body::Rollback { reason, .. } => {
                self.text(
                    "reason",
                    if words {
                        reason.as_deref().unwrap_or("")
                    } else {
                        ""
                    },
                );
                "rollback"
            }
        })
    }

    fn text(&mut self, name: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let Limits { head, tail, .. } = self.shower.limits;
        let value = if text.len() <= head + tail {
            let whole = self.shower.hide(text);
            self.texts.push(whole.clone());
            json!(whole)
        } else {
            self.cut = true;
            let first = self.shower.hide(&text[..text.floor_char_boundary(head)]);
            let last = self
                .shower
                .hide(&text[text.ceil_char_boundary(text.len() - tail)..]);
            self.texts.extend([first.clone(), last.clone()]);
            json!({"head": first, "left_out_bytes": text.len() - head - tail, "tail": last})
        };
        self.data.insert(name.to_owned(), value);
    }
}

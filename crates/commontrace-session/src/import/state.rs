//! What is remembered of a session while its files are read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::found::SessionKey;
use super::paths::Roots;
use super::{claude_code, codex};
use crate::{Actor, Body, Event, Session};

/// At most so many calls of a session wait for their results; beyond, the oldest counts as unanswered.
const MOST_WAITING: usize = 256;

/// At most so many models are told apart, with names of at most so many bytes.
const MOST_MODELS: usize = 64;
const LONGEST_MODEL: usize = 250;

/// At most so much of their arguments is held, in bytes.
const MOST_HELD: usize = 8 * 1024 * 1024;

pub(crate) struct State {
    pub(crate) key: SessionKey,
    pub(crate) header: Session,
    /// Whether the header says more than when it was handed over last.
    pub(crate) changed: bool,
    pub(crate) announced: bool,
    /// Whether our own tools made it.
    pub(crate) own: bool,
    pub(crate) roots: Roots,
    /// Calls whose results were not read yet, in order.
    waiting: Vec<Call>,
    held: usize,
    /// How often each model acted.
    models: BTreeMap<String, u64>,
    /// Tokens by kind.
    pub(crate) usage: BTreeMap<&'static str, u64>,
    pub(crate) claude: claude_code::Memory,
    pub(crate) codex: codex::Memory,
}

/// A call that waits for its result.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The tool's id of the call.
    pub(crate) id: String,
    /// The id of the record that it stands in.
    pub(crate) record: String,
    pub(crate) name: String,
    pub(crate) arguments: Value,
    /// How long the arguments are, in bytes.
    pub(crate) size: usize,
    pub(crate) at: Option<DateTime<Utc>>,
    pub(crate) actor: Actor,
    pub(crate) parent: Option<String>,
    /// Whether an event of the call itself was handed over already.
    pub(crate) told: bool,
}

impl Call {
    /// How much of a call is held, in bytes.
    fn weight(&self) -> usize {
        self.size + self.id.len() + self.record.len() + self.name.len()
    }

    /// A text among the arguments.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.arguments.get(name)?.as_str()
    }

    /// The first of these arguments that is a text.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    /// An event of this call.
    pub(crate) fn event(&self, body: Body) -> Event {
        Event {
            timestamp: self.at,
            actor: self.actor.clone(),
            parent: self.parent.clone(),
            tool_call_id: Some(self.id.clone()),
            ..Event::new(body)
        }
    }

    /// The event of a call that nothing answered, unless there is one of it.
    pub(crate) fn unanswered(self) -> Option<Event> {
        if self.told {
            return None;
        }
        let body = match self.text("command") {
            // Of a command that was begun, nothing is known but that.
            Some(command) if self.name == "Bash" => Body::TerminalCommand {
                command: command.to_owned(),
                exit_code: None,
                output: String::new(),
                duration_ms: None,
                cwd: None,
                ended: None,
            },
            _ => Body::ToolCall {
                name: self.name.clone(),
                arguments: self.arguments.clone(),
            },
        };
        let mut event = self.event(body);
        event.id = format!("{}#{}", self.record, self.id);
        event
            .extra
            .insert("unanswered".to_owned(), Value::Bool(true));
        Some(event)
    }
}

impl State {
    pub(crate) fn new(key: SessionKey) -> Self {
        let header = Session {
            source_id: Some(key.id.to_string()),
            format: Some(key.format.to_owned()),
            developer_id: "unknown".to_owned(),
            ..Session::default()
        };
        Self {
            key,
            header,
            changed: true,
            announced: false,
            own: false,
            roots: Roots::default(),
            waiting: Vec::new(),
            held: 0,
            models: BTreeMap::new(),
            usage: BTreeMap::new(),
            claude: claude_code::Memory::default(),
            codex: codex::Memory::default(),
        }
    }

    /// Lets a call wait for its result; returns one that has waited too long.
    pub(crate) fn wait(&mut self, call: Call) -> Option<Call> {
        self.held += call.weight();
        self.waiting.push(call);
        (self.waiting.len() > MOST_WAITING || self.held > MOST_HELD).then(|| self.remove(0))
    }

    /// The call of this id, if it waits.
    pub(crate) fn answered(&mut self, id: &str) -> Option<Call> {
        let at = self.waiting.iter().rposition(|call| call.id == id)?;
        Some(self.remove(at))
    }

    /// The call that has waited longest.
    pub(crate) fn next_unanswered(&mut self) -> Option<Call> {
        (!self.waiting.is_empty()).then(|| self.remove(0))
    }

    fn remove(&mut self, at: usize) -> Call {
        let call = self.waiting.remove(at);
        self.held -= call.weight().min(self.held);
        call
    }

    /// Notes the time of a record.
    pub(crate) fn saw_time(&mut self, time: DateTime<Utc>) {
        let header = &mut self.header;
        if header.start_time.is_none_or(|start| time < start) {
            header.start_time = Some(time);
            self.changed = true;
        }
        if header.end_time.is_none_or(|end| time > end) {
            header.end_time = Some(time);
            self.changed = true;
        }
    }

    /// Notes what an event tells of its session.
    pub(crate) fn saw(&mut self, event: &Event) {
        if let Some(time) = event.timestamp {
            self.saw_time(time);
        }
        if let Body::TestResult { test_command, .. } = &event.body {
            self.header.repo.test_command.clone_from(test_command);
            self.changed = true;
        }
    }

    /// Notes that a model acted.
    pub(crate) fn saw_model(&mut self, model: &str) {
        let fits = model.len() <= LONGEST_MODEL && self.models.len() < MOST_MODELS;
        if fits || self.models.contains_key(model) {
            *self.models.entry(model.to_owned()).or_default() += 1;
            self.changed = true;
        }
    }

    /// Adds to the tokens of a kind.
    pub(crate) fn used(&mut self, kind: &'static str, tokens: u64) {
        if tokens > 0 {
            let sum = self.usage.entry(kind).or_default();
            *sum = sum.saturating_add(tokens);
            self.changed = true;
        }
    }

    /// Notes the folder that was worked in.
    pub(crate) fn saw_folder(&mut self, folder: &str) {
        if !self.roots.add(folder) {
            return;
        }
        self.changed = true;
        let header = &mut self.header;
        if header.repo.name.is_empty() {
            header.repo.name = super::paths::last_part(folder).to_owned();
        }
        header
            .extra
            .entry("cwd".to_owned())
            .or_insert_with(|| Value::from(folder));
    }

    pub(crate) fn version(&self) -> Option<String> {
        self.header.tool_version.clone()
    }

    /// The header with what was counted.
    pub(crate) fn header(&self) -> Session {
        let mut header = self.header.clone();
        // The first of those that acted most, so that the answer does not depend on chance.
        let most = self.models.iter().rev().max_by_key(|(_, count)| **count);
        if let Some((model, _)) = most {
            header.model = Some(model.clone());
        }
        if !self.usage.is_empty() {
            header.extra.insert("usage".to_owned(), json!(self.usage));
        }
        header
    }
}

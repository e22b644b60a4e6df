//! Where records and their events are gathered, told apart from what was there before, and handed over.

use std::collections::{BTreeSet, HashMap};

use commontrace_redact::has_mark;
use serde_json::Value;

use super::found::{Batch, Blob, Found, Kept, SessionKey, Sink, hash, short_hash};
use super::json::{self, Member};
use super::report::{Counts, FileReport};
use super::state::State;
use super::{ImportError, runs};
use crate::{Body, Event, RawRef, Session, Source};

/// Records are handed over when there is this much of them, in bytes.
const CHUNK: usize = 1024 * 1024;

/// At most so many sessions can be in one file.
const MOST_SESSIONS: usize = 1000;

/// The longest id that is kept as it is, in bytes; of a longer one its hash stands for it.
const LONGEST_ID: usize = 200;

/// What lasts from file to file.
#[derive(Default)]
pub(crate) struct Memory {
    /// Records that were handed over, by a hash of their id, and whose they are.
    seen: HashMap<u128, u32>,
    sessions: Vec<State>,
    /// Sub-agents that other trajectories name, with the sessions of those.
    agents: HashMap<String, SessionKey>,
    index: HashMap<SessionKey, usize>,
    pub(crate) total: Counts,
}

impl Memory {
    pub(crate) fn keys(&self) -> Vec<SessionKey> {
        self.sessions
            .iter()
            .map(|state| state.key.clone())
            .collect()
    }
}

/// What tells a record from others.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Identity<'i> {
    /// An id that no other record of the format has, such as a uuid.
    Everywhere(&'i str),
    /// An id that no other record of the session has.
    InSession(&'i str),
    /// What it says, and how often the file has said so before.
    Content,
}

impl<'i> Identity<'i> {
    /// By an id within the session, if there is one.
    pub(crate) fn of(id: &'i str) -> Self {
        if id.is_empty() {
            Self::Content
        } else {
            Self::InSession(id)
        }
    }
}

/// Whether a record is new.
pub(crate) enum Admission {
    /// It is, and its events take their ids from this.
    New(String),
    /// It was handed over before, and belongs to this session.
    Known(SessionKey),
}

/// One record to hand over.
pub(crate) struct Record<'r> {
    /// Its id, from [`Desk::admit`].
    pub(crate) id: String,
    /// What the tool calls it.
    pub(crate) kind: &'r str,
    /// Its bytes.
    pub(crate) raw: &'r str,
    /// Whether anything in it was redacted.
    pub(crate) redacted: bool,
}

pub(crate) struct Desk<'d> {
    memory: &'d mut Memory,
    sink: &'d mut dyn Sink,
    pub(crate) report: FileReport,
    chunk: Vec<u8>,
    events: Vec<(SessionKey, Event)>,
    kept: Vec<Kept>,
    /// How often each record without an id has occurred in this file.
    occurrences: HashMap<u128, u32>,
    /// Sessions that this file tells of.
    touched: BTreeSet<usize>,
    /// Where in the file the record is that is being read: the line, and the first byte.
    pub(crate) place: (u64, u64),
    /// Whether commands tell of test runs and commits; not where the file has these as events already.
    pub(crate) derives: bool,
}

impl<'d> Desk<'d> {
    pub(crate) fn new(file: &str, memory: &'d mut Memory, sink: &'d mut dyn Sink) -> Self {
        Self {
            memory,
            sink,
            report: FileReport {
                file: file.to_owned(),
                ..FileReport::default()
            },
            chunk: Vec::new(),
            events: Vec::new(),
            kept: Vec::new(),
            occurrences: HashMap::new(),
            touched: BTreeSet::new(),
            place: (1, 0),
            derives: true,
        }
    }

    /// Anything, as a value to keep. What is too deep or has too many parts is kept as a text, and told.
    pub(crate) fn value(&mut self, member: Member<'_>) -> Value {
        let Some(raw) = member else {
            return Value::Null;
        };
        json::value(member).unwrap_or_else(|| {
            self.report.unparsed(self.place);
            Value::from(raw.get())
        })
    }

    /// What is known of a session.
    pub(crate) fn state(&mut self, key: &SessionKey) -> &mut State {
        let at = self.at(key);
        &mut self.memory.sessions[at]
    }

    /// Whether a session is one of this file, or can be.
    pub(crate) fn takes(&self, key: &SessionKey) -> bool {
        let known = self.memory.index.get(key);
        known.is_some_and(|at| self.touched.contains(at)) || self.touched.len() < MOST_SESSIONS
    }

    /// The session's header, to be added to.
    pub(crate) fn header(&mut self, key: &SessionKey) -> &mut Session {
        let state = self.state(key);
        state.changed = true;
        &mut state.header
    }

    fn at(&mut self, key: &SessionKey) -> usize {
        let at = match self.memory.index.get(key) {
            Some(at) => *at,
            None => {
                let at = self.memory.sessions.len();
                self.memory.sessions.push(State::new(key.clone()));
                self.memory.index.insert(key.clone(), at);
                at
            }
        };
        self.touched.insert(at);
        at
    }

    /// Tells by its identity whether a record is new, and remembers it.
    pub(crate) fn admit(&mut self, key: &SessionKey, id: Identity<'_>, raw: &str) -> Admission {
        let (id, hashed) = match id {
            Identity::Everywhere(id) => (id.to_owned(), short_hash(&[key.format, "", id])),
            Identity::InSession(id) => (id.to_owned(), short_hash(&[key.format, &key.id, id, ""])),
            Identity::Content => {
                let said = short_hash(&[key.format, &key.id, raw]);
                let times = self.occurrences.entry(said).or_default();
                *times += 1;
                let hashed = short_hash(&[&format!("{said:032x}"), &times.to_string()]);
                (format!("{hashed:032x}"), hashed)
            }
        };
        let at = self.at(key);
        let owner = *self.memory.seen.entry(hashed).or_insert(u32::MAX);
        if owner == u32::MAX {
            self.memory.seen.insert(hashed, at as u32);
            return Admission::New(id);
        }
        self.report.counts.duplicate += 1;
        let owner = self.memory.sessions.get(owner as usize);
        Admission::Known(owner.map_or_else(|| key.clone(), |state| state.key.clone()))
    }

    /// Notes that a session has set a sub-agent to work.
    pub(crate) fn sets_to_work(&mut self, agent: &str, key: &SessionKey) {
        if *key.id != *agent {
            self.memory.agents.insert(agent.to_owned(), key.clone());
        }
    }

    /// The session that has set a sub-agent to work, if it was read before.
    pub(crate) fn set_to_work_by(&self, agent: &str) -> Option<String> {
        self.memory.agents.get(agent).map(|key| key.id.to_string())
    }

    /// Whether a record of this id was handed over, whoever's it is.
    pub(crate) fn knows(&self, format: &str, id: &str) -> bool {
        self.memory
            .seen
            .contains_key(&short_hash(&[format, "", id]))
    }

    /// Whether an event of this id was not handed over yet.
    pub(crate) fn is_new_event(&mut self, key: &SessionKey, id: &str) -> bool {
        let hashed = short_hash(&[key.format, &key.id, id, "event"]);
        self.memory.seen.insert(hashed, 0).is_none()
    }

    /// Hands over a record with what was made of it.
    pub(crate) fn write(
        &mut self,
        key: &SessionKey,
        record: Record<'_>,
        events: Vec<Event>,
    ) -> Result<(), ImportError> {
        let raw = RawRef {
            blob: String::new(),
            offset: self.chunk.len() as u64,
            length: record.raw.len() as u64,
        };
        self.chunk.extend_from_slice(record.raw.as_bytes());
        self.chunk.push(b'\n');
        self.report.counts.imported += 1;
        let made = self.push(key, &record.id, Some(&raw), record.redacted, events);
        if made == 0 {
            self.kept.push(Kept {
                session: key.clone(),
                id: record.id,
                kind: record.kind.to_owned(),
                raw,
            });
        }
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands over events of which the records were handed over before.
    pub(crate) fn write_late(&mut self, key: &SessionKey, id: &str, events: Vec<Event>) {
        self.push(key, id, None, true, events);
    }

    /// Gathers events; returns how many of them are new.
    fn push(
        &mut self,
        key: &SessionKey,
        id: &str,
        raw: Option<&RawRef>,
        redacted: bool,
        events: Vec<Event>,
    ) -> usize {
        let before = self.events.len();
        let mut number = 0;
        for mut event in events {
            if event.id.is_empty() {
                event.id = match number {
                    0 => id.to_owned(),
                    _ => format!("{id}#{number}"),
                };
                number += 1;
            }
            let told = if self.derives {
                runs::told_by(&event)
            } else {
                Vec::new()
            };
            let from = event.id.clone();
            self.push_one(key, raw, redacted, event);
            for mut event in told {
                event.id = format!("{from}#{}", event.body.name());
                event.parent = Some(from.clone());
                self.push_one(key, raw, redacted, event);
            }
        }
        self.events.len() - before
    }

    fn push_one(
        &mut self,
        key: &SessionKey,
        raw: Option<&RawRef>,
        redacted: bool,
        mut event: Event,
    ) {
        if event.id.len() > LONGEST_ID {
            event.id = format!("{:032x}", short_hash(&[&event.id]));
        }
        // Two records may tell of the same, such as an item and its copy under another id.
        if !self.is_new_event(key, &event.id) {
            return;
        }
        event.redacted |= redacted && says_redacted(&event.body);
        let state = self.state(key);
        event.source = Some(Source {
            format: key.format.to_owned(),
            version: state.version(),
        });
        event.raw = raw.cloned();
        state.saw(&event);
        self.report.event(event.body.name());
        self.events.push((key.clone(), event));
    }

    /// Leaves out a session that asks for it, also what was gathered of it.
    pub(crate) fn disown(&mut self, key: &SessionKey) {
        self.state(key).own = true;
        let before = self.events.len() + self.kept.len();
        self.events.retain(|(other, _)| other != key);
        self.kept.retain(|kept| kept.session != *key);
        let gone = before - self.events.len() - self.kept.len();
        self.report.counts.imported -= (gone as u64).min(self.report.counts.imported);
        for _ in 0..=gone {
            self.report.skip(OWN);
        }
    }

    /// Hands over what was gathered.
    fn flush(&mut self) -> Result<(), ImportError> {
        if self.events.is_empty() && self.kept.is_empty() {
            self.chunk.clear();
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.chunk);
        let mut batch = Batch {
            blob: Blob {
                hash: hash(&bytes),
                bytes,
            },
            events: std::mem::take(&mut self.events),
            kept: std::mem::take(&mut self.kept),
        };
        let hash = &batch.blob.hash;
        let raws = batch
            .events
            .iter_mut()
            .filter_map(|(_, event)| event.raw.as_mut());
        for raw in raws.chain(batch.kept.iter_mut().map(|kept| &mut kept.raw)) {
            raw.blob.clone_from(hash);
        }
        for at in self.touched.clone() {
            if !self.memory.sessions[at].announced {
                self.announce(at)?;
            }
        }
        self.sink
            .take(Found::Batch(batch))
            .map_err(ImportError::Sink)
    }

    fn announce(&mut self, at: usize) -> Result<(), ImportError> {
        let state = &mut self.memory.sessions[at];
        if state.own {
            return Ok(());
        }
        state.announced = true;
        state.changed = false;
        let found = Found::Session {
            key: state.key.clone(),
            session: Box::new(state.header()),
        };
        self.sink.take(found).map_err(ImportError::Sink)
    }

    /// Hands over the rest and what the file told of its sessions.
    pub(crate) fn close(mut self) -> Result<FileReport, ImportError> {
        self.flush()?;
        for at in self.touched.clone() {
            let state = &self.memory.sessions[at];
            if state.changed && state.announced {
                self.announce(at)?;
            }
        }
        self.memory.total.add(&self.report.counts);
        Ok(self.report)
    }
}

/// Why sessions are left out that say so.
pub(crate) const OWN: &str = "marked as [commontrace:internal]";

/// Whether a mark stands in what an event says.
fn says_redacted(body: &Body) -> bool {
    match body {
        Body::FileOpen { file_path } | Body::FileClose { file_path } => has_mark(file_path),
        Body::CodeEdit {
            file_path,
            diff,
            snapshot_after,
        } => {
            has_mark(file_path) || has_mark(diff) || snapshot_after.as_deref().is_some_and(has_mark)
        }
        Body::TerminalCommand {
            command, output, ..
        } => has_mark(command) || has_mark(output),
        Body::ReasoningStep { content }
        | Body::UserMessage { content }
        | Body::AgentMessage { content }
        | Body::ToolResult { content, .. } => has_mark(content),
        Body::ToolCall { arguments, .. } => value_has_mark(arguments),
        _ => serde_json::to_value(body).is_ok_and(|value| value_has_mark(&value)),
    }
}

fn value_has_mark(value: &Value) -> bool {
    match value {
        Value::String(text) => has_mark(text),
        Value::Array(items) => items.iter().any(value_has_mark),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| has_mark(name) || value_has_mark(value)),
        _ => false,
    }
}

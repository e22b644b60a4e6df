//! Gemini CLI: one JSON document, or lines that change what earlier lines said.
//!
//! A message is written again under its id whenever it changes, so events are only made at the end of the
//! file, of what then stands. Each has an id of its own within its message; a message that had grown since
//! another file was read adds what is new.

mod calls;
mod message;
mod shell;

use std::collections::HashMap;
use std::io::BufRead;

use serde_json::Value;

use super::desk::{Admission, Desk, Identity, OWN, Record};
use super::document::Document;
use super::found::{SessionKey, short_hash};
use super::json::{self, members};
use super::paths::last_part;
use super::records::{self, Incoming};
use super::{Format, ImportError, Input, LONGEST_DOCUMENT};
use crate::{Actor, Body, Event};
use message::{Message, Scene};

members!(
    /// The document, the first line of a file of lines, or what `$set` sets.
    Meta {
        id = "sessionId",
        hash = "projectHash",
        start = "startTime",
        end = "lastUpdated",
        messages = "messages",
        summary = "summary",
        directories = "directories",
        kind = "kind",
    }
);

members!(
    /// A line that changes what was said before.
    Change {
        set = "$set",
        rewind = "$rewindTo",
    }
);

/// Reads a file of lines.
pub(crate) fn read(
    reader: impl BufRead,
    input: &Input<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), ImportError> {
    let mut file = Reading::new(input.name);
    records::each(reader, input, desk, |desk, record| file.take(desk, record))?;
    file.end(desk)
}

/// Reads a document.
pub(crate) fn read_document(
    document: &Document,
    input: &Input<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), ImportError> {
    let Some(meta) = json::object::<Meta<'_>>(document.whole()) else {
        desk.report
            .bad(1, 0, "no object, or one with a member twice");
        return Ok(());
    };
    let mut file = Reading::new(input.name);
    let key = file.meta(desk, &meta);
    document.rest(desk, &key, &["messages"])?;
    for message in json::items(meta.messages) {
        desk.place = document.place(message.get());
        file.hold(desk, message.get(), document.redacted())?;
    }
    file.end(desk)
}

/// A message that may still change.
struct Held {
    id: String,
    raw: String,
    redacted: bool,
    /// Where in the file it stands.
    place: (u64, u64),
}

struct Reading {
    /// The folder of a sub-agent's file is called after the session that set it to work.
    folder: Option<String>,
    key: Option<SessionKey>,
    agent: Option<String>,
    held: Vec<Held>,
    /// Where each message is held.
    places: HashMap<String, usize>,
    held_bytes: usize,
}

impl Reading {
    fn new(name: &str) -> Self {
        let folder = name
            .rsplit_once(['/', '\\'])
            .map(|(folder, _)| last_part(folder).to_owned());
        Self {
            folder,
            key: None,
            agent: None,
            held: Vec::new(),
            places: HashMap::new(),
            held_bytes: 0,
        }
    }

    /// The session that is read; of a file that does not name it, the file's first words do.
    fn key(&mut self, words: &str) -> SessionKey {
        self.key
            .get_or_insert_with(|| SessionKey {
                format: Format::Gemini.name(),
                id: format!("{:032x}", short_hash(&[words])).into(),
            })
            .clone()
    }

    fn take(&mut self, desk: &mut Desk<'_>, record: Incoming<'_>) -> Result<(), ImportError> {
        let change: Change<'_> = serde_json::from_str(record.raw).unwrap_or_default();
        let meta: Meta<'_> = serde_json::from_str(record.raw).unwrap_or_default();
        if let Some(set) = json::object::<Meta<'_>>(change.set) {
            let key = self.meta(desk, &set);
            let all = json::items(set.messages);
            if !all.is_empty() {
                for held in std::mem::take(&mut self.held) {
                    keep(desk, &key, "message", &held.raw, held.redacted)?;
                }
                self.held_bytes = 0;
                self.places.clear();
                for message in all {
                    self.hold(desk, message.get(), record.redacted)?;
                }
                return Ok(());
            }
            return keep(desk, &key, "$set", record.raw, record.redacted);
        }
        if let Some(to) = json::text(change.rewind) {
            return self.rewind(desk, &to, record);
        }
        if meta.id.is_some() {
            let key = self.meta(desk, &meta);
            keep(desk, &key, "metadata", record.raw, record.redacted)?;
            for message in json::items(meta.messages) {
                self.hold(desk, message.get(), record.redacted)?;
            }
            return Ok(());
        }
        self.hold(desk, record.raw, record.redacted)
    }

    /// Takes what a record says of the session.
    fn meta(&mut self, desk: &mut Desk<'_>, meta: &Meta<'_>) -> SessionKey {
        if let Some(id) = json::said(meta.id) {
            let is_agent = json::text(meta.kind).as_deref() == Some("subagent");
            let parent = self
                .folder
                .clone()
                .filter(|folder| is_agent && folder != "chats");
            if parent.is_some() {
                self.agent = Some(id.clone().into_owned());
            }
            let id = parent.unwrap_or_else(|| id.into_owned());
            self.key.get_or_insert(SessionKey {
                format: Format::Gemini.name(),
                id: id.into(),
            });
        }
        let key = self.key("");
        let is_agent = self.agent.is_some();
        let state = desk.state(&key);
        for folder in json::texts(meta.directories) {
            state.saw_folder(&folder);
        }
        for at in [meta.start, meta.end].into_iter().filter_map(json::time) {
            state.saw_time(at);
        }
        if !is_agent && let Some(title) = json::said(meta.summary) {
            state.header.title = Some(title.into_owned());
            state.changed = true;
        }
        if let Some(hash) = json::said(meta.hash) {
            state
                .header
                .extra
                .insert("project_hash".to_owned(), Value::from(&*hash));
        }
        key
    }

    /// Holds a message in the place of an earlier one of its id, or as the last.
    fn hold(&mut self, desk: &mut Desk<'_>, raw: &str, redacted: bool) -> Result<(), ImportError> {
        let message: Message<'_> = serde_json::from_str(raw).unwrap_or_default();
        let key = self.key(raw);
        let Some(id) = json::said(message.id) else {
            if message.kind.is_none() {
                desk.report.unknown("without id and type");
            }
            return keep(desk, &key, "message", raw, redacted);
        };
        self.held_bytes += raw.len();
        let new = Held {
            id: id.into_owned(),
            raw: raw.to_owned(),
            redacted,
            place: desk.place,
        };
        let place = self.places.get(&new.id).copied();
        match place.and_then(|at| self.held.get_mut(at)) {
            Some(held) => {
                let old = std::mem::replace(held, new);
                self.held_bytes -= old.raw.len();
                if old.raw != raw {
                    keep(desk, &key, "earlier message", &old.raw, old.redacted)?;
                }
            }
            None => {
                self.places.insert(new.id.clone(), self.held.len());
                self.held.push(new);
            }
        }
        if self.held_bytes > LONGEST_DOCUMENT {
            self.end(desk)?;
        }
        Ok(())
    }

    /// Takes back a message and all after it; of an id that is not known, all.
    fn rewind(
        &mut self,
        desk: &mut Desk<'_>,
        to: &str,
        record: Incoming<'_>,
    ) -> Result<(), ImportError> {
        let key = self.key(record.raw);
        let at = self.places.get(to).copied().unwrap_or(0);
        let gone = self.held.split_off(at);
        for held in &gone {
            self.held_bytes -= held.raw.len();
            self.places.remove(&held.id);
            keep(desk, &key, "message taken back", &held.raw, held.redacted)?;
        }
        let Admission::New(id) = desk.admit(&key, Identity::Content, record.raw) else {
            return Ok(());
        };
        let body = Body::Rollback {
            to: Some(to.to_owned()),
            reason: Some(format!("{} messages were taken back", gone.len())),
        };
        let event = Event {
            actor: Actor::Human,
            ..Event::new(body)
        };
        let record = Record {
            id,
            kind: "$rewindTo",
            raw: record.raw,
            redacted: record.redacted,
        };
        desk.write(&key, record, vec![event])
    }

    /// Makes events of what stands at the end.
    fn end(&mut self, desk: &mut Desk<'_>) -> Result<(), ImportError> {
        self.held_bytes = 0;
        self.places.clear();
        for held in std::mem::take(&mut self.held) {
            let key = self.key(&held.raw);
            if desk.state(&key).own {
                desk.report.skip(OWN);
                continue;
            }
            let Admission::New(id) = desk.admit(&key, Identity::Content, &held.raw) else {
                continue;
            };
            desk.place = held.place;
            let message: Message<'_> = serde_json::from_str(&held.raw).unwrap_or_default();
            let scene = Scene {
                key: &key,
                id: &held.id,
                at: json::time(message.at),
                actor: self.agent.clone().map_or(Actor::Agent, Actor::Subagent),
            };
            let events = message::events(desk, &scene, message);
            if desk.state(&key).own {
                continue;
            }
            let kind = json::text(message.kind).unwrap_or_default();
            let record = Record {
                id,
                kind: &kind,
                raw: &held.raw,
                redacted: held.redacted,
            };
            desk.write(&key, record, events)?;
        }
        Ok(())
    }
}

/// Hands over a record of which no event is made.
fn keep(
    desk: &mut Desk<'_>,
    key: &SessionKey,
    kind: &str,
    raw: &str,
    redacted: bool,
) -> Result<(), ImportError> {
    if desk.state(key).own {
        desk.report.skip(OWN);
        return Ok(());
    }
    let Admission::New(id) = desk.admit(key, Identity::Content, raw) else {
        return Ok(());
    };
    let record = Record {
        id,
        kind,
        raw,
        redacted,
    };
    desk.write(key, record, Vec::new())
}

//! Codex: rollouts of several generations.
//!
//! A line is `{timestamp, type, payload}`; the oldest files have the payload alone, or are one document. The
//! same result can stand there twice, as an event and as an item of the conversation, and newer versions
//! keep only the second. Whichever comes first is taken. Session files that were forked begin with a copy
//! of what they were forked from; the copies fold into the session that has them already.

mod calls;
mod command;
mod edits;
mod events;
mod output;
mod patch;
mod session;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::BufRead;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub(crate) use calls::{left_over, unanswered};

use super::desk::{Admission, Desk, Identity, OWN, Record};
use super::document::Document;
use super::found::{SessionKey, short_hash};
use super::json::{self, Member, members};
use super::records::{self, Incoming};
use super::{Format, ImportError, Input};
use crate::{Actor, Body, Event};

members!(
    /// A line, or a bare payload.
    Line {
        at = "timestamp",
        kind = "type",
        payload = "payload",
        record_type = "record_type",
        id = "id",
        instructions = "instructions",
        git = "git",
    }
);

members!(
    /// What a line carries.
    Payload {
        kind = "type",
        id = "id",
        at = "timestamp",
        cwd = "cwd",
        version = "cli_version",
        provider = "model_provider",
        originator = "originator",
        git = "git",
        forked_from = "forked_from_id",
        model = "model",
        role = "role",
        content = "content",
        summary = "summary",
        name = "name",
        arguments = "arguments",
        input = "input",
        action = "action",
        call = "call_id",
        output = "output",
        success = "success",
        exit_code = "exit_code",
        aggregated = "aggregated_output",
        stdout = "stdout",
        stderr = "stderr",
        duration = "duration",
        changes = "changes",
        info = "info",
        message = "message",
        reason = "reason",
        turns = "num_turns",
    }
);

/// So many messages of the person are remembered, to tell where a rollback leads.
const MOST_TURNS: usize = 256;

/// What is remembered of a session from line to line.
#[derive(Default)]
pub(crate) struct Memory {
    /// Calls whose result was handed over.
    done: HashSet<u128>,
    /// Commands that went on when their call was answered, by the number to ask for them.
    running: Vec<(i64, Event)>,
    /// The events that began the last turns.
    turns: VecDeque<String>,
    opened: bool,
    provider: Option<String>,
}

/// Reads a file of lines.
pub(crate) fn read(
    reader: impl BufRead,
    input: &Input<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), ImportError> {
    let mut file = Reading::new(id_in_name(input.name));
    records::each(reader, input, desk, |desk, record| file.take(desk, record))
}

/// Reads `{session, items[]}`, which the first versions wrote.
pub(crate) fn read_document(
    document: &Document,
    input: &Input<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), ImportError> {
    members!(
        /// The document.
        Whole {
            session = "session",
            items = "items",
        }
    );
    let Some(whole) = json::object::<Whole<'_>>(document.whole()) else {
        desk.report
            .bad(1, 0, "no object, or one with a member twice");
        return Ok(());
    };
    let mut file = Reading::new(id_in_name(input.name));
    for item in whole.session.into_iter().chain(json::items(whole.items)) {
        let record = Incoming {
            raw: item.get(),
            redacted: document.redacted(),
        };
        file.take(desk, record)?;
    }
    Ok(())
}

/// The id at the end of `rollout-<time>-<uuid>.jsonl`.
fn id_in_name(name: &str) -> Option<String> {
    let name = super::paths::last_part(name);
    let stem = name.split('.').next()?;
    let id = stem.get(stem.len().checked_sub(36)?..)?;
    let is_uuid = id.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    is_uuid.then(|| id.to_owned())
}

/// A payload, and what is known of it besides.
struct Scene<'s> {
    key: &'s SessionKey,
    payload: Payload<'s>,
    at: Option<DateTime<Utc>>,
}

impl Scene<'_> {
    fn event(&self, body: Body) -> Event {
        Event {
            timestamp: self.at,
            ..Event::new(body)
        }
    }

    fn by(&self, actor: Actor, body: Body) -> Event {
        Event {
            actor,
            ..self.event(body)
        }
    }
}

struct Reading {
    session: Option<SessionKey>,
    /// The session that the file begins with a copy of.
    forked_from: Option<String>,
    name: Option<String>,
    /// How often each payload has occurred.
    occurrences: HashMap<u128, u32>,
}

impl Reading {
    fn new(name: Option<String>) -> Self {
        Self {
            session: None,
            forked_from: None,
            name,
            occurrences: HashMap::new(),
        }
    }

    fn take(&mut self, desk: &mut Desk<'_>, record: Incoming<'_>) -> Result<(), ImportError> {
        let Ok(line) = serde_json::from_str::<Line<'_>>(record.raw) else {
            desk.report.skip("a record with one member twice");
            return Ok(());
        };
        let (kind, payload) = self.opened(&line, record.raw);
        let payload: Payload<'_> = json::object(payload).unwrap_or_default();
        if kind == "session_meta" {
            self.meta(&payload);
        }
        let key = self.session.clone().unwrap_or_else(|| {
            // Without a first line, the file's name says whose it is, or what its first record says.
            let id = self
                .name
                .clone()
                .unwrap_or_else(|| format!("{:032x}", short_hash(&[record.raw])));
            SessionKey {
                format: Format::Codex.name(),
                id: id.into(),
            }
        });
        self.session = Some(key.clone());
        if desk.state(&key).own {
            desk.report.skip(OWN);
            return Ok(());
        }
        let Some(id) = self.admit(desk, &key, &line, record) else {
            return Ok(());
        };
        let scene = Scene {
            key: &key,
            payload,
            at: json::time(line.at),
        };
        let events = events::of(desk, &scene, &kind);
        if desk.state(&key).own {
            return Ok(());
        }
        if let Some(turn) = events
            .iter()
            .find(|event| event.actor == Actor::Human && event.body.name() == "user_message")
        {
            let turns = &mut desk.state(&key).codex.turns;
            if turns.len() == MOST_TURNS {
                turns.pop_front();
            }
            turns.push_back(if turn.id.is_empty() {
                id.clone()
            } else {
                turn.id.clone()
            });
        }
        if let Some(at) = scene.at {
            desk.state(&key).saw_time(at);
        }
        let record = Record {
            id,
            kind: &kind,
            raw: record.raw,
            redacted: record.redacted,
        };
        desk.write(&key, record, events)
    }

    /// The kind of a line and its payload; a bare payload is an item of the conversation.
    fn opened<'r>(&self, line: &Line<'r>, text: &'r str) -> (Cow<'r, str>, Member<'r>) {
        let whole = || serde_json::from_str(text).ok();
        if line.payload.is_some() {
            (json::text(line.kind).unwrap_or_default(), line.payload)
        } else if line.record_type.is_some() {
            ("state".into(), None)
        } else if line.kind.is_some() {
            ("response_item".into(), whole())
        } else if line.id.is_some() || line.git.is_some() || line.instructions.is_some() {
            ("session_meta".into(), whole())
        } else {
            ("unknown".into(), None)
        }
    }

    fn meta(&mut self, payload: &Payload<'_>) {
        let Some(id) = json::said(payload.id) else {
            return;
        };
        match &self.session {
            None => {
                self.session = Some(SessionKey {
                    format: Format::Codex.name(),
                    id: id.as_ref().into(),
                });
                self.forked_from = json::said(payload.forked_from).map(Into::into);
            }
            // The copy brings the first line of the session that it was made of.
            Some(key) if *key.id != *id && self.forked_from.is_none() => {
                self.forked_from = Some(id.into_owned());
            }
            Some(_) => {}
        }
    }

    /// The id of a record that is new. It is made of the payload, because copies have other times.
    fn admit(
        &mut self,
        desk: &mut Desk<'_>,
        key: &SessionKey,
        line: &Line<'_>,
        record: Incoming<'_>,
    ) -> Option<String> {
        let said = line.payload.map_or(record.raw, |payload| payload.get());
        let kind = line.kind.map_or("", |kind| kind.get());
        let times = self
            .occurrences
            .entry(short_hash(&[kind, said]))
            .or_default();
        *times += 1;
        let times = times.to_string();
        let id = |session: &str| format!("{:032x}", short_hash(&[session, kind, said, &times]));
        if let Some(from) = &self.forked_from
            && desk.knows(key.format, &id(from))
        {
            desk.report.counts.duplicate += 1;
            let from = Value::from(&**from);
            desk.header(key)
                .extra
                .entry("continues".to_owned())
                .or_insert(from);
            return None;
        }
        match desk.admit(key, Identity::Everywhere(&id(&key.id)), record.raw) {
            Admission::New(id) => Some(id),
            Admission::Known(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::id_in_name;

    #[test]
    fn the_id_stands_at_the_end_of_the_name() {
        assert_eq!(
            id_in_name(
                "/x/rollout-2026-02-01T10-00-00-019c4b43-1451-7af3-be4c-5576369bf1ba.jsonl.zst"
            )
            .as_deref(),
            Some("019c4b43-1451-7af3-be4c-5576369bf1ba")
        );
        for name in [
            "rollout.jsonl",
            "",
            "rollout-2026-02-01T10-00-00-é19c4b43-1451-7af3-be4c-5576369bf1b.jsonl",
        ] {
            assert_eq!(id_in_name(name), None, "{name}");
        }
    }
}

//! Files that are one JSON document.

use std::cell::Cell;
use std::io::Read;

use serde_json::value::RawValue;

use super::desk::{Admission, Desk, Identity, Record};
use super::found::{SessionKey, short_hash};
use super::{ImportError, Input, LONGEST_DOCUMENT};
use crate::Event;

/// A document, redacted.
pub(crate) struct Document {
    text: String,
    redacted: bool,
    /// The place that was asked for last: items come in their order, and lines are counted once.
    last: Cell<(u64, u64)>,
}

impl Document {
    /// Reads and redacts it; `None` if it cannot be read, which is reported.
    pub(crate) fn read(reader: impl Read, input: &Input<'_>, desk: &mut Desk<'_>) -> Option<Self> {
        let mut bytes = Vec::new();
        let read = reader
            .take(LONGEST_DOCUMENT as u64 + 1)
            .read_to_end(&mut bytes);
        if let Err(error) = read {
            let reason = format!("cannot be read further: {error}");
            desk.report.bad(0, bytes.len() as u64, reason);
            return None;
        }
        desk.report.counts.bytes += bytes.len() as u64;
        if bytes.len() > LONGEST_DOCUMENT {
            let reason = format!("one document of more than {LONGEST_DOCUMENT} bytes");
            desk.report.bad(1, 0, reason);
            return None;
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let line = line_at(error.as_bytes(), at);
                desk.report.bad(line, at as u64, "not UTF-8");
                return None;
            }
        };
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        if let Err(error) = serde_json::from_str::<&RawValue>(&text) {
            let (line, column) = (error.line(), error.column());
            let before: usize = text
                .split_inclusive('\n')
                .take(line.saturating_sub(1))
                .map(str::len)
                .sum();
            let offset = (before + column.saturating_sub(1)).min(text.len());
            desk.report.bad(line as u64, offset as u64, reason(&error));
            return None;
        }
        let (redacted, found) = input.redacted(&text, desk);
        let text = match redacted {
            std::borrow::Cow::Owned(redacted) => redacted,
            std::borrow::Cow::Borrowed(_) => text,
        };
        Some(Self {
            text,
            redacted: found,
            last: Cell::new((1, 0)),
        })
    }

    /// Whether anything in it was redacted.
    pub(crate) fn redacted(&self) -> bool {
        self.redacted
    }

    /// The document as a value whose members are still to be read.
    pub(crate) fn whole(&self) -> Option<&RawValue> {
        serde_json::from_str(self.text.trim()).ok()
    }

    /// What stands for an id in a document without one.
    pub(crate) fn hash(&self) -> String {
        format!("{:032x}", short_hash(&[&self.text]))
    }

    /// Hands over an item of the document with what is made of it, unless it was handed over before.
    pub(crate) fn item(
        &self,
        desk: &mut Desk<'_>,
        key: &SessionKey,
        identity: Identity<'_>,
        (kind, raw): (&str, &str),
        make: impl FnOnce(&mut Desk<'_>) -> Vec<Event>,
    ) -> Result<(), ImportError> {
        if desk.state(key).own {
            desk.report.skip(super::desk::OWN);
            return Ok(());
        }
        let Admission::New(id) = desk.admit(key, identity, raw) else {
            return Ok(());
        };
        desk.place = self.place(raw);
        let events = make(desk);
        let record = Record {
            id,
            kind,
            raw,
            redacted: self.redacted,
        };
        desk.write(key, record, events)
    }

    /// Where an item is in the file: its line and first byte. Where something was redacted, only the file is
    /// known.
    pub(crate) fn place(&self, item: &str) -> (u64, u64) {
        let at = (item.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
        let Some(at) = at.filter(|at| !self.redacted && *at < self.text.len()) else {
            return (1, 0);
        };
        let (mut line, mut from) = self.last.get();
        if at < from as usize {
            (line, from) = (1, 0);
        }
        line += line_at(&self.text.as_bytes()[from as usize..], at - from as usize) - 1;
        self.last.set((line, at as u64));
        (line, at as u64)
    }

    /// Hands over all members of the document but those of these names, as one record.
    pub(crate) fn rest(
        &self,
        desk: &mut Desk<'_>,
        key: &SessionKey,
        but: &[&str],
    ) -> Result<(), ImportError> {
        let mut raw = String::from("{");
        for (name, value) in self.members() {
            if !but.contains(&name.as_str()) {
                if raw.len() > 1 {
                    raw.push(',');
                }
                raw.push_str(&serde_json::Value::from(name).to_string());
                raw.push(':');
                raw.push_str(value.get());
            }
        }
        raw.push('}');
        if raw.len() == 2 {
            return Ok(());
        }
        self.item(desk, key, Identity::Content, ("document", &raw), |_| {
            Vec::new()
        })
    }

    /// The members of the document in their order; none if it is no object.
    pub(crate) fn members(&self) -> Vec<(String, &RawValue)> {
        struct Ordered<'a>(Vec<(String, &'a RawValue)>);
        impl<'de: 'a, 'a> serde::Deserialize<'de> for Ordered<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = Vec<(String, &'de RawValue)>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        let mut members = Vec::new();
                        while let Some(member) = map.next_entry()? {
                            members.push(member);
                        }
                        Ok(members)
                    }
                }
                from.deserialize_map(Visitor).map(Ordered)
            }
        }
        serde_json::from_str::<Ordered<'_>>(&self.text)
            .map_or_else(|_| Vec::new(), |ordered| ordered.0)
    }
}

/// What is wrong with a JSON text, without a word of it.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => "cut off: no complete JSON value".to_owned(),
        _ => "no JSON".to_owned(),
    }
}

fn line_at(bytes: &[u8], at: usize) -> u64 {
    memchr::memchr_iter(b'\n', &bytes[..at]).count() as u64 + 1
}

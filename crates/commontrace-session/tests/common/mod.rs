//! Reads fixtures and keeps what was found.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::collections::HashMap;
use std::path::PathBuf;

use commontrace_session::import::{FileReport, Found, Importer, SessionKey, SinkError};
use commontrace_session::{Event, RawRef, Session};

/// What an import found.
#[derive(Default)]
pub struct Read {
    pub sessions: Vec<(SessionKey, Session)>,
    pub events: Vec<(SessionKey, Event)>,
    pub blobs: Vec<Vec<u8>>,
    pub names: HashMap<String, usize>,
    pub kept: usize,
    pub reports: Vec<FileReport>,
}

impl Read {
    /// The report of the only file.
    pub fn report(&self) -> &FileReport {
        &self.reports[0]
    }

    /// The record that an event was made of.
    pub fn record(&self, raw: &RawRef) -> &str {
        let blob = &self.blobs[self.names[&raw.blob]];
        std::str::from_utf8(&blob[raw.offset as usize..][..raw.length as usize])
            .expect("records are text")
    }

    fn take(&mut self, found: Found) {
        match found {
            Found::Session { key, session } => {
                match self.sessions.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, known)) => *known = *session,
                    None => self.sessions.push((key, *session)),
                }
            }
            Found::Batch(batch) => {
                self.names.insert(batch.blob.hash, self.blobs.len());
                self.blobs.push(batch.blob.bytes);
                for (key, event) in batch.events {
                    assert!(
                        self.sessions.iter().any(|(known, _)| *known == key),
                        "a session comes before its events"
                    );
                    let is_new = !self
                        .events
                        .iter()
                        .any(|(known, other)| *known == key && other.id == event.id);
                    assert!(is_new, "{} twice", event.id);
                    self.events.push((key, event));
                }
                self.kept += batch.kept.len();
            }
        }
    }
}

/// Where a fixture is.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// Imports a fixture.
pub fn read(name: &str) -> Read {
    read_all(&[name])
}

/// Imports fixtures one after the other.
pub fn read_all(names: &[&str]) -> Read {
    let mut read = Read::default();
    let mut reports = Vec::new();
    let mut importer = Importer::new();
    let mut sink = |found: Found| -> Result<(), SinkError> {
        read.take(found);
        Ok(())
    };
    for name in names {
        reports.push(
            importer
                .read_file(&fixture(name), &mut sink)
                .expect("a fixture can be read"),
        );
    }
    importer.finish(&mut sink).expect("the sink takes all");
    read.reports = reports;
    read
}

/// A file that is read again and again by one importer.
#[derive(Default)]
pub struct Growing {
    importer: Importer,
    read: Read,
}

impl Growing {
    /// Reads what the file has now.
    pub fn read(&mut self, name: &str, bytes: &[u8]) -> FileReport {
        let read = &mut self.read;
        let mut sink = |found: Found| -> Result<(), SinkError> {
            read.take(found);
            Ok(())
        };
        self.importer
            .read(name, bytes, &mut sink)
            .expect("memory can be read")
    }

    /// Says that nothing more comes.
    pub fn finish(self) -> Read {
        let Self { importer, mut read } = self;
        let mut sink = |found: Found| -> Result<(), SinkError> {
            read.take(found);
            Ok(())
        };
        importer.finish(&mut sink).expect("the sink takes all");
        read
    }
}

/// Imports bytes.
pub fn read_bytes(name: &str, bytes: &[u8]) -> Read {
    let mut read = Read::default();
    let mut importer = Importer::new();
    let mut sink = |found: Found| -> Result<(), SinkError> {
        read.take(found);
        Ok(())
    };
    let report = importer
        .read(name, bytes, &mut sink)
        .expect("memory can be read");
    importer.finish(&mut sink).expect("the sink takes all");
    read.reports.push(report);
    read
}

/// The types of the events.
pub fn bodies(read: &Read) -> Vec<&'static str> {
    read.events
        .iter()
        .map(|(_, event)| event.body.name())
        .collect()
}

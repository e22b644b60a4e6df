//! Reads what agents record and makes sessions of it.
//!
//! ```
//! use commontrace_session::import::{Found, Importer, SinkError};
//!
//! let recorded = br#"{"type":"user","uuid":"u1","sessionId":"s1","message":{"role":"user","content":"Mend it"}}"#;
//! let mut events = Vec::new();
//! let mut sink = |found: Found| -> Result<(), SinkError> {
//!     if let Found::Batch(batch) = found {
//!         events.extend(batch.events);
//!     }
//!     Ok(())
//! };
//! let mut importer = Importer::new();
//! let report = importer.read("s1.jsonl", &recorded[..], &mut sink)?;
//! assert_eq!((report.format, report.counts.imported), (Some("claude-code"), 1));
//! importer.finish(&mut sink)?;
//! assert_eq!(events[0].1.id, "u1");
//! # Ok::<(), commontrace_session::import::ImportError>(())
//! ```
//!
//! Each record (a line, or an item of a document) is redacted before anything is made of it. What is handed
//! over comes in the order of the file and in batches, so that no file is held in memory but those that are
//! one JSON document.
//!
//! **Invariants.** The same files in the same order give the same calls of the sink. A record that was
//! handed over is not handed over again by the same importer, whatever file repeats it. No input makes it
//! panic or use memory without bound. A damaged record costs only itself.

mod atif;
mod claude_code;
mod codex;
mod desk;
mod document;
mod files;
mod found;
mod gemini;
mod json;
mod lines;
mod mini_swe_agent;
mod packed;
mod paths;
mod records;
mod report;
mod runs;
mod seed;
mod sniff;
mod state;
mod swe_agent;
mod tools;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

pub use files::files;
pub use found::{Batch, Blob, Found, Kept, SessionKey, Sink, SinkError};
pub use report::{Counts, Damaged, FileReport};

pub use json::mended;
pub(crate) use json::parse_time;

use desk::{Desk, Memory};
use files::Beside;
use sniff::Layout;

/// The longest file that is read as one JSON document, in bytes.
pub const LONGEST_DOCUMENT: usize = 64 * 1024 * 1024;

/// A session whose first message begins with this is left out. Programs write it that let an agent answer
/// questions about sessions, or they would import their own calls; nothing in this repository does.
pub(crate) const OWN_SESSION_MARK: &str = "[commontrace:internal]";

/// A format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// What Claude Code keeps below `~/.claude/projects`.
    ClaudeCode,
    /// What Codex keeps below `~/.codex/sessions`.
    Codex,
    /// What Gemini CLI keeps below `~/.gemini/tmp`.
    Gemini,
    /// Harbor's trajectories, ATIF 1.0 to 1.7.
    Atif,
    /// Trajectories of SWE-agent.
    SweAgent,
    /// Trajectories of mini-swe-agent.
    MiniSweAgent,
    /// What clients post to `/traces`, and what our own export writes.
    Seed,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ClaudeCode,
        Self::Codex,
        Self::Gemini,
        Self::Atif,
        Self::SweAgent,
        Self::MiniSweAgent,
        Self::Seed,
    ];

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether what stands in a file may be written anew, so that its last words may be half of what they
    /// will be.
    pub fn rewrites(self) -> bool {
        self == Self::Gemini
    }

    /// The name of the format in sessions and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini-cli",
            Self::Atif => "atif",
            Self::SweAgent => "swe-agent",
            Self::MiniSweAgent => "mini-swe-agent",
            Self::Seed => "trace",
        }
    }
}

/// The format of a file by what it begins with; `None` if it is of none that is known, or compressed.
pub fn format_of(path: &Path) -> io::Result<Option<Format>> {
    let (head, _, failure) = head(BufReader::with_capacity(64 * 1024, open(path)?));
    match (failure, sniff::sniff(&head)) {
        (Some(failure), _) => Err(failure),
        (None, Some(Layout::Lines(format) | Layout::Document(format))) => Ok(Some(format)),
        (None, None) => Ok(None),
    }
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read. What was handed over of it before stays.
    #[error("cannot read `{file}`")]
    Read {
        /// The file.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// The sink took no more.
    #[error("cannot keep what was imported")]
    Sink(#[source] SinkError),
}

/// Reads files one after the other and remembers what it has handed over: 20 bytes for each record and event, and a
/// header for each session.
pub struct Importer {
    memory: Memory,
    redacts: bool,
}

impl Default for Importer {
    fn default() -> Self {
        Self::new()
    }
}

impl Importer {
    /// An importer that has read nothing yet.
    pub fn new() -> Self {
        Self {
            memory: Memory::default(),
            redacts: true,
        }
    }

    /// One that hands over secrets as they are. For measuring how fast records are parsed; what it hands
    /// over must not be kept.
    pub fn without_redaction() -> Self {
        Self {
            memory: Memory::default(),
            redacts: false,
        }
    }

    /// Reads a file; its neighbours too, where it says that parts of it are there.
    pub fn read_file(
        &mut self,
        path: &Path,
        sink: &mut dyn Sink,
    ) -> Result<FileReport, ImportError> {
        let name = path.display().to_string();
        let file = open(path).map_err(|source| ImportError::Read {
            file: name.clone(),
            source,
        })?;
        let beside = Beside::of(path);
        self.read_beside(
            &name,
            BufReader::with_capacity(64 * 1024, file),
            &beside,
            sink,
        )
    }

    /// Reads what `reader` gives, plain or compressed with Zstandard. The name is for the report, and where
    /// a format puts an id into file names and nowhere else.
    pub fn read(
        &mut self,
        name: &str,
        reader: impl BufRead,
        sink: &mut dyn Sink,
    ) -> Result<FileReport, ImportError> {
        self.read_beside(name, reader, &Beside::none(), sink)
    }

    /// Says of calls that nothing answered in any file that they were made. To be called after the last file,
    /// not between the readings of a file that grows.
    pub fn finish(self, sink: &mut dyn Sink) -> Result<Counts, ImportError> {
        let Self { mut memory, .. } = self;
        for key in memory.keys() {
            let mut desk = Desk::new("", &mut memory, sink);
            let state = desk.state(&key);
            if state.own || !state.announced {
                continue;
            }
            let mut late = Vec::new();
            while let Some(call) = state.next_unanswered() {
                if key.format == Format::Codex.name() {
                    late.extend(codex::unanswered(state, call));
                } else {
                    late.extend(call.unanswered());
                }
            }
            late.extend(claude_code::left_over(state));
            late.extend(codex::left_over(state));
            desk.write_late(&key, "", late);
            desk.close()?;
        }
        Ok(memory.total)
    }

    fn read_beside(
        &mut self,
        name: &str,
        reader: impl BufRead,
        beside: &Beside,
        sink: &mut dyn Sink,
    ) -> Result<FileReport, ImportError> {
        let (head, rest, failure) = head(reader);
        if failure.is_none() && head.starts_with(b"\x28\xb5\x2f\xfd") {
            let (frames, refused) = packed::Frames::new(io::Cursor::new(head).chain(rest));
            let (head, rest, failure) = self::head(BufReader::with_capacity(64 * 1024, frames));
            return self.read_plain(name, (head, rest, refused.or(failure)), beside, sink);
        }
        self.read_plain(name, (head, rest, failure), beside, sink)
    }

    fn read_plain(
        &mut self,
        name: &str,
        (head, rest, failure): (Vec<u8>, impl BufRead, Option<io::Error>),
        beside: &Beside,
        sink: &mut dyn Sink,
    ) -> Result<FileReport, ImportError> {
        let layout = sniff::sniff(&head);
        let is_empty = head.trim_ascii().is_empty();
        let mut desk = Desk::new(name, &mut self.memory, sink);
        if let Some(error) = failure {
            desk.report.bad(
                0,
                head.len() as u64,
                format!("cannot be read further: {error}"),
            );
        }
        let reader = io::Cursor::new(head).chain(rest);
        let input = Input {
            name,
            redacts: self.redacts,
            beside,
        };
        match layout {
            Some(Layout::Lines(format)) => {
                desk.report.format = Some(format.name());
                match format {
                    Format::Codex => codex::read(reader, &input, &mut desk)?,
                    Format::Gemini => gemini::read(reader, &input, &mut desk)?,
                    _ => claude_code::read(reader, &input, &mut desk)?,
                }
            }
            Some(Layout::Document(format)) => {
                desk.report.format = Some(format.name());
                let Some(document) = document::Document::read(reader, &input, &mut desk) else {
                    return desk.close();
                };
                match format {
                    Format::Codex => codex::read_document(&document, &input, &mut desk)?,
                    Format::Gemini => gemini::read_document(&document, &input, &mut desk)?,
                    Format::Atif => atif::read(&document, &mut desk)?,
                    Format::SweAgent => swe_agent::read(&document, &mut desk)?,
                    Format::MiniSweAgent => mini_swe_agent::read(&document, &mut desk)?,
                    Format::Seed | Format::ClaudeCode => seed::read(&document, &mut desk)?,
                }
            }
            None if is_empty || desk.report.counts.bad > 0 => {}
            None => desk.report.bad(1, 0, "of no format that is known"),
        }
        desk.close()
    }
}

/// What is read and how.
pub(crate) struct Input<'i> {
    name: &'i str,
    redacts: bool,
    beside: &'i Beside,
}

impl Input<'_> {
    /// The record without what is secret, and whether anything was.
    fn redacted<'r>(
        &self,
        record: &'r str,
        desk: &mut Desk<'_>,
    ) -> (std::borrow::Cow<'r, str>, bool) {
        if !self.redacts {
            return (record.into(), false);
        }
        let answer = commontrace_redact::redact_json_text(record);
        let found = !answer.summary.is_empty();
        if found {
            desk.report.counts.redacted.add(&answer.summary);
        }
        (answer.text, found)
    }
}

/// Opens a regular file. Anything else could keep its reader waiting for ever.
fn open(path: &Path) -> io::Result<File> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path)
}

/// The first part of what a reader gives, the rest, and why there is none if it could not be read.
fn head<R: BufRead>(mut reader: R) -> (Vec<u8>, io::Take<R>, Option<io::Error>) {
    let mut head = Vec::new();
    let failure = reader
        .by_ref()
        .take(sniff::HEAD as u64)
        .read_to_end(&mut head)
        .err();
    // A reader that has failed once is not asked again.
    let rest = if failure.is_some() { 0 } else { u64::MAX };
    (head, reader.take(rest), failure)
}

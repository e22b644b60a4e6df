//! What became of each record of each file.

use std::collections::BTreeMap;

use commontrace_redact::Summary;
use serde::Serialize;

/// At most this many damaged records are listed per file; all are counted.
const MOST_LISTED: usize = 100;

/// At most this many kinds of record and reasons are told apart; the rest is counted as `other`.
const MOST_KINDS: usize = 64;

/// How many records there were of each fate, and what came of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Bytes that were read, after decompression.
    pub bytes: u64,
    /// Records that were handed over, with or without events.
    pub imported: u64,
    /// Records that had been handed over before.
    pub duplicate: u64,
    /// Records that were left out on purpose; `reasons` says why.
    pub skipped: u64,
    /// Records that could not be read.
    pub bad: u64,
    /// Values of records that are too deep or have too many parts, and are kept as they are written: as texts.
    pub unparsed: u64,
    /// Events by type.
    pub events: BTreeMap<String, u64>,
    /// Why records were skipped.
    pub reasons: BTreeMap<String, u64>,
    /// Kinds of record that this version does not know; they are kept, and counted as imported.
    pub unknown: BTreeMap<String, u64>,
    /// What was redacted, by rule.
    pub redacted: Summary,
}

/// What became of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The file, as it was named to the importer.
    pub file: String,
    /// The format that it was read as; `None` if it is of none that is known.
    pub format: Option<&'static str>,
    /// What became of its records.
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether the last line is only the start of a record, as in a file that is being written. It counts as
    /// bad, and can be read when the file has grown.
    pub ends_within_record: bool,
    /// The first hundred of the records that could not be read, and of the values that were not parsed.
    pub damage: Vec<Damaged>,
}

/// A record that could not be read, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// The line, counted from 1; of a file that is one document, the line of the error in it.
    pub line: u64,
    /// Where in the file the damage was noticed, in bytes after decompression.
    pub offset: u64,
    /// What is wrong with it. Quotes nothing of the record.
    pub reason: String,
}

impl Counts {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.imported += other.imported;
        self.duplicate += other.duplicate;
        self.skipped += other.skipped;
        self.bad += other.bad;
        self.unparsed += other.unparsed;
        self.redacted.add(&other.redacted);
        let maps = [
            (&mut self.events, &other.events),
            (&mut self.reasons, &other.reasons),
            (&mut self.unknown, &other.unknown),
        ];
        for (sum, more) in maps {
            for (name, count) in more {
                add(sum, name, *count);
            }
        }
    }

    /// How many events were made.
    pub fn total_events(&self) -> u64 {
        self.events.values().sum()
    }
}

impl FileReport {
    pub(crate) fn bad(&mut self, line: u64, offset: u64, reason: impl Into<String>) {
        self.counts.bad += 1;
        self.list(line, offset, reason);
    }

    pub(crate) fn unparsed(&mut self, (line, offset): (u64, u64)) {
        self.counts.unparsed += 1;
        let reason =
            "a value that is nested too deeply or has too many parts: it is kept as a text";
        self.list(line, offset, reason);
    }

    fn list(&mut self, line: u64, offset: u64, reason: impl Into<String>) {
        if self.damage.len() < MOST_LISTED {
            self.damage.push(Damaged {
                line,
                offset,
                reason: reason.into(),
            });
        }
    }

    pub(crate) fn skip(&mut self, reason: &str) {
        self.counts.skipped += 1;
        add(&mut self.counts.reasons, reason, 1);
    }

    pub(crate) fn unknown(&mut self, kind: &str) {
        // A kind is the tool's word; of what is no word, its start says enough.
        let kind: String = kind.chars().filter(|c| !c.is_control()).take(64).collect();
        add(&mut self.counts.unknown, &kind, 1);
    }

    pub(crate) fn event(&mut self, name: &'static str) {
        add(&mut self.counts.events, name, 1);
    }
}

fn add(sum: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    if let Some(known) = sum.get_mut(name) {
        *known += count;
    } else {
        let name = if sum.len() < MOST_KINDS {
            name
        } else {
            "other"
        };
        *sum.entry(name.to_owned()).or_default() += count;
    }
}

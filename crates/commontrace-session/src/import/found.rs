//! What an import hands over, and to whom.

use std::fmt;
use std::sync::Arc;

use commontrace_core::hex;
use sha2::{Digest, Sha256};

use crate::{Event, RawRef, Session};

/// A session, as the tool that recorded it names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The format, such as `claude-code`.
    pub format: &'static str,
    /// The tool's id of the session.
    pub id: Arc<str>,
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.format, self.id)
    }
}

/// What was found next. A session comes before its events, a blob with the events that refer to it.
#[derive(Debug)]
pub enum Found {
    /// What is known of a session so far: once before its first events and again at the end of each file
    /// that told more. The later one replaces the earlier one.
    Session {
        /// The session.
        key: SessionKey,
        /// All that the files that were read so far say of it.
        session: Box<Session>,
    },
    /// Records and the events that were made of them, in the order of the file.
    Batch(Batch),
}

/// Some records of a file, at most a mebibyte of them or a single larger one, and their events.
///
/// An event that is stored already (by session and id) may be left out, and the blob with it if no event and
/// no kept record of the batch is new.
#[derive(Debug)]
pub struct Batch {
    /// The records, redacted and otherwise byte for byte as they were, each followed by a line break.
    pub blob: Blob,
    /// The events, each with its session.
    pub events: Vec<(SessionKey, Event)>,
    /// Records of which no event was made.
    pub kept: Vec<Kept>,
}

/// Bytes and their name.
#[derive(Debug)]
pub struct Blob {
    /// SHA-256 of the bytes, in lower-case hexadecimal digits.
    pub hash: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A record of which no event was made: bookkeeping, progress, or a kind that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The session that it belongs to.
    pub session: SessionKey,
    /// Unique within its session, also among the events.
    pub id: String,
    /// What the tool calls this kind of record.
    pub kind: String,
    /// Where it is.
    pub raw: RawRef,
}

/// Takes what an import finds. Closures of that shape are sinks.
pub trait Sink {
    /// Takes the next thing; an error ends the import.
    fn take(&mut self, found: Found) -> Result<(), SinkError>;
}

/// Why a sink takes no more.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

impl<F: FnMut(Found) -> Result<(), SinkError>> Sink for F {
    fn take(&mut self, found: Found) -> Result<(), SinkError> {
        self(found)
    }
}

/// SHA-256 in lower-case hexadecimal digits.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes))
}

/// The first 16 bytes of the SHA-256 of some texts, each with its length.
pub(crate) fn short_hash(parts: &[&str]) -> u128 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(first)
}

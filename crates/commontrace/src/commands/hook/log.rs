//! What went wrong in hooks, a line each: nobody else is told.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use commontrace_core::text::clean_line;
use commontrace_redact::redact;

use crate::start;

/// The file in the data directory.
pub const FILE: &str = "hook.log";
/// Bytes from which on a new file is begun; the one before is kept.
const LONG: u64 = 1024 * 1024;
/// Characters of a line at most.
const LINE: usize = 500;

/// The log, as one run of a hook writes it.
#[derive(Debug, Clone)]
pub struct Log {
    file: Option<PathBuf>,
    host: String,
    event: String,
    at: DateTime<Utc>,
}

impl Log {
    /// Writes into this folder; without one, nothing is written.
    pub fn new(data_dir: Option<&Path>, host: &str, at: DateTime<Utc>) -> Self {
        Self {
            file: data_dir.map(|folder| folder.join(FILE)),
            host: host.to_owned(),
            event: String::new(),
            at,
        }
    }

    /// The same for an event that is known by now.
    pub fn at(&self, event: &str) -> Self {
        Self {
            event: event.to_owned(),
            ..self.clone()
        }
    }

    /// Writes a line, if that is possible.
    pub fn write(&self, line: &str) {
        let Some(file) = &self.file else { return };
        if let Some(folder) = file.parent()
            && start::create_private(folder).is_err()
        {
            return;
        }
        let at = self.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let line = format!("{} {}: {line}", self.host, self.event);
        let line: String = clean_line(&redact(&line).text).chars().take(LINE).collect();
        if std::fs::metadata(file).is_ok_and(|there| there.len() > LONG) {
            // Whoever else does the same at this moment moves a short file, of which little is lost.
            let _ = std::fs::rename(file, file.with_extension("log.1"));
        }
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(file);
        // One call, so that lines of several hooks do not mix.
        let _ = opened.and_then(|mut file| file.write_all(format!("{at} {line}\n").as_bytes()));
    }
}

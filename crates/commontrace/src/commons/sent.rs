//! The log of everything that was sent to a server: `sent.jsonl` in the data directory, one line for each
//! request, written before it is sent. The key is no part of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::files;

/// Bytes after which the log begins a new file.
const FILE_MAX: u64 = 8 * 1024 * 1024;
/// Earlier files that are kept: `sent.jsonl.1` is the youngest.
const KEPT: u32 = 4;

/// A request that was about to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When.
    pub time: DateTime<Utc>,
    /// On whose behalf: the command, and for hooks the event.
    pub command: String,
    /// Scheme, host and port.
    pub host: String,
    /// The HTTP method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The name under which a contribution is kept once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The body, byte for byte; null if there is none.
    pub body: Option<String>,
    /// The marks that stand in it for what was taken out, by rule.
    pub redactions: BTreeMap<String, usize>,
}

/// Where the log is.
#[derive(Debug, Clone)]
pub struct SentLog {
    path: PathBuf,
}

impl SentLog {
    /// Returns the log in this data directory, which need not exist.
    pub fn in_dir(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("sent.jsonl"),
        }
    }

    /// Returns the file that is written to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line. Lines of several processes stand whole beside each other.
    pub fn append(&self, sent: &Sent) -> io::Result<()> {
        let mut line = serde_json::to_vec(sent)?;
        line.push(b'\n');
        let mut file = self.open()?;
        if !ends_a_line(&mut file)? {
            // Somebody was ended in the middle of theirs.
            line.insert(0, b'\n');
        }
        file.write_all(&line)
    }

    /// Makes sure that a line could be added.
    pub fn check(&self) -> io::Result<()> {
        self.open().map(drop)
    }

    /// Opens the log, locked, with room for a line.
    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            files::create_dir(folder)?;
        }
        loop {
            let file = files::append(&self.path)?;
            file.lock()?;
            // Another process may have begun a new file before the lock was free.
            if !files::is_at(&file, &self.path)? {
                continue;
            }
            if file.metadata()?.len() < FILE_MAX {
                return Ok(file);
            }
            self.rotate()?;
        }
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (0..KEPT).rev() {
            match std::fs::rename(self.file(number), self.file(number + 1)) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&self, number: u32) -> PathBuf {
        match number {
            0 => self.path.clone(),
            number => PathBuf::from(format!("{}.{number}", self.path.display())),
        }
    }

    /// Reads all that is kept, oldest first, and hands over each entry and its line. A line that is none of
    /// ours is left out.
    pub fn read(&self, mut entry: impl FnMut(Sent, &str)) -> io::Result<()> {
        for number in (0..=KEPT).rev() {
            let file = match File::open(self.file(number)) {
                Ok(file) => file,
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                Err(err) => return Err(err),
            };
            for line in BufReader::new(file).split(b'\n') {
                let line = line?;
                // One that was cut off may end in the middle of a character.
                let Ok(line) = std::str::from_utf8(&line) else {
                    continue;
                };
                if let Ok(sent) = serde_json::from_str(line) {
                    entry(sent, line);
                }
            }
        }
        Ok(())
    }
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Counts the marks that redaction has left in a text, by rule.
pub fn marks(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let names = text.split("[redacted:").skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once(']')?;
        let is_rule = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (!name.is_empty() && name.chars().all(is_rule)).then_some(name)
    });
    for name in names {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    let homes = text.matches("/[user]").count();
    if homes > 0 {
        counts.insert("home-path".to_owned(), homes);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: &str) -> Sent {
        Sent {
            time: "2026-11-20T12:00:00Z".parse().expect("a time"),
            command: "search".to_owned(),
            host: "https://commons.example".to_owned(),
            method: "POST".to_owned(),
            path: "/api/v1/traces/search".to_owned(),
            idempotency_key: None,
            body: Some(body.to_owned()),
            redactions: marks(body),
        }
    }

    fn bodies(log: &SentLog) -> Vec<String> {
        let mut found = Vec::new();
        log.read(|sent, _| found.extend(sent.body))
            .expect("it is read");
        found
    }

    #[test]
    fn lines_of_many_at_once_stay_whole() {
        let folder = tempfile::tempdir().expect("a directory");
        let log = SentLog::in_dir(&folder.path().join("data"));
        let body = |writer: usize, line: usize| format!("{writer} {line} {}", "ä\n\"".repeat(3000));
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let log = log.clone();
                scope.spawn(move || {
                    for line in 0..25 {
                        log.append(&entry(&body(writer, line))).expect("a line");
                    }
                });
            }
        });
        let mut found = bodies(&log);
        let mut all: Vec<String> = (0..4)
            .flat_map(|w| (0..25).map(move |l| body(w, l)))
            .collect();
        found.sort();
        all.sort();
        assert_eq!(found, all);
        assert_eq!(files::open_to_others(log.path()), 0);
        assert_eq!(files::open_to_others(&folder.path().join("data")), 0);
    }

    #[test]
    fn half_a_line_spoils_no_other() {
        let folder = tempfile::tempdir().expect("a directory");
        let log = SentLog::in_dir(folder.path());
        log.append(&entry("first")).expect("a line");
        let mut file = files::append(log.path()).expect("it opens");
        file.write_all("{\"time\":\"ä".as_bytes().split_last().expect("bytes").1)
            .expect("half a line, and half a character");
        log.append(&entry("second")).expect("a line");
        assert_eq!(bodies(&log), ["first", "second"]);
    }

    #[test]
    fn the_log_goes_on_in_a_new_file_and_the_oldest_is_dropped() {
        let folder = tempfile::tempdir().expect("a directory");
        let log = SentLog::in_dir(folder.path());
        let large = "x".repeat(usize::try_from(FILE_MAX).expect("it fits"));
        for number in 0..7 {
            log.append(&entry(&format!("{number}{large}")))
                .expect("a line");
        }
        let kept: Vec<char> = bodies(&log)
            .iter()
            .filter_map(|body| body.chars().next())
            .collect();
        assert_eq!(kept, ['2', '3', '4', '5', '6']);
    }

    #[test]
    fn marks_are_counted_by_rule() {
        let counts = marks(
            "a [redacted:email] [redacted:email] /home/[user]/x [redacted:not one] [redacted:github-pat]",
        );
        let counts: Vec<_> = counts
            .iter()
            .map(|(rule, count)| (rule.as_str(), *count))
            .collect();
        assert_eq!(counts, [("email", 2), ("github-pat", 1), ("home-path", 1)]);
    }
}

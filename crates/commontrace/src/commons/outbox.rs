//! Contributions on their way to a server: `outbox/` in the data directory, one file each.
//!
//! A contribution is written here before it is sent, and removed once the server has answered. Whoever sends
//! it holds a lock on its file, so that of several processes one does; if it is ended in between, the next
//! one sends it again under the same name, and the server keeps it once.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::files;

/// Contributions that may wait.
const WAITING_MAX: usize = 500;
/// How long a server surely remembers the name of a contribution: it promises 48 hours.
const REMEMBERED: TimeDelta = TimeDelta::hours(47);

/// A contribution that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The name under which the server keeps it once.
    pub idempotency_key: Uuid,
    /// The server it was agreed to be published on.
    pub host: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The trace, as `POST /api/v1/traces` takes it.
    pub body: Value,
}

/// A contribution that the server did not take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub reason: String,
    /// What it was.
    #[serde(flatten)]
    pub waiting: Waiting,
}

/// Where they wait.
#[derive(Debug, Clone)]
pub struct Outbox {
    folder: PathBuf,
}

/// A contribution that nobody else sends meanwhile.
#[derive(Debug)]
pub struct Held {
    pub waiting: Waiting,
    path: PathBuf,
    /// When it was first sent without an answer, if it was.
    tried: Option<DateTime<Utc>>,
    /// Holds the lock.
    _file: File,
}

impl Outbox {
    /// Returns the one in this data directory, which need not exist.
    pub fn in_dir(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join("outbox"),
        }
    }

    fn refused_dir(&self) -> PathBuf {
        self.folder.join("refused")
    }

    /// Adds a contribution and keeps it from being sent by others.
    pub fn add(&self, waiting: Waiting) -> io::Result<Held> {
        files::create_dir(&self.folder)?;
        if self.names()?.len() >= WAITING_MAX {
            return Err(io::Error::other(format!(
                "{WAITING_MAX} contributions wait already"
            )));
        }
        let name = format!(
            "{:020}-{}.json",
            waiting.since.timestamp_micros(),
            waiting.idempotency_key
        );
        let path = self.folder.join(name);
        let file = files::create(&path, &serde_json::to_vec(&waiting)?, true)?;
        Ok(Held {
            waiting,
            path,
            tried: None,
            _file: file,
        })
    }

    /// Lists what waits, oldest first, without keeping anybody from sending it.
    pub fn waiting(&self) -> io::Result<Vec<Waiting>> {
        let mut all = Vec::new();
        for name in self.names()? {
            // Gone since the look into the directory: sent.
            let Ok(text) = std::fs::read(self.folder.join(name)) else {
                continue;
            };
            all.extend(serde_json::from_slice::<Waiting>(&text));
        }
        Ok(all)
    }

    /// Takes what waits for this server and nobody else is sending, oldest first.
    pub fn take(&self, host: &str) -> io::Result<Vec<Held>> {
        let mut all = Vec::new();
        for name in self.names()? {
            match self.hold(&name) {
                Ok(held) => all.extend(held.filter(|held| held.waiting.host == host)),
                // One that cannot be read holds up no other.
                Err(err) => tracing::warn!("{} waits on: {err}", self.folder.join(name).display()),
            }
        }
        Ok(all)
    }

    fn hold(&self, name: &str) -> io::Result<Option<Held>> {
        let path = self.folder.join(name);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(err)) => return Err(err),
        }
        // Whoever had the lock before may have sent it.
        if !files::is_at(&file, &path)? {
            return Ok(None);
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let Ok(waiting) = serde_json::from_slice(&text) else {
            tracing::warn!(
                "{} is no contribution and stays where it is",
                path.display()
            );
            return Ok(None);
        };
        Ok(Some(Held {
            waiting,
            tried: tried(name),
            path,
            _file: file,
        }))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        names_in(&self.folder)
    }

    /// Whether anything waits.
    pub fn is_empty(&self) -> bool {
        self.names().is_ok_and(|names| names.is_empty())
    }

    /// Lists what servers did not take, oldest first.
    pub fn refused(&self) -> io::Result<Vec<Refused>> {
        let folder = self.refused_dir();
        let mut all = Vec::new();
        for name in names_in(&folder)? {
            let Ok(text) = std::fs::read(folder.join(name)) else {
                continue;
            };
            all.extend(serde_json::from_slice::<Refused>(&text));
        }
        Ok(all)
    }

    /// Removes everything but what is being sent at the moment.
    pub fn clear(&self) -> io::Result<()> {
        for name in self.names()? {
            if let Some(held) = self.hold(&name)? {
                held.done()?;
            }
        }
        let refused = self.refused_dir();
        for name in names_in(&refused)? {
            std::fs::remove_file(refused.join(name))?;
        }
        Ok(())
    }
}

impl Held {
    /// Notes that it is about to be sent. An error says why it must not be: it was sent so long ago that the
    /// server may not know it again.
    pub fn begin(&mut self, now: DateTime<Utc>) -> io::Result<Result<(), String>> {
        match self.tried {
            Some(first) if now - first > REMEMBERED => Ok(Err(format!(
                "it was sent on {} and no answer came; the server may have it and would not know it again by now. Look \
                 for it there, and contribute it anew if it is not.",
                first.format("%Y-%m-%d %H:%M")
            ))),
            Some(_) => Ok(Ok(())),
            None => {
                let path = self
                    .path
                    .with_extension(format!("tried{}.json", now.timestamp_micros()));
                self.rename(path, Some(now))?;
                Ok(Ok(()))
            }
        }
    }

    /// Notes that it did not reach the server after all.
    pub fn not_sent(&mut self) -> io::Result<()> {
        let name = self
            .path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        match name.as_deref().and_then(|name| name.split_once(".tried")) {
            Some((name, _)) => self.rename(self.path.with_file_name(format!("{name}.json")), None),
            None => Ok(()),
        }
    }

    /// The lock stays with the file under its new name.
    fn rename(&mut self, path: PathBuf, tried: Option<DateTime<Utc>>) -> io::Result<()> {
        std::fs::rename(&self.path, &path)?;
        self.path = path;
        self.tried = tried;
        Ok(())
    }

    /// Whether it may have reached the server before.
    pub fn was_tried(&self) -> bool {
        self.tried.is_some()
    }

    /// Removes it: the server has it, or its contributor was told that it does not.
    pub fn done(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Puts it aside with the reason for which the server did not take it.
    pub fn refuse(self, reason: &str) -> io::Result<()> {
        let folder = self.path.with_file_name("refused");
        files::create_dir(&folder)?;
        let refused = Refused {
            reason: reason.to_owned(),
            waiting: self.waiting,
        };
        let name = format!(
            "{:020}-{}.json",
            refused.waiting.since.timestamp_micros(),
            refused.waiting.idempotency_key
        );
        files::create(&folder.join(name), &serde_json::to_vec(&refused)?, false)?;
        std::fs::remove_file(&self.path)
    }
}

/// When the contribution in a file of this name was sent without an answer.
fn tried(name: &str) -> Option<DateTime<Utc>> {
    let (_, rest) = name.split_once(".tried")?;
    DateTime::from_timestamp_micros(rest.strip_suffix(".json")?.parse().ok()?)
}

/// The names of the contributions in a directory, oldest first; none if it is not there.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(err),
    };
    let mut names = Vec::new();
    for file in listed {
        let name = file?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOST: &str = "https://commons.example";

    fn noon() -> DateTime<Utc> {
        "2026-11-20T12:00:00Z".parse().expect("a time")
    }

    fn waiting(number: u128) -> Waiting {
        Waiting {
            idempotency_key: Uuid::from_u128(number),
            host: HOST.to_owned(),
            since: noon() + TimeDelta::seconds(i64::try_from(number).expect("small")),
            body: json!({ "title": number.to_string() }),
        }
    }

    fn titles(held: &[Held]) -> Vec<&str> {
        held.iter()
            .filter_map(|held| held.waiting.body["title"].as_str())
            .collect()
    }

    #[test]
    fn what_one_sends_no_other_takes_and_what_was_left_waits_for_the_next() {
        let folder = tempfile::tempdir().expect("a directory");
        let outbox = Outbox::in_dir(folder.path());
        let second = outbox.add(waiting(2)).expect("room");
        let first = outbox.add(waiting(1)).expect("room");
        assert!(
            outbox.take(HOST).expect("a list").is_empty(),
            "both are held"
        );
        drop((first, second));
        assert!(
            outbox
                .take("https://another.example")
                .expect("a list")
                .is_empty()
        );
        let mut held = outbox.take(HOST).expect("a list");
        assert_eq!(titles(&held), ["1", "2"]);
        assert!(outbox.take(HOST).expect("a list").is_empty());
        held.remove(0).done().expect("it is removed");
        held.remove(0).refuse("a husk").expect("it is put aside");
        assert!(outbox.is_empty() && outbox.waiting().expect("a list").is_empty());
        let refused = outbox.refused().expect("a list");
        assert_eq!(
            refused,
            [Refused {
                reason: "a husk".to_owned(),
                waiting: waiting(2)
            }]
        );
    }

    #[test]
    fn what_the_server_may_have_and_would_not_know_again_is_not_sent_again() {
        let folder = tempfile::tempdir().expect("a directory");
        let outbox = Outbox::in_dir(folder.path());
        let begin = |held: &mut Held, now| held.begin(now).expect("it is renamed");
        let mut held = outbox.add(waiting(1)).expect("room");
        assert_eq!(begin(&mut held, noon()), Ok(()));
        drop(held);
        let mut held = outbox.take(HOST).expect("a list").remove(0);
        assert!(held.was_tried());
        assert_eq!(begin(&mut held, noon() + TimeDelta::hours(46)), Ok(()));
        begin(&mut held, noon() + TimeDelta::hours(48)).expect_err("too late");
        held.not_sent().expect("it is renamed");
        drop(held);
        let mut held = outbox.take(HOST).expect("a list").remove(0);
        assert_eq!(begin(&mut held, noon() + TimeDelta::hours(99)), Ok(()));
    }
}

//! Where agents write, and which of their files have changed.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_server::clock::Clock;
use commontrace_server::error::chain;
use commontrace_session::import::{Format, Found, ImportError, Importer, files, format_of};
use tokio::sync::mpsc;

use crate::commands::complain;
use crate::config::Environment;

/// Returns the folders in which agents keep their recordings, whether they are there or not.
pub fn of_agents(env: &Environment) -> Vec<PathBuf> {
    let set = |name: &str| {
        let value = env.get(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let home = set("HOME");
    let at_home = |folder: &str| home.as_ref().map(|home| home.join(folder));
    let claude = set("CLAUDE_CONFIG_DIR").or_else(|| at_home(".claude"));
    let codex = set("CODEX_HOME").or_else(|| at_home(".codex"));
    [
        claude.map(|folder| folder.join("projects")),
        codex.map(|folder| folder.join("sessions")),
        at_home(".gemini/tmp"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What comes of reading.
#[derive(Debug)]
pub enum Step {
    /// A file is being read; what is found is of this one until the next.
    File(PathBuf),
    /// Something to store.
    Found(Found),
    /// The file was read to its end. So many records could not be read, beyond those of the last time.
    Read(u64),
}

/// The files that were read, and what they gave.
#[derive(Default)]
pub struct Folders {
    importer: Importer,
    read: HashMap<PathBuf, ReadFile>,
    /// What was said about a path that cannot be read, so that it is not said at every look.
    told: HashMap<PathBuf, String>,
}

struct ReadFile {
    look: Look,
    bad: u64,
}

/// How long nothing may have been written to a file of a format that writes messages anew as they grow. An
/// event is stored once, and should not be the half of a message.
const REST: TimeDelta = TimeDelta::seconds(60);

/// What a file looks like from outside.
#[derive(PartialEq)]
struct Look {
    size: u64,
    modified: Option<SystemTime>,
}

impl From<Metadata> for Look {
    fn from(about: Metadata) -> Self {
        Self {
            size: about.len(),
            modified: about.modified().ok(),
        }
    }
}

impl Look {
    /// Whether nothing was written to it for a while. What no time is known of is not waited for.
    fn rests(&self) -> bool {
        let modified = self.modified.map(DateTime::<Utc>::from);
        modified.is_none_or(|modified| Clock::System.now() - modified > REST)
    }
}

impl Folders {
    /// Reads the files that are new or have changed, until nobody takes what is found.
    pub fn read(&mut self, paths: &[PathBuf], found: &mpsc::Sender<Step>) {
        for path in paths {
            let below = match files(path) {
                Ok(below) => below,
                Err(err) => {
                    self.trouble(path, &err, || {
                        format!("cannot read {}: {err}", path.display())
                    });
                    continue;
                }
            };
            self.told.remove(path);
            for file in below {
                if found.is_closed() {
                    return;
                }
                self.read_file(file, found);
            }
        }
    }

    fn read_file(&mut self, path: PathBuf, found: &mpsc::Sender<Step>) {
        // Looked at before it is read: what grows meanwhile is seen at the next look.
        let Ok(look) = path.metadata().map(Look::from) else {
            return;
        };
        let last = self.read.get(&path);
        if last.is_some_and(|last| last.look == look) {
            return;
        }
        let known = last.map_or(0, |last| last.bad);
        if !look.rests()
            && format_of(&path).is_ok_and(|format| format.is_some_and(Format::rewrites))
        {
            return;
        }
        if found.blocking_send(Step::File(path.clone())).is_err() {
            return;
        }
        let mut sink = |next: Found| Ok(found.blocking_send(Step::Found(next))?);
        match self.importer.read_file(&path, &mut sink) {
            Ok(report) => {
                self.told.remove(&path);
                // The end of a record may still be on its way, and what is of no known format is no recording.
                let bad = match report.format {
                    Some(_) => report.counts.bad - u64::from(report.ends_within_record),
                    None => 0,
                };
                let damaged = bad.saturating_sub(known);
                if found.blocking_send(Step::Read(damaged)).is_ok() {
                    self.read.insert(path, ReadFile { look, bad });
                }
            }
            // Whoever stores says why.
            Err(ImportError::Sink(_)) => {}
            Err(err @ ImportError::Read { .. }) => {
                let ImportError::Read { source, .. } = &err else {
                    return;
                };
                self.trouble(&path, source, || chain(&err));
            }
        }
    }

    /// Says once what is wrong with a path. What is not there, or not any more, may come yet.
    fn trouble(&mut self, path: &Path, err: &io::Error, what: impl FnOnce() -> String) {
        if err.kind() == io::ErrorKind::NotFound {
            return;
        }
        let what = what();
        if self.told.get(path) != Some(&what) {
            complain(&what);
            self.told.insert(path.to_owned(), what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_looked_for_where_they_are_told_to_write() {
        let env = |variables: &[(&str, &str)]| -> Environment {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            variables.iter().map(owned).collect()
        };
        let found = of_agents(&env(&[("HOME", "/home/ada"), ("CODEX_HOME", "")]));
        let expected = [
            "/home/ada/.claude/projects",
            "/home/ada/.codex/sessions",
            "/home/ada/.gemini/tmp",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        let found = of_agents(&env(&[("CLAUDE_CONFIG_DIR", "/c"), ("CODEX_HOME", "/x")]));
        assert_eq!(found, ["/c/projects", "/x/sessions"].map(PathBuf::from));
    }
}

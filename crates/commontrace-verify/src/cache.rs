//! Earlier runs, by everything that they depend on.
//!
//! A run of the same files with the same command in the same environment says the same, as far as it says
//! anything; runs that were stopped or could not be made are not kept.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use commontrace_core::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::logs::KeptLog;
use crate::report::Parsed;
use crate::runner::{End, Limits};

/// The most files that are kept.
const MAX_FILES: usize = 5_000;
/// The largest run that is kept.
const MAX_BYTES: usize = 32 << 20;

/// Everything that a run's result depends on.
#[derive(Debug, Serialize)]
pub struct Key<'a> {
    /// The hash of the files.
    pub tree: &'a str,
    /// The command as it is run.
    pub command: &'a str,
    /// Its variables.
    pub env: &'a BTreeMap<String, String>,
    /// What it may use up.
    pub limits: &'a Limits,
    /// The isolation, and the image or root.
    pub identity: &'a str,
    /// The set-up's key.
    pub setup: &'a str,
    /// Which run of its state it is: the second must not be a copy of the first.
    pub run: u32,
    /// The version of the parsers.
    pub parser_version: u32,
    /// The version of the rules.
    pub runner_version: &'a str,
}

/// A run, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How it ended.
    pub end: End,
    /// What was read from it.
    pub parsed: Parsed,
    /// The start and the end of its output.
    pub snippet: String,
    /// The end of its output, to tell why it failed.
    pub tail: String,
    /// What contained it.
    pub isolation: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Its whole output, where that is kept.
    #[serde(default)]
    pub log: Option<KeptLog>,
}

/// A folder of earlier runs.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in a folder, which need not be there yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, key: &Key<'_>) -> PathBuf {
        let json = serde_json::to_vec(key).unwrap_or_default();
        let name = hex::encode(&Sha256::digest(&json));
        self.folder.join(format!("{name}.json"))
    }

    /// The earlier run, if there is one. What cannot be read is as good as not there.
    #[must_use]
    pub fn load(&self, key: &Key<'_>) -> Option<Record> {
        serde_json::from_slice(&std::fs::read(self.path(key)).ok()?).ok()
    }

    /// Keeps a run: whole, or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn store(&self, key: &Key<'_>, record: &Record) -> std::io::Result<()> {
        let json = serde_json::to_vec(record).map_err(std::io::Error::other)?;
        if json.len() > MAX_BYTES {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&json)?;
        file.persist(self.path(key)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes the oldest runs beyond what is kept.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn prune(&self) -> std::io::Result<()> {
        prune(&self.folder, MAX_FILES)
    }
}

fn prune(folder: &Path, keep: usize) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(time) = entry.metadata().and_then(|metadata| metadata.modified()) {
            files.push((time, entry.path()));
        }
    }
    files.sort_unstable();
    let excess = files.len().saturating_sub(keep);
    for (_, path) in files.into_iter().take(excess) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            end: End::Exited(0),
            parsed: Parsed::nothing(),
            snippet: "ok".into(),
            tail: String::new(),
            isolation: "none".into(),
            duration_ms: 1,
            log: None,
        }
    }

    #[test]
    fn a_run_is_found_by_everything_that_it_depends_on() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("runs"));
        let (env, limits) = (BTreeMap::new(), Limits::default());
        let key = |tree, run| Key {
            tree,
            command: "make test",
            env: &env,
            limits: &limits,
            identity: "none",
            setup: "",
            run,
            parser_version: 1,
            runner_version: "1",
        };
        assert_eq!(cache.load(&key("a", 0)), None);
        cache.store(&key("a", 0), &record()).unwrap();
        assert_eq!(cache.load(&key("a", 0)), Some(record()));
        assert_eq!(cache.load(&key("a", 1)), None);
        assert_eq!(cache.load(&key("b", 0)), None);
        // A damaged file is as good as none.
        std::fs::write(cache.path(&key("a", 0)), "{").unwrap();
        assert_eq!(cache.load(&key("a", 0)), None);
    }

    #[test]
    fn the_oldest_runs_make_room() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..5_u64 {
            let path = folder.path().join(n.to_string());
            std::fs::write(&path, "").unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n);
            std::fs::File::open(&path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        prune(folder.path(), 2).unwrap();
        let mut left: Vec<_> = paths(folder.path());
        left.sort();
        assert_eq!(left, ["3", "4"]);
    }

    fn paths(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

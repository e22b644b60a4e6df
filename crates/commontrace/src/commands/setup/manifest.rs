//! What was written where, kept in the data directory: so that what is taken out again is ours, and what
//! nobody touched since becomes what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use crate::failure::Failure;

/// The files that were written, by path.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    #[serde(default)]
    pub files: BTreeMap<PathBuf, Written>,
    /// Folders that were made, to go when they are empty again.
    #[serde(default)]
    pub folders: BTreeSet<PathBuf>,
}

/// A file as it was and as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The hosts that it serves.
    pub hosts: BTreeSet<String>,
    /// Hash of what was there before, without anything of ours; none if there was no file.
    pub before: Option<String>,
    /// Hash of what was written.
    pub after: String,
    /// Whether others have something in it as well.
    pub shared: bool,
}

/// The place of the manifest and of the backups.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// Those in the data directory.
    pub fn below(data_dir: &Path) -> Self {
        let folder = data_dir.join("setup");
        Self { folder }
    }

    /// Where backups are.
    pub fn backups(&self) -> PathBuf {
        self.folder.join("backups")
    }

    fn manifest(&self) -> PathBuf {
        self.folder.join("manifest.json")
    }

    /// Waits until no other run is writing; the next one may when what is returned is dropped.
    pub fn lock(&self) -> Result<File, Failure> {
        let failed = |err: std::io::Error| {
            Failure::new(format!("cannot write to {}: {err}", self.folder.display()))
                .hint("what is written is recorded in the data directory; choose one with COMMONTRACE_DATA_DIR")
        };
        let mut options = DirBuilder::new();
        options.recursive(true).mode(0o700);
        options.create(self.backups()).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(self.folder.join("lock")).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// Reads the manifest. One that cannot be read counts as none: then only entries that are known to be ours
    /// are taken out of files.
    pub fn load(&self) -> Manifest {
        let text = files::read(&self.manifest()).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// Writes the manifest.
    pub fn save(&self, manifest: &Manifest) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(manifest).map_err(Failure::new)?;
        self.write(&self.manifest(), &format!("{text}\n"))
    }

    /// Keeps a text under its hash.
    pub fn back_up(&self, text: &str) -> Result<PathBuf, Failure> {
        let path = self.backups().join(files::sha256(text));
        self.write(&path, text)?;
        Ok(path)
    }

    /// Returns the text that was kept under this hash, if it is still that text.
    pub fn backed_up(&self, hash: &str) -> Option<String> {
        let text = files::read(&self.backups().join(hash)).ok().flatten()?;
        (files::sha256(&text) == hash).then_some(text)
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Failure> {
        let written = files::read(path).and_then(|before| match before {
            Some(before) if before == text => Ok(()),
            before => files::replace(path, before.as_deref(), text),
        });
        written.map_err(|why| Failure::new(format!("{} {why}", path.display())))
    }
}

//! A folder for one verification, which is gone afterwards: at its end, or, if the process is killed, at
//! the next start.

use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::git::remove_folder;

const PREFIX: &str = "work-";
const LOCK: &str = ".lock";

/// A folder that belongs to this process as long as its lock file is locked.
#[derive(Debug)]
pub(crate) struct Workplace {
    path: PathBuf,
    _lock: NamedTempFile,
}

impl Workplace {
    /// A new folder within `folder`.
    pub(crate) fn new(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let lock = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(LOCK)
            .tempfile_in(folder)?;
        lock.as_file().lock()?;
        let path = lock.path().with_extension("");
        std::fs::create_dir(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What cannot be removed now is tried again by `reap`.
        let _ = remove_folder(&self.path);
    }
}

/// Removes what verifications of killed processes have left in their folder, and returns how many these
/// were. To be called when a worker starts; what still runs elsewhere is left alone.
///
/// # Errors
/// If the folder cannot be read.
pub fn reap(folder: &Path) -> std::io::Result<u32> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut reaped = 0;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if !name.starts_with(PREFIX) || !name.ends_with(LOCK) {
            continue;
        }
        let Ok(lock) = std::fs::File::open(&path) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            remove_folder(&path.with_extension(""))?;
            std::fs::remove_file(&path)?;
            reaped += 1;
        }
    }
    Ok(reaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_runs_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let alive = Workplace::new(folder.path()).unwrap();
        std::fs::create_dir(folder.path().join("work-dead")).unwrap();
        std::fs::write(folder.path().join("work-dead/x"), "").unwrap();
        std::fs::write(folder.path().join("work-dead.lock"), "").unwrap();
        assert_eq!(reap(folder.path()).unwrap(), 1);
        assert!(!folder.path().join("work-dead").exists() && alive.path().is_dir());
        drop(alive);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(reap(&folder.path().join("missing")).unwrap(), 0);
    }
}

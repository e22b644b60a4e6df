//! Where set-ups are kept: complete or not at all, and not more than some.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use crate::git::remove_folder;

/// The most set-ups that are kept.
const MAX_KEPT: usize = 20;

/// Where the dependencies of a key are. While there is a value of this, nobody else sets them up anew or
/// removes them.
#[derive(Debug)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    done: PathBuf,
    lock: std::fs::File,
}

impl Place {
    /// The place of a key under `cache`: to be read by any number if it is complete, otherwise for this
    /// caller alone, who has to set it up. `None` while another is doing that.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn try_lock(cache: &Path, key: &str) -> std::io::Result<Option<Self>> {
        std::fs::create_dir_all(cache)?;
        let path = cache.join(format!("{key}.lock"));
        let lock = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)?;
        let place = Self {
            folder: cache.join(key),
            done: cache.join(format!("{key}.done")),
            lock,
        };
        let locked = match place.lock.try_lock_shared() {
            Ok(()) if place.is_done() => return Ok(Some(place)),
            Ok(()) => {
                place.lock.unlock()?;
                place.lock.try_lock()
            }
            Err(error) => Err(error),
        };
        match locked {
            Ok(()) => Ok(Some(place)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether the set-up was carried through.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done.is_file() && self.folder.is_dir()
    }

    /// Makes the folder anew: what a set-up that was stopped has left is not to be trusted.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn begin(&self) -> std::io::Result<()> {
        remove_if_there(&self.done)?;
        remove_folder(&self.folder)?;
        std::fs::create_dir_all(&self.folder)
    }

    /// Notes that the set-up was carried through, and lets others read.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn done(&self) -> std::io::Result<()> {
        std::fs::write(&self.done, "")?;
        // Turns the lock into one that others can have too.
        self.lock.lock_shared()
    }
}

/// Removes the oldest set-ups beyond what is kept, unless they are in use.
///
/// # Errors
/// If the folder cannot be read.
pub fn prune(cache: &Path) -> std::io::Result<()> {
    prune_to(cache, MAX_KEPT)
}

fn prune_to(cache: &Path, keep: usize) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(cache) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut done = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "done")
        {
            done.push((entry.metadata()?.modified()?, path));
        }
    }
    done.sort_unstable();
    let excess = done.len().saturating_sub(keep);
    for (_, path) in done.into_iter().take(excess) {
        let lock = std::fs::File::options()
            .append(true)
            .open(path.with_extension("lock"))?;
        if lock.try_lock().is_ok() {
            remove_if_there(&path)?;
            remove_folder(&path.with_extension(""))?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_up_that_was_stopped_begins_anew() {
        let cache = tempfile::tempdir().unwrap();
        let lock = || Place::try_lock(cache.path(), "k").unwrap();
        let place = lock().unwrap();
        assert!(lock().is_none());
        place.begin().unwrap();
        std::fs::write(place.folder.join("half"), "").unwrap();
        drop(place);
        let place = lock().unwrap();
        assert!(!place.is_done());
        place.begin().unwrap();
        assert!(!place.folder.join("half").exists());
        place.done().unwrap();
        // What is complete can be read by any number.
        assert!(lock().unwrap().is_done() && lock().unwrap().is_done());
    }

    #[test]
    fn the_oldest_set_ups_make_room_unless_they_are_in_use() {
        let cache = tempfile::tempdir().unwrap();
        let mut used = Vec::new();
        for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
            let place = Place::try_lock(cache.path(), key).unwrap().unwrap();
            place.begin().unwrap();
            place.done().unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(n as u64);
            std::fs::File::open(&place.done)
                .unwrap()
                .set_modified(time)
                .unwrap();
            used.push(place);
        }
        used.truncate(1);
        prune_to(cache.path(), 1).unwrap();
        let left = ["a", "b", "c"].map(|key| cache.path().join(key).is_dir());
        assert_eq!(left, [true, false, true]);
    }
}

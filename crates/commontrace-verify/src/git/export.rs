//! Trees as folders, and folders as trees.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::repository::{Repository, TreeId};
use super::{GitError, repository};
use crate::reason::Reason;

/// Every exported file is of the same time, so that a compiler that goes by times finds the files of a
/// second export of the same tree unchanged: 2020-01-01.
const FILE_TIME: Duration = Duration::from_secs(1_577_836_800);

impl Repository {
    /// Writes the files of a tree into a folder, which is made anew. There is no `.git` in it.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub async fn export(&self, tree: &TreeId, folder: &Path) -> Result<(), GitError> {
        let root = folder.to_owned();
        let made = tokio::task::spawn_blocking(move || {
            remove_folder(&root)?;
            std::fs::create_dir_all(&root)
        })
        .await;
        made.unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| GitError::io("make", folder, &error))?;
        let index = self.index(Some(tree)).await?;
        let ran = self
            .git()
            .args(["checkout-index", "--all", "--force", "--quiet"])
            .env("GIT_INDEX_FILE", index.path().join("index"))
            .env("GIT_WORK_TREE", folder)
            .dir(folder)
            .run(&self.cancel)
            .await?;
        self.expect(&ran, Reason::Io, "write out the files of")?;
        let root = folder.to_owned();
        let dated = tokio::task::spawn_blocking(move || date(&root)).await;
        dated
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| GitError::io("date the files of", folder, &error))
    }

    /// The tree that the files of a folder make, which was exported from `base` and changed since.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) async fn import(&self, folder: &Path, base: &TreeId) -> Result<TreeId, GitError> {
        let index = self.index(Some(base)).await?;
        let ran = self
            .git()
            // What the repository ignores can still be part of the change.
            .args(["add", "--all", "--force", "--", "."])
            .env("GIT_INDEX_FILE", index.path().join("index"))
            .env("GIT_WORK_TREE", folder)
            .dir(folder)
            .run(&self.cancel)
            .await?;
        self.expect(&ran, Reason::PatchFailed, "take in the changed files of")?;
        let git = self.git().args(["write-tree"]);
        let ran = git
            .env("GIT_INDEX_FILE", index.path().join("index"))
            .run(&self.cancel)
            .await?;
        self.expect(&ran, Reason::Io, "write the files of")?;
        Ok(repository::tree_id(&ran))
    }
}

/// Gives every file below a folder the same time. Links are not followed.
fn date(folder: &Path) -> std::io::Result<()> {
    let time = SystemTime::UNIX_EPOCH + FILE_TIME;
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                std::fs::File::open(entry.path())?.set_modified(time)?;
            }
        }
    }
    Ok(())
}

/// Removes a folder with everything in it, also what its files' permissions protect. That there is none
/// is fine.
///
/// # Errors
/// If something cannot be removed.
pub fn remove_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
        Ok(()) => return Ok(()),
    }
    // Tests may leave folders that nobody may enter.
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    std::fs::remove_dir_all(folder)
}

//! A session's own edits, applied in their order.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::apply::{Applied, How};
use super::repository::{Repository, TreeId};
use super::{GitError, remove_folder};
use crate::reason::Reason;

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The file, relative to the repository.
    pub path: String,
    /// What becomes of it.
    pub replacement: Replacement,
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// A unified diff of this file, with or without the lines that name it.
    Diff(String),
    /// The whole new content.
    Content(String),
    /// It is removed.
    Removed,
}

impl Repository {
    /// Applies edits in their order to a tree. `work` is a folder for the time being.
    ///
    /// # Errors
    /// With [`Reason::PatchFailed`], naming the edit, if one does not apply or leaves the repository.
    pub async fn apply_edits(
        &self,
        tree: &TreeId,
        edits: &[Edit],
        work: &Path,
    ) -> Result<Applied, GitError> {
        self.export(tree, work).await?;
        let mut how = How::Clean;
        for (number, edit) in edits.iter().enumerate() {
            let at = |error: GitError| GitError {
                message: format!("edit {} of {}: {}", number + 1, edits.len(), error.message),
                ..error
            };
            how = how.max(self.apply_edit(tree, edit, work).await.map_err(at)?);
        }
        let tree = self.import(work, tree).await?;
        let _ = remove_folder(work);
        Ok(Applied { tree, how })
    }

    async fn apply_edit(&self, tree: &TreeId, edit: &Edit, work: &Path) -> Result<How, GitError> {
        let path = inside(work, &edit.path)?;
        let io = |error: std::io::Error| GitError::io("write", Path::new(&edit.path), &error);
        match &edit.replacement {
            Replacement::Diff(diff) => {
                let patch = named(&edit.path, diff, path.exists());
                self.apply_in(work, tree, patch.as_bytes()).await
            }
            Replacement::Content(content) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(io)?;
                }
                std::fs::write(&path, content).map_err(io)?;
                Ok(How::Clean)
            }
            Replacement::Removed => match std::fs::remove_file(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    Ok(How::AlreadyApplied)
                }
                other => other.map(|()| How::Clean).map_err(io),
            },
        }
    }
}

/// A path within a folder, none of whose parts is a link: a link could lead anywhere.
///
/// # Errors
/// With [`Reason::PatchFailed`] if it leaves the folder.
pub(super) fn inside(folder: &Path, path: &str) -> Result<PathBuf, GitError> {
    let refuse = |why: &str| {
        let shown: String = path.chars().take(200).collect();
        Err(GitError::new(
            Reason::PatchFailed,
            format!("the path `{}` {why}", shown.escape_debug()),
        ))
    };
    if path.is_empty() || path.contains('\0') {
        return refuse("is not a path");
    }
    let mut full = folder.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => continue,
            Component::Normal(name) if name.eq_ignore_ascii_case(".git") => {
                return refuse("is git's own");
            }
            Component::Normal(name) => full.push(name),
            _ => return refuse("leaves the repository; give it relative to the repository"),
        }
        if full.is_symlink() {
            return refuse("is or leads through a link");
        }
    }
    if full == folder {
        refuse("is not a file")
    } else {
        Ok(full)
    }
}

/// A diff with the lines that name its file, whatever its own said.
fn named(path: &str, diff: &str, exists: bool) -> String {
    let hunks = diff.find("@@ ").map_or("", |at| &diff[at..]);
    let creates = !exists && hunks.starts_with("@@ -0,0 ");
    let old = if creates {
        "/dev/null".to_owned()
    } else {
        format!("a/{path}")
    };
    let mode = if creates {
        "new file mode 100644\n"
    } else {
        ""
    };
    let end = if hunks.ends_with('\n') { "" } else { "\n" };
    format!("diff --git a/{path} b/{path}\n{mode}--- {old}\n+++ b/{path}\n{hunks}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            ".git/config",
            "link/passwd",
            "a\0b",
            ".",
        ] {
            assert!(inside(folder.path(), path).is_err(), "{path:?}");
        }
        assert!(inside(folder.path(), "./a/b").is_ok());
    }

    #[test]
    fn a_diff_gets_the_names_of_its_file() {
        let diff = named("src/a.rs", "@@ -1 +1 @@\n-a\n+b", true);
        assert!(
            diff.starts_with(
                "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@"
            )
        );
        assert!(named("n", "@@ -0,0 +1 @@\n+b\n", false).contains("--- /dev/null"));
    }
}

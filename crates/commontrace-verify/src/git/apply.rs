//! Applies a patch, trying gentler ways one after the other.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::command::patch as gnu_patch;
use super::patch::{paths, with_line_ends_of};
use super::repository::{Repository, TreeId};
use super::{GitError, remove_folder};
use crate::reason::Reason;

/// How a patch could be applied, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// As it is.
    Clean,
    /// Its effect was there already.
    AlreadyApplied,
    /// After its line ends were made those of its targets.
    LineEnds,
    /// By a three-way merge with the files that it was made from.
    ThreeWay,
    /// By GNU patch, with up to five lines of context not matching.
    Fuzz,
}

impl How {
    /// Whether something about it was not as it should be.
    #[must_use]
    pub fn needed_help(self) -> bool {
        matches!(self, Self::LineEnds | Self::ThreeWay | Self::Fuzz)
    }
}

/// A tree with a patch applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The new tree.
    pub tree: TreeId,
    /// How it was applied.
    pub how: How,
}

impl Repository {
    /// Applies a patch to a tree. `work` is a folder for the time being.
    ///
    /// # Errors
    /// With [`Reason::PatchFailed`], naming the hunks that do not apply.
    pub async fn apply_patch(
        &self,
        tree: &TreeId,
        patch: &[u8],
        work: &Path,
    ) -> Result<Applied, GitError> {
        self.export(tree, work).await?;
        let how = self.apply_in(work, tree, patch).await?;
        let tree = self.import(work, tree).await?;
        let _ = remove_folder(work);
        Ok(Applied { tree, how })
    }

    /// Applies a patch to a folder, which is as it was if that fails. `base` is a tree with most of its
    /// files, for the three-way merge.
    pub(super) async fn apply_in(
        &self,
        work: &Path,
        base: &TreeId,
        patch: &[u8],
    ) -> Result<How, GitError> {
        for path in paths(patch)? {
            super::edit::inside(work, &path)?;
        }
        let adapted = with_line_ends_of(patch, work)?;
        let clean = if adapted == patch
            || (patch.last() != Some(&b'\n') && adapted.len() == patch.len() + 1)
        {
            How::Clean
        } else {
            How::LineEnds
        };
        // `git apply` changes nothing unless everything applies.
        if self.apply(work, &["--whitespace=nowarn"], &adapted).await? {
            return Ok(clean);
        }
        if self
            .apply(
                work,
                &["--whitespace=nowarn", "--reverse", "--check"],
                &adapted,
            )
            .await?
        {
            return Ok(How::AlreadyApplied);
        }
        if self.three_way(work, base, &adapted).await? {
            return Ok(How::ThreeWay);
        }
        let dry = [
            "--batch",
            "--forward",
            "--fuzz=5",
            "-p1",
            "--silent",
            "--dry-run",
        ];
        if gnu_patch(work, &dry, &adapted, &self.cancel)
            .await
            .is_ok_and(|ran| ran.ok)
        {
            let real = [
                "--batch",
                "--forward",
                "--fuzz=5",
                "-p1",
                "--silent",
                "--no-backup-if-mismatch",
                "--reject-file=-",
            ];
            if gnu_patch(work, &real, &adapted, &self.cancel).await?.ok {
                return Ok(How::Fuzz);
            }
        }
        Err(GitError::new(
            Reason::PatchFailed,
            self.why(work, &adapted).await,
        ))
    }

    async fn apply(&self, work: &Path, options: &[&str], patch: &[u8]) -> Result<bool, GitError> {
        let git = self
            .git()
            .args(["apply"])
            .args(options)
            .args(["-"])
            .input(patch);
        let ran = git
            .env("GIT_WORK_TREE", work)
            .dir(work)
            .run(&self.cancel)
            .await?;
        Ok(ran.ok)
    }

    /// A three-way merge works on an index and leaves conflicts in files, so it is tried on a copy.
    async fn three_way(&self, work: &Path, base: &TreeId, patch: &[u8]) -> Result<bool, GitError> {
        let now = self.import(work, base).await?;
        let index = self.index(Some(&now)).await?;
        let at = index.path().join("index");
        let ran = self
            .git()
            .args(["apply", "--3way", "--cached", "--whitespace=nowarn", "-"])
            .env("GIT_INDEX_FILE", &at)
            .input(patch)
            .run(&self.cancel)
            .await?;
        if !ran.ok {
            return Ok(false);
        }
        let merged = self.write_tree(&index).await?;
        self.export(&merged, work).await?;
        Ok(true)
    }

    /// Which hunks do not apply, in git's words.
    async fn why(&self, work: &Path, patch: &[u8]) -> String {
        let git = self
            .git()
            .args(["apply", "--check", "--verbose", "-"])
            .input(patch);
        let ran = git
            .env("GIT_WORK_TREE", work)
            .dir(work)
            .run(&self.cancel)
            .await;
        let said = ran.map(|ran| ran.err).unwrap_or_default();
        let lines: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix("error: "))
            .take(5)
            .map(|line| crate::report::prefix(line, 200))
            .collect();
        if lines.is_empty() {
            "the patch does not apply".to_owned()
        } else {
            format!("the patch does not apply: {}", lines.join("; "))
        }
    }
}

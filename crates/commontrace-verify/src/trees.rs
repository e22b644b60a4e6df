//! The states that tests run at, as trees.

use std::path::Path;

use crate::git::{Applied, Edit, GitError, How, Replacement, Repository, Special, TreeId};
use crate::split::split;
use crate::verify::{Change, Request, Tests};

/// The states of a request.
#[derive(Debug)]
pub(crate) struct Trees {
    /// A: the base.
    pub(crate) base: TreeId,
    /// B: the base with the change's tests, if that is something else.
    pub(crate) with_tests: Option<TreeId>,
    /// C: the base with the whole change.
    pub(crate) change: TreeId,
    /// The files of the change's tests.
    pub(crate) test_files: Vec<String>,
    /// Paths of the files that the change changes.
    pub(crate) changed: Vec<String>,
    /// Paths in which the change differs from the fix commit.
    pub(crate) differs_from_fix: Vec<String>,
    /// Whether the change was applied with help.
    pub(crate) patched_with_help: bool,
    /// What the trees refer to and do not contain.
    pub(crate) special: Special,
}

/// Makes the states. `work` is a folder for the time being.
pub(crate) async fn trees(
    repository: &Repository,
    request: &Request,
    work: &Path,
) -> Result<Trees, GitError> {
    let base = repository.commit(&request.base).await?;
    let base = repository.tree(&base).await?;
    let fix = match &request.fix {
        Some(fix) => Some(repository.tree(&repository.commit(fix).await?).await?),
        None => None,
    };
    let applied = match &request.change {
        Change::Commit(commit) => {
            let tree = repository.tree(&repository.commit(commit).await?).await?;
            Applied {
                tree,
                how: How::Clean,
            }
        }
        Change::Patch(patch) => repository.apply_patch(&base, patch, work).await?,
        Change::Edits(edits) => repository.apply_edits(&base, edits, work).await?,
    };
    let differs_from_fix = match &fix {
        Some(fix) => repository.changed(&applied.tree, fix).await?,
        None => Vec::new(),
    };
    let patterns = request.test_patterns.as_deref();
    let changed = repository.changed(&base, &applied.tree).await?;
    let own = split(changed.iter().map(String::as_str), patterns).tests;
    let (with_tests, change, test_files) = match &request.tests {
        Tests::OfChange => {
            let with_tests = repository.graft(&base, &applied.tree, &own).await?;
            (with_tests, applied.tree, own)
        }
        Tests::Commit(commit) => {
            let tests = repository.tree(&repository.commit(commit).await?).await?;
            let files = repository.changed(&base, &tests).await?;
            let files = split(files.iter().map(String::as_str), patterns).tests;
            // What the change did to tests is undone first: it must not grade itself.
            let change = repository.graft(&applied.tree, &base, &own).await?;
            (
                repository.graft(&base, &tests, &files).await?,
                repository.graft(&change, &tests, &files).await?,
                files,
            )
        }
        Tests::Files(files) => {
            let edits: Vec<Edit> = files
                .iter()
                .map(|(path, content)| Edit {
                    path: path.clone(),
                    replacement: match content {
                        Some(content) => Replacement::Content(content.clone()),
                        None => Replacement::Removed,
                    },
                })
                .collect();
            let change = repository.graft(&applied.tree, &base, &own).await?;
            (
                repository.apply_edits(&base, &edits, work).await?.tree,
                repository.apply_edits(&change, &edits, work).await?.tree,
                files.iter().map(|(path, _)| path.clone()).collect(),
            )
        }
    };
    Ok(Trees {
        with_tests: (with_tests != base).then_some(with_tests),
        special: repository.special(&change).await?,
        base,
        change,
        test_files,
        changed,
        differs_from_fix,
        patched_with_help: applied.how.needed_help(),
    })
}

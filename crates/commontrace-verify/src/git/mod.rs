//! Repositories, by the installed `git` program: fetching, looking up commits, trees, patches and edits.
//!
//! Every state that tests run at is a git tree, so its hash says exactly which files it has. Trees are
//! exported without a `.git` folder: the history holds the fix that the tests before it must not see.
//!
//! The repository is a stranger's. Nothing of it is executed here: no hooks, no filters, no
//! configuration but our own, no prompt, and only protocols that are allowed.

mod apply;
mod command;
mod edit;
mod export;
mod patch;
mod repository;
mod source;

pub use apply::{Applied, How};
pub use edit::{Edit, Replacement};
pub use export::remove_folder;
pub use repository::{Repository, Special, TreeId};
pub use source::{Protocol, Source};

use crate::reason::Reason;

/// Something about a repository that did not work.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct GitError {
    /// [`Reason::CloneFailed`], [`Reason::CommitMissing`], [`Reason::PatchFailed`],
    /// [`Reason::ToolMissing`], [`Reason::Cancelled`] or [`Reason::Io`].
    pub reason: Reason,
    /// What failed, on what, and what to do.
    pub message: String,
}

impl GitError {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// A file that could not be read or written.
    pub(crate) fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(
            Reason::Io,
            format!("cannot {what} `{}`: {error}", path.display()),
        )
    }
}

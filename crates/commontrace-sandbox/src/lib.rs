//! Runs a stranger's command on a tree of files, contained, and says honestly how it ended and
//! under which isolation.
//!
//! A [`Spec`] says what to run on what; [`run`] returns an [`Outcome`] if the command was started,
//! however it ended, and an [`Error`] if it was not. So a failing test is never confused with a
//! sandbox that did not work.
//!
//! The embedded backend needs no daemon and no other program. Namespaces have to be entered by a
//! process with one thread, so it runs a [`Launcher`]: a program whose `main` calls
//! [`launched`] first of all. What isolates, and what is not promised, is in `docs/sandbox.md`.
//!
//! This crate must not know of repositories, test reports or verdicts.

mod error;
mod limits;
mod outcome;
mod spec;

pub use error::Error;
pub use limits::Limits;
pub use outcome::{
    Backend, By, End, Enforcement, Isolation, Layer, Outcome, Output, TimeLimit, Usage,
};
pub use spec::{Bind, Launcher, Spec, TREE, TreeMode, Wanted};

use std::path::Path;

pub use tokio_util::sync::CancellationToken;

/// Runs the command of `spec` and waits until nothing of it is left.
///
/// Standard output and standard error come as one stream, in the order in which they were written:
/// its head and tail are in the outcome, all of it up to [`Limits::log`] in the file `log`, which is
/// made anew. Cancelling ends the command at once and is an outcome, [`End::Cancelled`].
///
/// # Errors
/// If the command could not be started; nothing of it has run then.
pub async fn run(
    spec: &Spec,
    launcher: &Launcher,
    log: &Path,
    cancel: &CancellationToken,
) -> Result<Outcome, Error> {
    let _ = (spec, launcher, log, cancel);
    Err(Error::Unavailable {
        reason: "no backend is built in yet".into(),
        hint: "use a later version".into(),
    })
}

/// Becomes the sandbox's first process if this program was started as a [`Launcher`]; otherwise
/// returns `None` at once. `main` has to call it first, before there is a second thread, and return
/// the code.
pub fn launched() -> Option<std::process::ExitCode> {
    None
}

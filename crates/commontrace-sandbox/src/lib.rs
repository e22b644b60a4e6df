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

#[cfg(target_os = "linux")]
mod bubblewrap;
#[cfg(target_os = "linux")]
mod cgroup;
mod check;
#[cfg(target_os = "linux")]
mod engine;
mod error;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod layout;
mod limits;
mod outcome;
#[cfg(target_os = "linux")]
mod output;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod run;
mod spec;
#[cfg(target_os = "linux")]
mod supervise;
mod toolchains;

pub use check::{Finding, check};
#[cfg(target_os = "linux")]
pub use engine::{image_id, reap_containers};
pub use error::Error;
#[cfg(target_os = "linux")]
pub use launch::launched;
pub use limits::Limits;
pub use outcome::{
    Backend, By, End, Enforcement, Isolation, Layer, Outcome, Output, TimeLimit, Usage,
};
#[cfg(target_os = "linux")]
pub use report::read_beneath;
#[cfg(target_os = "linux")]
pub use run::run;
pub use spec::{Bind, Launcher, NOBODY, Spec, TREE, TreeMode, Wanted};
pub use tokio_util::sync::CancellationToken;
pub use toolchains::{Toolchains, toolchain_binds};

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{image_id, launched, read_beneath, reap_containers, run};

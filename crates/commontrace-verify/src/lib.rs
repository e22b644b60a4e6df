//! Proves or refutes a change by running the repository's tests before and after it.
//!
//! The tests run at three states of the repository, several times each, in fresh trees: A, the base;
//! B, the base with the change's tests; C, the base with the whole change. What turned green between B
//! and C, what broke, and what cannot be told follows from the results by id ([`sets`]); whether a run
//! may be believed at all follows from its exit status against its results ([`validity`]). Everything
//! that was found, and everything that was not, is in the [`verdict`].
//!
//! | module | does |
//! |---|---|
//! | [`report`] | reads test results from reports and from output |
//! | [`sets`], [`unstable`] | compares the results of two states |
//! | [`validity`], [`tool`] | tells runs that prove something from runs that do not |
//! | [`git`] | fetches repositories, exports trees, applies patches and edits |
//! | [`split`] | tells a change's tests from the rest of it |
//! | [`plan`], [`setup`], [`cache`], [`verify`] | carries it all out |
//! | [`runner`], [`sandboxed`] | the seam to whatever runs a command in isolation, and the sandbox |
//! | [`logs`] | the seam to whatever keeps the outputs of runs |
//! | [`verdict`], [`decide`] | what came out, and why |
//!
//! **Invariants.** No input makes a parser panic or take memory without bound. A run that could not be
//! made is never a failed test. Nothing found in the tests' output makes a verdict better than the exit
//! status allows. No clock is read but through the caller's.
//!
//! No HTTP and no database here.

pub mod cache;
mod collect;
pub mod decide;
mod execute;
pub mod git;
pub mod logs;
pub mod outcome;
pub mod plan;
pub mod progress;
pub mod reason;
pub mod report;
pub mod runner;
pub mod sandboxed;
pub mod sets;
pub mod setup;
pub mod split;
pub mod tool;
mod trees;
pub mod unstable;
pub mod validity;
pub mod verdict;
pub mod verify;
mod workplace;

pub use outcome::{Outcome, TestResult};
pub use reason::Reason;
pub use runner::Runner;
pub use verdict::{Status, Verdict};
pub use verify::{Request, verify};
pub use workplace::reap;

/// The version of the rules by which verdicts are made. Part of the key of every cached result.
pub const RUNNER_VERSION: &str = concat!("commontrace-verify/", env!("CARGO_PKG_VERSION"), "+2");

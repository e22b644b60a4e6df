//! The seam to whatever runs a command in isolation.
//!
//! Verification says what to run on which folders and within which limits; a runner says how it ended.
//! A command that could not be started is an error, never an end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::reason::Reason;

/// Runs commands.
#[async_trait]
pub trait Runner: Send + Sync {
    /// What results depend on besides the tree and the command: the kind of isolation and the image or
    /// root. Part of the key of every cached result.
    async fn identity(&self) -> String;

    /// Where the command sees the folders; where they are, if the runner does not move them.
    fn inside(&self, folders: &Folders) -> Folders;

    /// Runs a command to its end. Its output, standard output and standard error as one stream, is in
    /// the file `job.log` afterwards, up to [`Limits::log`].
    ///
    /// # Errors
    /// If the command could not be started; nothing of it has run then.
    async fn run(&self, job: &Job<'_>, cancel: &CancellationToken)
    -> Result<Finished, RunnerError>;
}

/// The folders of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// The repository's files. Writable; the command starts here.
    pub tree: PathBuf,
    /// Where reports go. Writable, outside of the tree, empty at the start.
    pub reports: PathBuf,
    /// What one state's runs may share: a compiler's output. Writable.
    pub scratch: PathBuf,
    /// What the set-up brought in. Written by the set-up, only read by tests.
    pub dependencies: PathBuf,
}

/// A command to be run.
#[derive(Debug)]
pub struct Job<'a> {
    /// The command, for `sh -c`.
    pub command: &'a str,
    /// The folders it sees.
    pub folders: &'a Folders,
    /// Variables besides those that every command gets.
    pub env: &'a BTreeMap<String, String>,
    /// Whether it may use the network and write to [`Folders::dependencies`]: only a set-up may.
    pub setup: bool,
    /// Whether a set-up may use the network.
    pub network: bool,
    /// What it may use up.
    pub limits: &'a Limits,
    /// Where its output goes.
    pub log: &'a Path,
}

/// What a command may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long it may take.
    pub wall: Duration,
    /// How long it may go without output.
    pub idle: Duration,
    /// Bytes of memory.
    pub memory: u64,
    /// Processes at a time.
    pub processes: u64,
    /// Bytes of disk space.
    pub disk: u64,
    /// Bytes of output that are kept in the log.
    pub log: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(30 * 60),
            idle: Duration::from_secs(10 * 60),
            memory: 4 << 30,
            processes: 512,
            disk: 4 << 30,
            log: 16 << 20,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal that no limit sent.
    Signalled(i32),
    /// At a limit of time.
    TimedOut,
    /// At the limit of memory.
    OutOfMemory,
    /// At the limit of disk space.
    DiskFull,
    /// It wrote a larger file than it may.
    FileTooLarge,
    /// At the limit of processes.
    TooManyProcesses,
    /// At the limit of output.
    OutputLimit,
    /// The caller cancelled it.
    Cancelled,
}

impl End {
    /// The exit code, if it ended by itself.
    #[must_use]
    pub fn exit_code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            _ => None,
        }
    }
}

/// A command that was run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// The first bytes of its output.
    pub head: Vec<u8>,
    /// The last bytes of its output after the head.
    pub tail: Vec<u8>,
    /// How many bytes between them are left out.
    pub omitted: u64,
    /// What contained it, such as `embedded: userns+seccomp+landlock`.
    pub isolation: String,
    /// How long it took.
    pub duration: Duration,
}

/// A command that could not be run.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct RunnerError {
    /// [`Reason::SandboxUnavailable`], [`Reason::LaunchFailed`], [`Reason::ImageMissing`] or
    /// [`Reason::ToolMissing`].
    pub reason: Reason,
    /// What failed, on what, and what to do.
    pub message: String,
}

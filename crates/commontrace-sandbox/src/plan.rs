//! What the supervisor and the launcher say to each other, one JSON value in a line, over a socket
//! that is the launcher's standard input. When the supervisor's end closes, however that comes about,
//! the launcher ends everything.

use std::ffi::OsString;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outcome::Layer;

/// What the launcher has to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// What contains the command.
    pub stage: Stage,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The folder to start in.
    pub working_dir: OsString,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The kernel's limits for each process.
    pub rlimits: Rlimits,
    /// What to look at many times a second.
    pub watch: Watch,
    /// Where the command may write, for Landlock.
    pub writable: Vec<OsString>,
}

/// What contains the command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// New namespaces, with this tree of files.
    Enter {
        /// Whether to stay in the network namespace.
        network: bool,
        /// How to make the tree of files.
        steps: Vec<Step>,
    },
    /// Another program, which starts a launcher in namespaces that it has made.
    Wrap {
        /// The program.
        program: OsString,
        /// Its arguments before those that show the files, and after them.
        args: [Vec<OsString>; 2],
        /// Files that it has to show: where, and what is in them.
        files: Vec<(OsString, String)>,
        /// What the launcher in there has to do.
        inner: Box<Plan>,
    },
    /// The namespaces are there already, and this is their first process.
    Entered {
        /// Folders to copy before the command starts: from where, and to where.
        copy: Option<[OsString; 2]>,
    },
    /// Nothing does.
    Open,
}

/// One step towards the sandbox's tree of files. Paths of the host hold no symbolic links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Makes a folder, and those above it.
    Dir(OsString),
    /// Makes a symbolic link.
    Symlink {
        /// Where.
        at: OsString,
        /// What it says.
        to: OsString,
    },
    /// Makes a file.
    File {
        /// Where.
        at: OsString,
        /// What is in it.
        text: String,
    },
    /// Shows a file or a folder of the host.
    Bind {
        /// Where it is on the host.
        host: OsString,
        /// Where it appears.
        at: OsString,
        /// Whether it is a folder.
        folder: bool,
        /// What may be done with it.
        access: Access,
    },
    /// Mounts an empty file system in memory.
    Tmpfs {
        /// Where.
        at: OsString,
        /// How many bytes it can hold.
        size: u64,
        /// The mode of its root.
        mode: u32,
    },
    /// Mounts the processes' file system.
    Proc {
        /// The largest number that a process can have, where nothing else keeps them few.
        pid_max: Option<u64>,
    },
    /// Mounts pseudo terminals.
    Devpts(OsString),
    /// Shows a folder of the host, and keeps what is written in memory.
    Overlay {
        /// Where it is on the host.
        host: OsString,
        /// Where it appears.
        at: OsString,
        /// How many bytes can be written.
        size: u64,
        /// Whether to copy all of it instead, since some of it belongs to others: the kernel cannot lay an
        /// overlay over what it cannot give to the same owner.
        copy: bool,
    },
    /// Makes a mounted file system read-only.
    Seal(OsString),
}

/// What may be done with a file or a folder of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    /// Reading and executing.
    Read,
    /// Everything.
    Write,
    /// What a device file is there for.
    Device,
}

/// The kernel's limits for each process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Rlimits {
    /// Bytes of private memory that can be written.
    pub data: Option<u64>,
    /// Processes and threads of this user in this user namespace.
    pub processes: Option<u64>,
    /// Open files.
    pub open_files: u64,
    /// Bytes of a file.
    pub file_size: u64,
    /// Seconds of processor time.
    pub cpu: u64,
}

/// What the sandbox's first process looks at; what is `None` is held by a control group, or by
/// nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// Bytes of memory of all processes together.
    pub memory: Option<u64>,
    /// Processor time of all processes together.
    pub cpu: Option<Duration>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// File systems of limited size.
    pub disks: Vec<OsString>,
}

impl Watch {
    /// Whether the processes have to be looked at.
    pub fn processes_at_all(&self) -> bool {
        self.memory.is_some() || self.cpu.is_some() || self.processes.is_some()
    }
}

/// What the launcher has to say.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The command runs from now on.
    Started {
        /// What it is contained by, beside namespaces.
        layers: Vec<Layer>,
    },
    /// The command was not started.
    Failed(Failure),
    /// The command has ended, by itself or because it was over a limit.
    Ended {
        /// How.
        status: Status,
        /// Whether a file system of limited size was full.
        disk_full: bool,
        /// The most bytes of memory that were seen.
        peak_memory: Option<u64>,
        /// The processor time that was seen, of what was still running too.
        cpu: Duration,
    },
    /// Nothing is left of the command.
    Gone {
        /// What all processes together have used.
        cpu: Duration,
        /// The most bytes of memory that any one process had.
        largest: u64,
    },
}

/// How the command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// By itself.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// The watch found too much memory in use.
    OverMemory,
    /// The watch found too much processor time used.
    OverCpu,
    /// The watch found too many processes.
    OverProcesses,
}

/// Why the command was not started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// This machine does not have what the sandbox needs.
    Unavailable {
        /// What failed.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// A step failed.
    Launch {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
    /// The command's program cannot be run.
    NotRunnable {
        /// Why.
        reason: String,
        /// Whether it is not there.
        missing: bool,
    },
}

impl Failure {
    /// A step that failed with an error of the kernel.
    pub fn step(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Launch {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}

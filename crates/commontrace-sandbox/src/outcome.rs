//! How a command ended, what it said and used, and what contained it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What came of a command that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What it wrote to standard output and standard error.
    pub output: Output,
    /// What it used up.
    pub usage: Usage,
    /// What contained it.
    pub isolation: Isolation,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal, which was not sent because of a limit.
    Signalled(i32),
    /// It reached a limit of time and was ended.
    TimedOut(TimeLimit),
    /// It reached the limit of memory, and was ended or lost a process to the kernel by it, whatever
    /// its exit code was.
    OutOfMemory,
    /// It failed after a file system of limited size was full.
    DiskFull,
    /// It wrote more than [`crate::Limits::file_size`] to one file and was ended.
    FileTooLarge,
    /// It had more processes than it may and was ended. Where the kernel holds the limit, the command
    /// is not ended, but cannot start any more; a control group tells of that if the command failed.
    TooManyProcesses,
    /// It wrote more than [`crate::Limits::output`] and was ended.
    OutputLimit,
    /// The caller has cancelled it.
    Cancelled,
}

impl End {
    /// Whether the command ended by itself with exit code 0.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut(TimeLimit::Wall) => f.write_str("took longer than it may"),
            Self::TimedOut(TimeLimit::Idle) => {
                f.write_str("wrote no output for longer than it may")
            }
            Self::TimedOut(TimeLimit::Cpu) => f.write_str("used more processor time than it may"),
            Self::OutOfMemory => f.write_str("needed more memory than it may use"),
            Self::DiskFull => f.write_str("filled the disk space that it may use"),
            Self::FileTooLarge => f.write_str("wrote a larger file than it may"),
            Self::TooManyProcesses => f.write_str("had more processes than it may"),
            Self::OutputLimit => f.write_str("wrote more output than it may"),
            Self::Cancelled => f.write_str("was cancelled"),
        }
    }
}

/// Which limit of time was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLimit {
    /// [`crate::Limits::wall`].
    Wall,
    /// [`crate::Limits::idle`].
    Idle,
    /// [`crate::Limits::cpu`].
    Cpu,
}

/// What is kept of a command's output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Output {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes of what followed them.
    pub tail: Vec<u8>,
    /// How many bytes between them are left out.
    pub omitted: u64,
    /// How many bytes the log file lacks at its end because of [`crate::Limits::log`].
    pub not_logged: u64,
}

impl Output {
    /// How many bytes were written in all.
    pub fn total(&self) -> u64 {
        self.head.len() as u64 + self.omitted + self.tail.len() as u64
    }

    /// The kept output as text, with a line in place of what is left out.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.omitted > 0 {
            text.push_str(&format!("\n[{} bytes left out]\n", self.omitted));
        }
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }
}

/// What a command used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// From the command's start to its end.
    pub wall: Duration,
    /// Time of processors, where it could be counted.
    pub cpu: Option<Duration>,
    /// The most bytes of memory at a time, where that could be seen.
    pub peak_memory: Option<u64>,
}

/// What contained a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// What set the sandbox up.
    pub backend: Backend,
    /// What the sandbox consists of.
    pub layers: Vec<Layer>,
    /// Whether the command could use the host's network.
    pub network: bool,
    /// What held the command to its limits.
    pub enforcement: Enforcement,
}

impl fmt::Display for Isolation {
    /// `embedded: userns+seccomp+landlock`, `docker: container`, `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.backend)?;
        for (at, layer) in self.layers.iter().enumerate() {
            write!(f, "{}{layer}", if at == 0 { ": " } else { "+" })?;
        }
        Ok(())
    }
}

/// What set a sandbox up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// This program.
    Embedded,
    /// The program `bwrap`.
    Bubblewrap,
    /// The Docker engine.
    Docker,
    /// Podman.
    Podman,
    /// Nothing did.
    None,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Bubblewrap => "bubblewrap",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::None => "none",
        })
    }
}

/// A part of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// User, mount, process, IPC, host name and control group namespaces, and one for the network
    /// unless the network is allowed.
    Userns,
    /// A filter of system calls.
    Seccomp,
    /// Landlock, all that this version of the crate knows of or as much as the kernel has.
    Landlock,
    /// The container of an engine.
    Container,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Userns => "userns",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Container => "container",
        })
    }
}

/// What held a command to its limits. Time and output are always watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// The limit of memory.
    pub memory: By,
    /// The limit of processes.
    pub processes: By,
    /// The limit of processor time.
    pub cpu: By,
    /// The limits of disk space.
    pub disk: By,
}

/// What holds a command to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A control group: exact, for everything that the command starts together.
    Cgroup,
    /// A resource limit of the kernel.
    Rlimit,
    /// Looking many times a second, and ending the command when it is over the limit. A command can
    /// be over it for a moment.
    Watching,
    /// The size of a file system.
    Filesystem,
    /// The engine that runs the container.
    Engine,
    /// Nothing.
    Nothing,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cgroup => "control group",
            Self::Rlimit => "resource limit",
            Self::Watching => "watching",
            Self::Filesystem => "size of the file system",
            Self::Engine => "the engine",
            Self::Nothing => "nothing",
        })
    }
}

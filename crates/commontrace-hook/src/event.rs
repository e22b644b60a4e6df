//! What a host tells of, in one form for all hosts.

use std::path::PathBuf;

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The host's name for the session.
    pub session: String,
    /// The folder that the agent works in, if it is told.
    pub cwd: Option<PathBuf>,
    /// The host's name for the call of a tool, by which an event that comes twice is recognised.
    pub call: Option<String>,
    /// The event's name in the host, which some answers have to repeat.
    pub name: String,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A session began or goes on.
    Started,
    /// The user wrote this.
    Prompted(String),
    /// A command ran.
    Ran(Ran),
    /// A file was changed.
    Edited(Edit),
    /// The agent read a trace, of this id.
    Read(String),
    /// The agent has published a trace.
    Contributed,
    /// The agent has finished its turn.
    Stopped(Stop),
    /// The session is over.
    Ended,
}

/// A command that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// As it was given to the shell.
    pub command: String,
    /// How it ended.
    pub ended: Ended,
    /// What it printed, as far as the host hands it on.
    pub output: String,
}

/// How a command ended, as the host says. Nothing is concluded from what was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With exit code 0.
    Well,
    /// With this exit code, if it is told.
    Badly(Option<i32>),
    /// The host does not say.
    Unknown,
}

/// A change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Which file, as the agent named it.
    pub path: String,
    /// What stood there, if it is told.
    pub old: String,
    /// What stands there now, if it is told.
    pub new: String,
}

/// A finished turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Whether a hook has kept the agent going already.
    pub again: bool,
    /// Whether nobody is there who could be asked, or work goes on in the background.
    pub unattended: bool,
}

/// Why an event is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It is about something else.
    #[error("not of interest")]
    OfNoInterest,
    /// It is not in the host's form.
    #[error("not an event as the host documents it")]
    Malformed,
}

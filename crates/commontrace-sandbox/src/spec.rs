//! What to run, on what, and how contained.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Limits;

/// Where the tree appears inside of the sandbox.
pub const TREE: &str = "/src";
/// The user and the group of containers whose tree belongs to root, which has no powers there.
pub const NOBODY: u32 = 65534;

/// A command and everything that it gets to see.
///
/// What is not named here is not there: no variable of the host's environment, no home, no other
/// process. The system's programs and libraries (`/usr` and what belongs to it) can be read, `/tmp`
/// and `/dev/shm` are empty and of limited size, and standard input is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The program and its arguments. Without a slash the program is looked for in `PATH` of `env`.
    pub command: Vec<OsString>,
    /// The folder that appears at [`TREE`], as an absolute path.
    pub tree: PathBuf,
    /// What the command may do to the tree.
    pub tree_mode: TreeMode,
    /// The folder within the tree that the command starts in; empty for the tree itself.
    pub working_dir: PathBuf,
    /// Other files and folders of the host that the command sees, none of them below [`TREE`].
    pub binds: Vec<Bind>,
    /// The whole environment, in addition to [`Spec::base_env`]; a later value of a name wins.
    pub env: Vec<(OsString, OsString)>,
    /// Whether the command may use the host's network. Without it, it has a loopback of its own.
    pub network: bool,
    /// What the command may use up.
    pub limits: Limits,
    /// What contains the command.
    pub isolation: Wanted,
    /// The socket of the engine for Docker and Podman, if it is not where they usually have it.
    pub engine_socket: Option<PathBuf>,
}

impl Spec {
    /// A command on a tree, with an overlay, without network and with the usual limits.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>, tree: PathBuf) -> Self {
        let limits = Limits::default();
        Self {
            command: command.into_iter().map(Into::into).collect(),
            tree,
            tree_mode: TreeMode::Overlay { size: limits.disk },
            working_dir: PathBuf::new(),
            binds: Vec::new(),
            env: Vec::new(),
            network: false,
            limits,
            isolation: Wanted::Auto,
            engine_socket: None,
        }
    }

    /// The environment of every command: what makes two runs alike.
    pub fn base_env() -> Vec<(OsString, OsString)> {
        [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("HOME", "/tmp"),
            ("USER", "sandbox"),
            ("TMPDIR", "/tmp"),
            ("TZ", "UTC"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("PYTHONHASHSEED", "0"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
    }

    /// The environment that the command gets: [`Spec::base_env`] and `env`, each name once.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        self.overriding(Self::base_env())
    }

    /// The same for an image, which knows best where its programs are.
    #[cfg(target_os = "linux")]
    pub(crate) fn environment_in_image(&self) -> Vec<(OsString, OsString)> {
        self.overriding(Self::base_env().split_off(1))
    }

    fn overriding(&self, mut all: Vec<(OsString, OsString)>) -> Vec<(OsString, OsString)> {
        for (name, value) in &self.env {
            all.retain(|(known, _)| known != name);
            all.push((name.clone(), value.clone()));
        }
        all
    }
}

/// What a command may do to its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeMode {
    /// The command reads and writes; what it writes is kept in memory, up to `size` bytes, and
    /// forgotten at the end. The host's files never change.
    ///
    /// Bubblewrap and engines work on a copy in memory instead, which counts as written, and so does
    /// the embedded backend if files of others are in the tree.
    Overlay {
        /// How many bytes the command may write.
        size: u64,
    },
    /// The command only reads.
    ReadOnly,
    /// The command writes into the host's folder. It is limited in the size of single files only.
    ReadWrite,
}

/// A file or a folder of the host that the command sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// The absolute path on the host.
    pub host: PathBuf,
    /// The absolute path inside of the sandbox.
    pub inside: PathBuf,
    /// Whether the command may write there.
    pub writable: bool,
}

impl Bind {
    /// What is read at the same path as on the host.
    pub fn read_only(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            host: path.clone(),
            inside: path,
            writable: false,
        }
    }
}

/// What should contain a command.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The embedded backend, or bubblewrap where the embedded one cannot work; never `None`.
    #[default]
    Auto,
    /// Namespaces, seccomp and Landlock, by this program itself.
    Embedded,
    /// The program `bwrap` for the namespaces, the rest as in the embedded backend.
    Bubblewrap,
    /// A container of the Docker engine.
    Docker {
        /// The image that holds the tools; it has to be there already.
        image: String,
    },
    /// A container of Podman's service.
    Podman {
        /// The image that holds the tools; it has to be there already.
        image: String,
    },
    /// Nothing: the command can do whatever this process can. Limits of time and output hold.
    None,
}

impl Wanted {
    /// Whether an engine runs the command in a container.
    pub fn has_engine(&self) -> bool {
        matches!(self, Self::Docker { .. } | Self::Podman { .. })
    }
}

/// The program that enters the sandbox, and the arguments that make it do so.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program's path. Its `main` has to call [`crate::launched`] before anything else.
    pub program: PathBuf,
}

impl Launcher {
    /// The running program itself.
    pub fn this_program() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
        }
    }
}

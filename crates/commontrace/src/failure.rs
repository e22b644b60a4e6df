//! How a command that failed tells its reader what happened and what to try.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use commontrace_core::text::clean;
use commontrace_server::error::chain;
use commontrace_server::seeds::ImportError;
use commontrace_server::serve::BindError;
use commontrace_store as store;

use crate::config::ConfigError;

/// Why a command ended without doing its work.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

/// The command was understood and could not be carried out.
const FAILED: u8 = 1;
/// What was given to the command cannot be used, as after a wrong flag.
const USAGE: u8 = 2;

impl Failure {
    /// Exit code: the store or the server did not answer.
    pub const AWAY: u8 = 3;
    /// Exit code: it answered, and refused.
    pub const REFUSED: u8 = 4;
    /// Exit code: nothing was sent, because nobody agreed to it.
    pub const HELD_BACK: u8 = 5;

    /// Says what happened.
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
            code: FAILED,
        }
    }

    /// Says why what was named on the command line cannot be read.
    pub fn unreadable(path: &Path, err: &io::Error) -> Self {
        let path = path.display();
        match err.kind() {
            io::ErrorKind::NotFound => Self::new(format!("there is no file or folder {path}"))
                .hint("see whether the path is right; a relative one begins where the command is started"),
            io::ErrorKind::PermissionDenied => Self::new(format!("this user may not read {path}"))
                .hint("let this user read it, or run the command as one who may"),
            _ => Self::new(format!("cannot read {path}: {err}")),
        }
    }

    /// Chooses the exit code.
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Adds what to try.
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Names the place where it happened, unless the message does.
    pub fn at(mut self, place: &str) -> Self {
        if !self.message.contains(place) {
            self.message = format!("{place}: {}", self.message);
        }
        self
    }

    /// Prints it to standard error and returns the exit code.
    pub fn report(&self) -> ExitCode {
        use std::io::Write as _;
        // A reader that has gone away must not change the exit code.
        let mut stderr = std::io::stderr().lock();
        // What a server or a file said may stand in it.
        let _ = writeln!(stderr, "error: {}", clean(&self.message));
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, "\nhint: {}", clean(hint));
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(err: ConfigError) -> Self {
        let hint = match &err {
            ConfigError::Unreadable { .. } => {
                "name a file that this user may read with --config, or leave it out to go by the environment and the defaults"
            }
            ConfigError::Unwritable { .. } => {
                "make the file and its directory this user's own, or name another file with --config"
            }
            _ => {
                "`commontrace serve --help` lists the settings, `commontrace config show` their values"
            }
        };
        Self {
            code: USAGE,
            ..Self::new(chain(&err))
        }
        .hint(hint)
    }
}

impl From<store::Error> for Failure {
    fn from(err: store::Error) -> Self {
        let hint = match &err {
            store::Error::Unavailable(_) | store::Error::Undone(_) | store::Error::Unsettled(_) => {
                "check that the database runs, that its disk has space and is sound, and that a PostgreSQL server has connections left for this role; `commontrace doctor` looks at each"
            }
            store::Error::Full(_) => {
                "free some space on the disk that holds the database (`df -h` shows how full it is) or raise its quota"
            }
            store::Error::ReadOnly(_) => {
                "a file and its directory must be on a disk mounted for writing and belong to this user; of PostgreSQL servers choose the primary, with default_transaction_read_only off"
            }
            store::Error::Denied(_) => {
                "let the owner of the database give this role what it lacks; to create the tables that is `GRANT CREATE, USAGE ON SCHEMA public TO ROLE`, or make it the owner with `ALTER DATABASE NAME OWNER TO ROLE`"
            }
            store::Error::Address(_) => {
                "set DATABASE_URL (and DATABASE_READ_URL, if there is a replica) or COMMONTRACE_DATA_DIR"
            }
            store::Error::Damaged(_) => {
                "move the file away with its -wal and -shm, and put a backup in its place"
            }
            store::Error::Foreign(_) => {
                "choose another data directory with COMMONTRACE_DATA_DIR or an empty database with DATABASE_URL, or move the file away"
            }
            store::Error::Newer { .. } => {
                "a backup from before the upgrade opens with this version"
            }
            store::Error::TooOld(_) => {
                "move the data to a newer server with pg_dump or pg_upgrade, then name that one in DATABASE_URL"
            }
            store::Error::HalfMigrated(_) => {
                "restore the backup from before the upgrade, then migrate again"
            }
            store::Error::Migrate(_) => {
                "the schema was changed by something else; restore a backup, or start with another data directory"
            }
            store::Error::Database(_) => {
                "if the database was damaged or changed by something else, restore a backup; otherwise this is a bug worth reporting"
            }
        };
        Self::new(chain(&err)).hint(hint)
    }
}

impl From<BindError> for Failure {
    fn from(err: BindError) -> Self {
        let hint = err.hint();
        Self::new(chain(&err)).hint(hint)
    }
}

impl From<ImportError> for Failure {
    fn from(err: ImportError) -> Self {
        match err {
            ImportError::Store(err) => err.into(),
            err => Self::new(chain(&err)).hint("mend the file; nothing was imported"),
        }
    }
}

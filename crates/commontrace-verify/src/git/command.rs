//! Runs `git` and `patch` without anything of the host's configuration.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::GitError;
use crate::reason::Reason;

/// The most that is read of a command's output.
const MAX_OUTPUT_BYTES: u64 = 256 << 20;
const MAX_ERROR_BYTES: u64 = 64 << 10;
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What a command printed, and whether it succeeded.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) ok: bool,
    pub(super) code: Option<i32>,
    pub(super) out: Vec<u8>,
    pub(super) err: String,
}

impl Ran {
    /// The last line of what it complained about, to be shown.
    pub(super) fn complaint(&self) -> &str {
        // The first is the cause; what follows says what could not be done then, and gives advice.
        let lines = || self.err.lines().map(str::trim);
        let is_fault = |line: &&str| line.starts_with("fatal:") || line.starts_with("error:");
        let line = lines()
            .find(is_fault)
            .or_else(|| lines().rfind(|line| !line.is_empty()));
        crate::report::prefix(line.unwrap_or("it gave no reason"), 300)
    }
}

/// A `git` that is about to be run.
pub(super) struct Git<'a> {
    command: Command,
    input: &'a [u8],
    limit: Duration,
    watched: bool,
}

impl<'a> Git<'a> {
    /// `git` on this repository, with the configuration in `config`.
    pub(super) fn new(git_dir: &Path, config: &Path) -> Self {
        let mut command = clean("git");
        command
            .env("GIT_DIR", git_dir)
            .env("GIT_CONFIG_GLOBAL", config)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "/bin/false")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_ALLOW_PROTOCOL", "");
        Self {
            command,
            input: b"",
            limit: Duration::from_secs(120),
            watched: false,
        }
    }

    pub(super) fn args<S: AsRef<std::ffi::OsStr>>(
        mut self,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        self.command.args(args);
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub(super) fn input(mut self, input: &'a [u8]) -> Self {
        self.input = input;
        self
    }

    pub(super) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Ends it with this process, whatever way that goes: for what waits for others.
    pub(super) fn watched(mut self) -> Self {
        self.watched = true;
        self
    }

    pub(super) async fn run(self, cancel: &CancellationToken) -> Result<Ran, GitError> {
        run(self.command, self.input, self.limit, self.watched, cancel).await
    }
}

/// GNU `patch` in a folder.
pub(super) async fn patch(
    dir: &Path,
    args: &[&str],
    input: &[u8],
    cancel: &CancellationToken,
) -> Result<Ran, GitError> {
    let mut command = clean("patch");
    command.args(args).current_dir(dir);
    run(command, input, Duration::from_secs(60), false, cancel).await
}

/// A program with an environment of our own.
fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// A program with all that it has started, such as the helper by which `git` speaks to a server, and which
/// outlives it. Ended as a whole when this is dropped before the program has ended.
struct Group {
    leader: Option<Pid>,
    /// A shell that ends the group when this process is gone, and so the other end of its input is closed.
    _watch: Option<Child>,
}

impl Group {
    fn of(child: &Child, watched: bool) -> std::io::Result<Self> {
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let watch = match leader.filter(|_| watched) {
            Some(leader) => {
                let mut watch = clean("sh");
                watch
                    .args(["-c", r#"read -r _; kill -s KILL -- "-$1""#, "sh"])
                    .arg(leader.as_raw_pid().to_string())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                Some(watch.spawn()?)
            }
            None => None,
        };
        Ok(Self {
            leader,
            _watch: watch,
        })
    }

    /// The program has ended, and its number may be another's soon.
    fn ended(mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // It may have ended meanwhile.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn run(
    mut command: Command,
    input: &[u8],
    limit: Duration,
    watched: bool,
    cancel: &CancellationToken,
) -> Result<Ran, GitError> {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let mut child = command.spawn().map_err(|error| {
        GitError::new(
            Reason::ToolMissing,
            format!("cannot run `{program}`: {error}; install it in {PATH}"),
        )
    })?;
    let group = Group::of(&child, watched).map_err(|error| {
        GitError::new(
            Reason::Io,
            format!("cannot watch over `{program}`: {error}"),
        )
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let work = async {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that has read enough closes its end; its exit status tells.
                let _ = stdin.write_all(input).await;
            }
        };
        let ((), out, err) = tokio::join!(
            feed,
            read(stdout, MAX_OUTPUT_BYTES),
            read(stderr, MAX_ERROR_BYTES)
        );
        (out, err, child.wait().await)
    };
    let (out, err, status) = tokio::select! {
        done = work => done,
        () = cancel.cancelled() => {
            return Err(GitError::new(Reason::Cancelled, format!("`{program}` was cancelled")));
        }
        () = tokio::time::sleep(limit) => {
            let limit = limit.as_secs();
            return Err(GitError::new(
                Reason::CloneFailed,
                format!("`{program}` did not end within {limit} seconds"),
            ));
        }
    };
    group.ended();
    let status = status.map_err(|error| {
        GitError::new(Reason::Io, format!("cannot wait for `{program}`: {error}"))
    })?;
    Ok(Ran {
        ok: status.success(),
        code: status.code(),
        out,
        err: String::from_utf8_lossy(&err).into_owned(),
    })
}

/// Reads a stream, keeping its first bytes and dropping the rest.
async fn read(stream: Option<impl AsyncReadExt + Unpin>, max: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        let _ = (&mut stream).take(max).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    kept
}

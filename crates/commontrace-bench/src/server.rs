//! Starts the product's binary as a user would, watches it, and stops or kills it.
//!
//! A server of ours listens on a free port of this machine and keeps its data in a temporary
//! directory, or in the database that was given. What it prints goes to a file there; the end of
//! it is shown when the server fails.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::client::{Client, Target};

/// Longest wait for a server to become ready; a large store takes a while to be read.
const START: Duration = Duration::from_secs(120);
/// Longest wait for a server to stop when asked to.
const STOP: Duration = Duration::from_secs(40);
/// A limit that no measurement reaches.
const NO_LIMIT: &str = "1000000000";

/// What turns text into vectors in the server under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Embedding {
    /// The model inside the process
    Local,
    /// No vectors: search by words alone
    None,
}

impl Embedding {
    /// Returns the value of the server's setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::None => "none",
        }
    }
}

/// Which server is measured.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// The program to start [default: `commontrace` beside this program]
    #[arg(long, value_name = "FILE")]
    pub binary: Option<PathBuf>,
    /// Measure this running server instead; its limits must be high enough, and what is written
    /// stays in it
    #[arg(long, value_name = "URL", conflicts_with_all = ["binary", "database_url", "embedding"])]
    pub url: Option<Target>,
    /// Keep the data in this empty PostgreSQL database instead of an embedded file
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// What turns text into vectors
    #[arg(long, value_enum)]
    pub embedding: Option<Embedding>,
    /// Where the temporary data directory is made [default: beside this program]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
}

impl ServerArgs {
    /// Names the engine that keeps the data, as far as it is known.
    pub fn engine(&self) -> &'static str {
        match (&self.url, &self.database_url) {
            (Some(_), _) => "a server that ran already",
            (None, Some(_)) => "PostgreSQL",
            (None, None) => "SQLite",
        }
    }

    /// Returns the folder for temporary data: beside this program, because a folder for temporary
    /// files may be in memory, where writing through to the disk costs nothing.
    pub fn folder(&self) -> Result<PathBuf> {
        match &self.work_dir {
            Some(folder) => Ok(folder.clone()),
            None => beside_this_program(),
        }
    }
}

/// Returns where the product's program is: as named, or beside this one.
pub fn program(named: Option<&Path>) -> Result<PathBuf> {
    let binary = match named {
        Some(binary) => binary.to_owned(),
        None => beside_this_program()?.join("commontrace"),
    };
    if !binary.is_file() {
        bail!(
            "no program at {}; build it with `cargo build --release -p commontrace`, or name \
             another with --binary",
            binary.display()
        );
    }
    Ok(binary)
}

fn beside_this_program() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find out where this program is")?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

/// How to start a server; it can be started again on the same data.
#[derive(Debug)]
pub struct Launch {
    binary: PathBuf,
    database_url: Option<String>,
    embedding: Embedding,
    import_seeds: bool,
    arguments: Vec<String>,
    settings: Vec<(&'static str, String)>,
    data: TempDir,
}

impl Launch {
    /// Prepares a server with a fresh data directory.
    pub fn new(args: &ServerArgs, embedding: Embedding, import_seeds: bool) -> Result<Self> {
        if args.url.is_some() {
            bail!("this needs a server of its own; leave --url away");
        }
        let folder = args.folder()?;
        let data = TempDir::with_prefix_in("bench-", &folder)
            .with_context(|| format!("cannot make a directory in {}", folder.display()))?;
        Ok(Self {
            binary: program(args.binary.as_deref())?,
            database_url: args.database_url.clone(),
            embedding,
            import_seeds,
            arguments: vec!["serve".to_owned()],
            settings: Vec::new(),
            data,
        })
    }

    /// Starts the program with these arguments instead of `serve`.
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&text| text.to_owned()).collect();
        self
    }

    /// Gives the server a setting, by the name of its variable, instead of the usual one.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.push((name, value.into()));
    }

    /// Returns the server's data directory, which is there from now on.
    pub fn data_dir(&self) -> Result<PathBuf> {
        let dir = self.data.path().join("data");
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("cannot make the directory {}", dir.display()))?;
        Ok(dir)
    }

    fn log(&self) -> PathBuf {
        self.data.path().join("server.log")
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(&self) -> Result<Server> {
        let port = free_port()?;
        let target = Target::local(port);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log());
        let log = log.with_context(|| format!("cannot write {}", self.log().display()))?;
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut command = self.command(&arguments);
        command
            .env("COMMONTRACE_LISTEN", target.authority())
            .stdout(log.try_clone().context("cannot write the server's log")?)
            .stderr(log);
        let begun = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let mut server = Server {
            child,
            target,
            ready_after: Duration::ZERO,
        };
        match timeout(START, server.wait_until_ready()).await {
            Ok(Ok(())) => {
                server.ready_after = begun.elapsed();
                Ok(server)
            }
            Ok(Err(err)) => Err(self.explain(&err)),
            Err(_) => Err(self.explain(&anyhow!("the server was not ready within {START:?}"))),
        }
    }

    /// Prepares the program with these arguments on the same data, with nowhere to print.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env("COMMONTRACE_DATA_DIR", self.data.path().join("data"))
            // The user's own settings may name a server, which must not be asked.
            .env("XDG_CONFIG_HOME", self.data.path())
            .env_remove("COMMONTRACE_CONFIG")
            .env_remove("COMMONTRACE_API_BASE_URL")
            .env("COMMONTRACE_IMPORT_SEEDS", self.import_seeds.to_string())
            .env("COMMONTRACE_LOG", "warn")
            .env("EMBEDDING_PROVIDER", self.embedding.name())
            .env("RATE_LIMIT_READ_PER_MINUTE", NO_LIMIT)
            .env("RATE_LIMIT_WRITE_PER_MINUTE", NO_LIMIT)
            .env("RATE_LIMIT_REGISTER_PER_HOUR", NO_LIMIT)
            .env("RATE_LIMIT_RECORD_PER_MINUTE", NO_LIMIT)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let Some(url) = &self.database_url {
            command.env("DATABASE_URL", url);
        }
        for (name, value) in &self.settings {
            command.env(name, value);
        }
        command
    }

    /// Adds the end of what the server printed to an error.
    pub fn explain(&self, err: &Error) -> Error {
        let log = std::fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n  ");
        if tail.is_empty() {
            return anyhow!("{err:#}");
        }
        anyhow!("{err:#}; the server printed:\n  {tail}")
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr().context("no port is free")?.port())
}

/// A running server of ours.
#[derive(Debug)]
pub struct Server {
    child: Child,
    target: Target,
    /// From starting the program until it said that it is ready.
    pub ready_after: Duration,
}

impl Server {
    async fn wait_until_ready(&mut self) -> Result<()> {
        let mut client = Client::new(&self.target);
        loop {
            if let Ok(answer) = client.get("/health/ready").await
                && answer.status == 200
            {
                return Ok(());
            }
            if let Some(status) = self.ended()? {
                bail!("the server ended by itself, {status}");
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Returns where it answers.
    pub fn target(&self) -> &Target {
        &self.target
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.child.id()? as i32)
    }

    /// Returns its memory now.
    pub fn memory(&self) -> Result<Memory> {
        let pid = self.pid().context("the server has ended")?.as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
            .context("cannot read the server's memory from /proc")?;
        Memory::parse(&status).context("/proc tells nothing about the server's memory")
    }

    /// Returns with what it has ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot watch the server")
    }

    /// Stops it with SIGTERM.
    pub async fn stop(mut self) -> Result<()> {
        self.end().await
    }

    /// Stops it with SIGTERM; it can be started again by its [`Launch`].
    pub async fn end(&mut self) -> Result<()> {
        if let Some(pid) = self.pid() {
            kill_process(pid, Signal::TERM).context("cannot stop the server")?;
        }
        let Ok(status) = timeout(STOP, self.child.wait()).await else {
            bail!("the server did not stop within {STOP:?}");
        };
        let status = status.context("cannot wait for the server")?;
        if !status.success() {
            bail!("the server stopped with {status}");
        }
        Ok(())
    }

    /// Kills it with SIGKILL, in the middle of whatever it does.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill the server")
    }
}

/// Resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// VmRSS.
    pub resident: u64,
    /// VmHWM, the most it ever had.
    pub peak: u64,
}

impl Memory {
    /// That of the process with this id; `None` where the kernel does not tell.
    pub fn of(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        Some(Self {
            resident: kilobytes("VmRSS:")? * 1024,
            peak: kilobytes("VmHWM:")? * 1024,
        })
    }
}

/// The server that is measured: one of ours, or one that runs already.
#[derive(Debug)]
pub enum Subject {
    /// Started here; the data is removed at the end.
    Own(Box<Server>, Launch),
    /// Runs already and goes on.
    Given(Target),
}

impl Subject {
    /// Starts a server with a fresh store, or takes the one that was given.
    pub async fn start(args: &ServerArgs, import_seeds: bool) -> Result<Self> {
        if let Some(target) = &args.url {
            return Ok(Self::Given(target.clone()));
        }
        let embedding = args.embedding.unwrap_or(Embedding::Local);
        let launch = Launch::new(args, embedding, import_seeds)?;
        Ok(Self::Own(Box::new(launch.start().await?), launch))
    }

    /// Returns where it answers.
    pub fn target(&self) -> &Target {
        match self {
            Self::Own(server, _) => server.target(),
            Self::Given(target) => target,
        }
    }

    /// Stops a server of ours and removes its data.
    pub async fn stop(self) -> Result<()> {
        match self {
            Self::Own(server, launch) => server.stop().await.map_err(|err| launch.explain(&err)),
            Self::Given(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_table() {
        let status = "Name:\tx\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\nThreads:\t1\n";
        assert_eq!(
            Memory::parse(status),
            Some(Memory {
                resident: 204_800,
                peak: 307_200
            })
        );
        assert_eq!(Memory::parse("Name:\tx\n"), None);
    }
}

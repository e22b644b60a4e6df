//! `commontrace sandbox`: runs a command contained, and says what would contain it here. Needs neither
//! settings nor a database.

mod amounts;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use commontrace_sandbox::{
    Backend, Bind, CancellationToken, End, Error, Launcher, Limits, Outcome, Spec, TimeLimit,
    TreeMode, Wanted,
};

use self::amounts::{parse_duration, parse_size};
use super::{complain, interruption, say};
use crate::config::Environment;
use crate::failure::Failure;

/// The sandbox did not work, as with `docker run`.
const TROUBLE: u8 = 125;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run a command contained; exit code of the command, or 124 if it took too long, 125 if the
    /// sandbox did not work, 126 or 127 if there is no such program
    Run(Box<Run>),
    /// Say which isolation works here; exit code 1 if none does
    Check,
}

/// What to run, on what, and how contained.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The folder that the command works on; it appears at /src
    #[arg(long, value_name = "DIR", default_value = ".")]
    tree: PathBuf,
    /// What the command may do to it; with `overlay` it writes into memory that is forgotten
    #[arg(long, value_enum, default_value = "overlay")]
    tree_mode: Mode,
    /// The folder in the tree to start in
    #[arg(long, value_name = "DIR")]
    working_dir: Option<PathBuf>,
    /// Show a file or a folder of the host too, at another path after `=`, and writable with `:rw`
    #[arg(long = "bind", value_name = "PATH[=INSIDE][:rw]", value_parser = parse_bind)]
    binds: Vec<Bind>,
    /// Set a variable; nothing of the environment outside is there
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    env: Vec<(OsString, OsString)>,
    /// Do not show the toolchains that are on PATH outside of /usr
    #[arg(long)]
    no_toolchains: bool,
    /// Let the command use the network
    #[arg(long)]
    network: bool,
    /// Longest time [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    wall: Option<Duration>,
    /// Longest time without any output [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    idle: Option<Duration>,
    /// Most processor time [default: 20m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    cpu: Option<Duration>,
    /// Most memory [default: 2GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    /// Size of /tmp, and of an overlay [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    disk: Option<u64>,
    /// Size of the largest file [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    file_size: Option<u64>,
    /// Most processes and threads [default: 512]
    #[arg(long, value_name = "NUMBER")]
    processes: Option<u64>,
    /// Most output before the command is ended [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    output: Option<u64>,
    /// What contains the command
    #[arg(long, value_enum, default_value = "auto")]
    isolation: Isolation,
    /// The image that Docker or Podman makes the container from
    #[arg(long, required_if_eq_any([("isolation", "docker"), ("isolation", "podman")]))]
    image: Option<String>,
    /// The engine's socket [default: that of DOCKER_HOST, or where it usually is]
    #[arg(long, value_name = "PATH")]
    engine_socket: Option<PathBuf>,
    /// Print how it ended, what it wrote and used, and what contained it, as JSON
    #[arg(long)]
    json: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mode {
    Overlay,
    ReadOnly,
    ReadWrite,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Isolation {
    Auto,
    Embedded,
    #[value(alias = "bwrap")]
    Bubblewrap,
    Docker,
    Podman,
    None,
}

/// Does it.
pub async fn run(command: Command, env: Environment) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(args) => run_command(*args, &env).await,
        Command::Check => Ok(check().await),
    }
}

async fn check() -> ExitCode {
    let findings = commontrace_sandbox::check(&Launcher::this_program()).await;
    for finding in &findings {
        say(finding);
    }
    let automatic = [Backend::Embedded, Backend::Bubblewrap];
    let chosen = findings
        .iter()
        .find(|finding| automatic.contains(&finding.backend) && finding.result.is_ok());
    match chosen {
        Some(chosen) => {
            say(format_args!(
                "\n`commontrace sandbox run` uses: {}",
                chosen.backend
            ));
            ExitCode::SUCCESS
        }
        None => {
            say(
                "\n`commontrace sandbox run` needs `--isolation docker` or `podman` here, with an image",
            );
            ExitCode::FAILURE
        }
    }
}

async fn run_command(args: Run, env: &Environment) -> Result<ExitCode, Failure> {
    let json = args.json;
    let spec = spec(args, env)?;
    let log = Log::new(json)?;
    let cancel = CancellationToken::new();
    let interrupted = cancel.clone();
    let interruption = interruption().map_err(|err| err.code(TROUBLE))?;
    let waiting = tokio::spawn(async move {
        interruption.await;
        interrupted.cancel();
    });
    let launcher = Launcher::this_program();
    let done = commontrace_sandbox::run(&spec, &launcher, log.path(), &cancel).await;
    waiting.abort();
    let outcome = done.map_err(|err| failure(&err))?;
    log.print()?;
    if json {
        say(report(&outcome)?);
    } else if !matches!(outcome.end, End::Exited(_)) {
        complain(&format!(
            "error: the command {} ({})",
            outcome.end, outcome.isolation
        ));
    }
    Ok(ExitCode::from(code(outcome.end)))
}

/// Where the command's output goes while it is written.
enum Log {
    /// Straight to standard output, which is a terminal or a pipe.
    Stream,
    /// Into a file first: opening what standard output goes to would empty it.
    File(tempfile::NamedTempFile),
    /// Nowhere.
    Nowhere,
}

impl Log {
    fn new(json: bool) -> Result<Self, Failure> {
        let stdout = Path::new("/dev/stdout");
        let pipe = std::fs::metadata(stdout).is_ok_and(|found| found.file_type().is_fifo());
        Ok(if json {
            Self::Nowhere
        } else if (pipe || std::io::stdout().is_terminal())
            && std::fs::File::options().write(true).open(stdout).is_ok()
        {
            Self::Stream
        } else {
            let file = tempfile::NamedTempFile::new();
            Self::File(file.map_err(|err| trouble(format!("cannot keep the output: {err}")))?)
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Stream => "/dev/stdout".as_ref(),
            Self::File(file) => file.path(),
            Self::Nowhere => "/dev/null".as_ref(),
        }
    }

    fn print(self) -> Result<(), Failure> {
        let Self::File(file) = self else {
            return Ok(());
        };
        let printed = file
            .reopen()
            .and_then(|mut file| std::io::copy(&mut file, &mut std::io::stdout().lock()));
        match printed {
            Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(trouble(format!("cannot print the output: {err}")))
            }
            _ => Ok(()),
        }
    }
}

fn spec(args: Run, env: &Environment) -> Result<Spec, Failure> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|err| trouble(format!("{}: {err}", path.display())))
    };
    let mut spec = Spec::new(args.command, absolute(&args.tree)?);
    let limits = Limits::default();
    spec.limits = Limits {
        wall: args.wall.unwrap_or(limits.wall),
        idle: args.idle.unwrap_or(limits.idle),
        cpu: args.cpu.unwrap_or(limits.cpu),
        memory: args.memory.unwrap_or(limits.memory),
        processes: args.processes.unwrap_or(limits.processes),
        file_size: args.file_size.unwrap_or(limits.file_size),
        disk: args.disk.unwrap_or(limits.disk),
        output: args.output.unwrap_or(limits.output),
        log: args.output.unwrap_or(limits.output),
        ..limits
    };
    spec.tree_mode = match args.tree_mode {
        Mode::Overlay => TreeMode::Overlay {
            size: spec.limits.disk,
        },
        Mode::ReadOnly => TreeMode::ReadOnly,
        Mode::ReadWrite => TreeMode::ReadWrite,
    };
    spec.working_dir = args.working_dir.unwrap_or_default();
    spec.network = args.network;
    if !args.no_toolchains
        && let Some(path) = env.get("PATH")
    {
        let home = env.get("HOME").map(Path::new);
        let found = commontrace_sandbox::toolchain_binds(path.as_ref(), home);
        spec.binds = found.binds;
        spec.env = found.env;
    }
    for bind in args.binds {
        spec.binds.push(Bind {
            host: absolute(&bind.host)?,
            ..bind
        });
    }
    spec.env.extend(args.env);
    let docker_host = || {
        env.get("DOCKER_HOST")?
            .strip_prefix("unix://")
            .map(PathBuf::from)
    };
    spec.engine_socket = args.engine_socket.or_else(docker_host);
    // clap has made sure that there is one where it is needed.
    let image = args.image.unwrap_or_default();
    spec.isolation = match args.isolation {
        Isolation::Auto => Wanted::Auto,
        Isolation::Embedded => Wanted::Embedded,
        Isolation::Bubblewrap => Wanted::Bubblewrap,
        Isolation::Docker => Wanted::Docker { image },
        Isolation::Podman => Wanted::Podman { image },
        Isolation::None => Wanted::None,
    };
    Ok(spec)
}

fn parse_bind(text: &str) -> Result<Bind, String> {
    let (text, writable) = match text.strip_suffix(":rw") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (host, inside) = text.split_once('=').unwrap_or((text, text));
    if !inside.starts_with('/') {
        return Err("the path inside has to be absolute".into());
    }
    Ok(Bind {
        host: host.into(),
        inside: inside.into(),
        writable,
    })
}

fn parse_variable(text: &str) -> Result<(OsString, OsString), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// Something that kept this command, not the sandboxed one, from its work.
fn trouble(what: String) -> Failure {
    Failure::new(what).code(TROUBLE)
}

fn failure(err: &Error) -> Failure {
    Failure::new(commontrace_server::error::chain(err)).code(match err {
        Error::NotRunnable { missing: true, .. } => 127,
        Error::NotRunnable { .. } => 126,
        _ => TROUBLE,
    })
}

/// What `timeout` and shells answer with.
fn code(end: End) -> u8 {
    match end {
        End::Exited(code) => u8::try_from(code).unwrap_or(u8::MAX),
        End::Signalled(signal) => 128_u8.saturating_add(u8::try_from(signal).unwrap_or(u8::MAX)),
        End::TimedOut(TimeLimit::Wall | TimeLimit::Idle | TimeLimit::Cpu) => 124,
        End::OutOfMemory | End::OutputLimit | End::TooManyProcesses => 137,
        End::FileTooLarge => 153,
        End::DiskFull => 1,
        End::Cancelled => 130,
    }
}

fn report(outcome: &Outcome) -> Result<serde_json::Value, Failure> {
    let cannot = |err| trouble(format!("cannot write the report: {err}"));
    let mut report = serde_json::to_value(outcome).map_err(cannot)?;
    report["output"] = serde_json::json!({
        "text": outcome.output.text(),
        "bytes": outcome.output.total(),
        "omitted": outcome.output.omitted,
    });
    Ok(report)
}

//! `commontrace-bench`: measures the product through its HTTP API, as its users meet it.
//!
//! It starts the product's own binary and knows nothing of its insides, but for `limiter`, `sessions` and
//! `capacity`, which call parts of it directly, and for the filling of a store that is too large to
//! be contributed. Its own load is what a few closed-loop clients make, each with one account, one
//! kept connection and one request at a time; more is made by Locust and wrk. The product never
//! depends on this crate.

mod acknowledged;
mod api;
mod capacity;
mod client;
mod commands;
mod database;
mod document;
mod endpoint;
mod import;
mod machine;
mod metrics;
mod report;
mod rng;
mod scoring;
mod server;
mod sets;
mod stats;
mod texts;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

use crate::commands::{
    capacity as capacity_test, cold_start, contribute, crash, embedding_endpoint, eval, hook,
    known_item, latency, limiter, load, mcp, sandbox, sessions, soak,
};
use crate::report::{Format, Report, note};
use crate::server::ServerArgs;

/// Measures a commontrace server: answers, speed, memory, and what survives a kill.
///
/// Exits with 1 when something that has to hold does not, with 2 when it could not be measured.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object
    #[arg(long, global = true, conflicts_with = "markdown")]
    json: bool,
    /// Print the tables for docs/benchmarks.md
    #[arg(long, global = true)]
    markdown: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Import evaluation sets and judge the answers to their queries
    Eval(eval::Args),
    /// Ask each starter trace by its own problem text, again and again
    KnownItem(known_item::Args),
    /// Time searches over 200 traces, the start and the memory
    Latency(latency::Args),
    /// Count acknowledged contributions a second
    Contribute(contribute::Args),
    /// Kill the server while it writes, and look for what it had acknowledged
    Crash(crash::Args),
    /// Count rate-limit decisions a second through Redis
    Limiter(limiter::Args),
    /// Start many nodes at once on an empty PostgreSQL database
    ColdStart(cold_start::Args),
    /// Break a scaled-out deployment part by part while it is used
    Soak(soak::Args),
    /// Fill a store with generated traces, empty it of them, measure the recall of its index
    #[command(subcommand)]
    Capacity(capacity_test::Command),
    /// Ask a large store as many agents do at once, with Locust and wrk
    Load(load::Args),
    /// Read recordings of agents, and append to sessions
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Start a command that does nothing in each kind of sandbox, again and again
    Sandbox(sandbox::Args),
    /// Tell the hook of agents' hosts of recorded commands, and time its processes
    Hook(hook::Args),
    /// Start `commontrace mcp` as agents' hosts do, and search over its pipes and over HTTP
    Mcp(mcp::Args),
    /// Answer as an embedding service does, until interrupted
    EmbeddingEndpoint(embedding_endpoint::Args),
}

impl Command {
    /// Returns which server is measured, if one is.
    fn server(&self) -> Option<&ServerArgs> {
        match self {
            Self::Eval(args) => Some(&args.server),
            Self::Hook(args) => Some(&args.server),
            Self::KnownItem(args) => Some(&args.server),
            Self::Latency(args) => Some(&args.server),
            Self::Contribute(args) => Some(&args.server),
            Self::Crash(args) => Some(&args.server),
            Self::Load(args) => Some(&args.server),
            Self::Mcp(args) => Some(&args.server),
            Self::Limiter(_)
            | Self::Capacity(_)
            | Self::Sandbox(_)
            | Self::EmbeddingEndpoint(_) => None,
            Self::Sessions(command) => command.server(),
            Self::ColdStart(args) => Some(&args.server),
            Self::Soak(args) => Some(&args.server),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            for failure in failures {
                note(format_args!("failed: {failure}"));
            }
            ExitCode::from(1)
        }
        Err(err) => {
            note(format_args!("error: {err:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<Vec<String>> {
    let mut runtime = match cli.command {
        // The server's own runtime, as it is the server's own code that runs in it.
        Command::Limiter(_) => tokio::runtime::Builder::new_multi_thread(),
        // One thread for all clients leaves the other cores to the server.
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime
        .enable_all()
        .build()
        .context("cannot start the clients")?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = measure(&cli.command) => report,
            // Returning drops the server, which kills it, and its temporary data.
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })?;
    let format = match (cli.json, cli.markdown) {
        (true, _) => Format::Json,
        (_, true) => Format::Markdown,
        _ => Format::Text,
    };
    let setting = setting(&cli.command)?;
    report
        .print(format, &setting, &command_line())
        .context("cannot print the report")?;
    Ok(report.failures)
}

async fn measure(command: &Command) -> Result<Report> {
    match command {
        Command::Eval(args) => Box::pin(eval::run(args)).await,
        Command::KnownItem(args) => Box::pin(known_item::run(args)).await,
        Command::Latency(args) => Box::pin(latency::run(args)).await,
        Command::Contribute(args) => Box::pin(contribute::run(args)).await,
        Command::Crash(args) => Box::pin(crash::run(args)).await,
        Command::Limiter(args) => Box::pin(limiter::run(args)).await,
        Command::ColdStart(args) => Box::pin(cold_start::run(args)).await,
        Command::Soak(args) => Box::pin(soak::run(args)).await,
        Command::Capacity(command) => Box::pin(capacity_test::run(command)).await,
        Command::Load(args) => Box::pin(load::run(args)).await,
        Command::Mcp(args) => Box::pin(mcp::run(args)).await,
        Command::Sessions(command) => Box::pin(sessions::run(command)).await,
        Command::Sandbox(args) => Box::pin(sandbox::run(args)).await,
        Command::Hook(args) => Box::pin(hook::run(args)).await,
        Command::EmbeddingEndpoint(args) => Box::pin(embedding_endpoint::run(args)).await,
    }
}

/// Says what was measured on what.
fn setting(command: &Command) -> Result<String> {
    let revision = machine::revision().map_or_else(String::new, |at| format!(" at {at}"));
    let (machine, engine) = match command.server() {
        // It takes from the command line only what to start.
        Some(server) if matches!(command, Command::Soak(_)) => (
            machine::describe(&server.folder()?),
            "PostgreSQL with a standby",
        ),
        Some(server) => (machine::describe(&server.folder()?), server.engine()),
        None => (machine::describe(Path::new(".")), "no server"),
    };
    let build = if cfg!(debug_assertions) {
        ", debug build"
    } else {
        ""
    };
    Ok(format!(
        "commontrace {}{revision}{build}, {engine}; {machine}",
        env!("CARGO_PKG_VERSION")
    ))
}

/// Returns the command to repeat the measurement.
fn command_line() -> String {
    let args = std::env::args().skip(1);
    let args = args.filter(|arg| arg != "--markdown" && arg != "--json");
    let args = args.map(|arg| publishable(&arg));
    std::iter::once("commontrace-bench".to_owned())
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Leaves out of an argument what says more about this machine than about the measurement: its
/// folders, and the address of a database, which may hold a password.
fn publishable(arg: &str) -> String {
    let (flag, value) = match arg.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => (format!("{flag}="), value),
        _ => (String::new(), arg),
    };
    match value {
        url if url.starts_with("postgres") || url.starts_with("redis") => format!("{flag}URL"),
        path if path.starts_with('/') => format!("{flag}…"),
        _ => arg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_folders_are_not_published() {
        let shown = [
            ("postgres://u:hunter2@h/d", "URL"),
            (
                "--database-url=postgresql://u:hunter2@h/d",
                "--database-url=URL",
            ),
            ("--redis-url=rediss://:hunter2@h", "--redis-url=URL"),
            ("--runs=/home/ada", "--runs=…"),
            ("/srv/sets", "…"),
            ("--passes=2", "--passes=2"),
            ("--set", "--set"),
        ];
        for (arg, expected) in shown {
            assert_eq!(publishable(arg), expected);
        }
    }
}

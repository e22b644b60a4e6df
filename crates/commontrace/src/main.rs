//! `commontrace`: the commons in one program. This crate parses the command line, reads the
//! settings and wires the parts together; what they do is decided elsewhere.

mod commands;
mod commons;
mod config;
mod examiner;
mod failure;
mod local_user;
mod reload;
mod start;
mod telemetry;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigArgs, Environment};
use crate::failure::Failure;
use crate::telemetry::Telemetry;

/// A shared memory of solved problems for coding agents.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(commands::serve::Args),
    /// Answer an event of a coding agent's host: known failures and how they were solved
    Hook(commands::hook::Args),
    /// Connect a coding agent: the Model Context Protocol on standard input and output
    Mcp,
    /// Share a commons with others: name a server, and see or remove it
    #[command(subcommand)]
    Remote(commands::people::remote::Command),
    /// See what is kept here, how the server takes the key, and what waits to be sent
    Status(commands::people::status::Args),
    /// Embed and tidy up for servers that leave it to workers
    Worker,
    /// Bring the database schema up to date
    Migrate,
    /// Copy the live store into a new file
    Backup(commands::backup::Args),
    /// Make the vectors of the configured model ahead of a switch to it, while a server goes on
    Reembed(commands::reembed::Args),
    /// Import the starter traces, or check and import those in a folder
    ImportSeeds(commands::import_seeds::Args),
    /// Import, follow, list, export and prune recorded debugging sessions
    #[command(subcommand)]
    Sessions(commands::sessions::Command),
    /// Check a signed verdict, its session's events, and that running the tests again gives the same
    Verify(Box<commands::verify::Args>),
    /// Find out how far the model that judges agrees with people
    #[command(subcommand)]
    Judge(commands::judge::Command),
    /// Moderate and look after the commons
    #[command(subcommand)]
    Admin(commands::admin::Command),
    /// See the settings
    #[command(subcommand)]
    Config(commands::config::Command),
    /// Find out what is wrong and what to do about it
    Doctor,
    /// Run commands of strangers without harm
    #[command(subcommand)]
    Sandbox(commands::sandbox::Command),
    /// Ask the running server whether it is well; exit code 1 if not
    Health(commands::health::Args),
}

fn main() -> ExitCode {
    // Entering a sandbox takes a process with one thread and nothing else to do.
    if let Some(code) = commontrace_sandbox::launched() {
        return code;
    }
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let env = config::environment();
    let config = || Config::load(&cli.settings, &env);
    let command = match cli.command {
        Command::Doctor => return commands::block_on(commands::doctor::run(config())),
        Command::Hook(args) => return Ok(commands::hook::run(&cli.settings, &env, &args)),
        Command::Sandbox(command) => {
            return commands::block_on(commands::sandbox::run(command, env));
        }
        command => command,
    };
    let config = config()?;
    if command.is_for_people() {
        return for_people(config, command, &cli.settings, &env);
    }
    // Only what runs for long has something to tell.
    let (telemetry, listeners) = match command {
        Command::Serve(_) | Command::Worker => Telemetry::start(&config.telemetry, &env)?,
        _ => Default::default(),
    };
    commands::init_logging(&config, &env, listeners)?;
    let done = match command {
        Command::Serve(args) => {
            commands::block_on(commands::serve::run(config, args, cli.settings, env))
        }
        Command::Worker => commands::block_on(commands::worker::run(config, cli.settings, env)),
        Command::Mcp => commands::block_on_input(commands::mcp::run(config)),
        Command::Migrate => commands::block_on(commands::migrate::run(config)),
        Command::Backup(args) => commands::block_on(commands::backup::run(config, args)),
        Command::Reembed(args) => commands::block_on(commands::reembed::run(config, args)),
        Command::ImportSeeds(args) => commands::block_on(commands::import_seeds::run(config, args)),
        Command::Sessions(command) => {
            commands::block_on(commands::sessions::run(config, env, command))
        }
        Command::Verify(args) => commands::block_on(commands::verify::run(config, env, *args)),
        Command::Judge(command) => commands::block_on(commands::judge::run(config, command)),
        Command::Admin(command) => commands::block_on(commands::admin::run(config, command)),
        Command::Config(command) => commands::config::run(&config, &command),
        Command::Health(args) => commands::block_on(commands::health::run(config, args)),
        Command::Doctor
        | Command::Sandbox(_)
        | Command::Hook(_)
        | Command::Remote(_)
        | Command::Status(_) => {
            unreachable!("handled above")
        }
    };
    telemetry.flush();
    done.map(|()| ExitCode::SUCCESS)
}

impl Command {
    /// Whether a person waits for what it says: then it logs nothing but what goes wrong.
    fn is_for_people(&self) -> bool {
        matches!(self, Self::Remote(_) | Self::Status(_))
    }
}

/// Runs a command whose exit code says more than whether it was done.
fn for_people(
    config: Config,
    command: Command,
    flags: &ConfigArgs,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    commands::init_quiet_logging(&config, env)?;
    commands::block_on(async {
        match command {
            Command::Remote(command) => {
                commands::people::remote::run(config, command, flags, env).await
            }
            Command::Status(args) => commands::people::status::run(config, args).await,
            _ => unreachable!("only those for people come here"),
        }
    })
}

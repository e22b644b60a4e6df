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

use clap::{CommandFactory as _, Parser, Subcommand};
use commontrace_server::logging::WhenFull;

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
    /// Wire this program into Claude Code, Codex, Cursor and other hosts of agents, or take it out again
    Setup(commands::setup::Args),
    /// Write the plugin of Claude Code and print its folder, for a marketplace's `command` source
    ClaudePluginPath,
    /// Find how others solved an error; exit code 1 if nothing relevant is known
    Search(commands::people::search::Args),
    /// Show a trace whole
    Get(commands::people::get::Args),
    /// Publish a solved problem, after you have seen the text and agreed
    Contribute(commands::people::contribute::Args),
    /// Vote on somebody's trace
    Vote(commands::people::vote::Args),
    /// Propose a better solution for somebody's trace
    Amend(commands::people::amend::Args),
    /// Report what came of a trace that you read
    Report(commands::people::vote::ReportArgs),
    /// Share a commons with others: name a server, and see or remove it
    #[command(subcommand)]
    Remote(commands::people::remote::Command),
    /// See what is kept here, how the server takes the key, and what waits to be sent
    Status(commands::people::status::Args),
    /// See everything that was sent from this machine
    Log(commands::people::log::Args),
    /// See what would be taken out of a text before it leaves
    Redact(commands::people::redact::Args),
    /// See what this machine remembers, and remove it
    Forget(commands::people::forget::Args),
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
    /// Print the completions of a shell
    Completions(commands::completions::Args),
    /// Write man pages
    Man(commands::completions::ManArgs),
}

fn main() -> ExitCode {
    // Entering a sandbox takes a process with one thread and nothing else to do.
    if let Some(code) = commontrace_sandbox::launched() {
        return code;
    }
    // An agent's host waits for it at every step, and putting the whole command line together would take a good part
    // of its time.
    if let Some(args) = commands::hook::Args::bare(std::env::args_os()) {
        return commands::hook::run(&ConfigArgs::default(), &config::environment(), args);
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
        Command::Doctor => return commands::block_on(commands::doctor::run(config(), &env)),
        Command::Hook(args) => return Ok(commands::hook::run(&cli.settings, &env, args)),
        Command::Sandbox(command) => {
            return commands::block_on(commands::sandbox::run(command, env));
        }
        Command::Completions(args) => {
            commands::completions::print(&args, Cli::command());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Man(args) => {
            commands::completions::write_man_pages(&args, Cli::command())?;
            return Ok(ExitCode::SUCCESS);
        }
        command => command,
    };
    let config = config()?;
    if is_for_people(&command) {
        return for_people(config, command, &cli.settings, &env);
    }
    // Only what runs for long has something to tell.
    let (telemetry, listeners) = match command {
        Command::Serve(_) | Command::Worker => Telemetry::start(&config.telemetry, &env)?,
        _ => Default::default(),
    };
    // Hosts of agents do not all read what a server of tools logs.
    let when_full = match command {
        Command::Mcp => WhenFull::LeaveOut,
        _ => WhenFull::Wait,
    };
    commands::init_logging(&config, &env, when_full, listeners)?;
    let done = match command {
        Command::Serve(args) => {
            commands::block_on(commands::serve::run(config, args, cli.settings, env))
        }
        Command::Worker => commands::block_on(commands::worker::run(config, cli.settings, env)),
        Command::Mcp => commands::block_on_input(commands::mcp::run(config)),
        Command::ClaudePluginPath => commands::setup::claude_plugin_path(&config, &env),
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
        _ => unreachable!("handled above"),
    };
    telemetry.flush();
    done.map(|()| ExitCode::SUCCESS)
}

/// Whether a person waits for what a command says: then it logs nothing but what goes wrong, and its exit code
/// says more than whether it was done.
fn is_for_people(command: &Command) -> bool {
    use Command::{
        Amend, Contribute, Forget, Get, Log, Redact, Remote, Report, Search, Setup, Status, Vote,
    };
    matches!(
        command,
        Search(_)
            | Get(_)
            | Contribute(_)
            | Vote(_)
            | Amend(_)
            | Report(_)
            | Remote(_)
            | Setup(_)
            | Status(_)
            | Log(_)
            | Redact(_)
            | Forget(_)
    )
}

fn for_people(
    config: Config,
    command: Command,
    flags: &ConfigArgs,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    use commands::people;
    commands::init_quiet_logging(&config, env)?;
    match command {
        Command::Log(args) => return people::log::run(&config, &args, env),
        Command::Forget(args) => return people::forget::run(&config, &args),
        Command::Redact(args) => {
            return people::redact::run(&args, env).map(|()| ExitCode::SUCCESS);
        }
        _ => {}
    }
    commands::block_on(async {
        match command {
            Command::Search(args) => Box::pin(people::search::run(config, args, env)).await,
            Command::Get(args) => Box::pin(people::get::run(config, args, env)).await,
            Command::Contribute(args) => Box::pin(people::contribute::run(config, args, env)).await,
            Command::Vote(args) => Box::pin(people::vote::run(config, args)).await,
            Command::Amend(args) => Box::pin(people::amend::run(config, args, env)).await,
            Command::Report(args) => Box::pin(people::vote::report(config, args)).await,
            Command::Remote(command) => {
                Box::pin(people::remote::run(config, command, flags, env)).await
            }
            Command::Setup(args) => Box::pin(commands::setup::run(config, args, flags, env)).await,
            Command::Status(args) => Box::pin(people::status::run(config, args)).await,
            _ => unreachable!("handled above"),
        }
    })
}

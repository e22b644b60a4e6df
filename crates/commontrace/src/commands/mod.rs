//! The subcommands, one file each.

pub mod admin;
pub mod backup;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod health;
pub mod hook;
pub mod import_seeds;
pub mod jobs;
pub mod judge;
pub mod mcp;
pub mod migrate;
pub mod people;
pub mod reembed;
pub mod sandbox;
pub mod serve;
pub mod sessions;
pub mod setup;
pub mod verify;
pub mod worker;

use std::fs::File;
use std::future::Future;
use std::io::{self, IsTerminal, Read, Write as _};
use std::path::Path;

use commontrace_core::text::clean;
use commontrace_server::error::chain;
use commontrace_server::logging::{self, WhenFull};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Environment, LogFormat};
use crate::failure::Failure;

/// Runs a command that waits for things.
pub fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime()?.block_on(command)
}

/// Runs a command that may end while a thread of it still waits for standard input, which nothing can
/// interrupt. The process does not wait for that thread.
pub fn block_on_input<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let done = runtime.block_on(command);
    runtime.shutdown_background();
    done
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|err| Failure::new(format!("cannot start threads: {err}")))
}

/// Sets up logging to standard error and says what the settings have to say.
pub fn init_logging(
    config: &Config,
    env: &Environment,
    when_full: WhenFull,
    listeners: Vec<logging::Listener>,
) -> Result<(), Failure> {
    let format = match config.log.log_format {
        LogFormat::Pretty => logging::Format::Pretty,
        LogFormat::Json => logging::Format::Json,
    };
    let colour = io::stderr().is_terminal() && !env.contains_key("NO_COLOR");
    logging::init(format, &log_filter(config), colour, when_full, listeners)
        .map_err(|err| Failure::new(chain(&err)))?;
    let file = config
        .file
        .as_ref()
        .map_or("none".into(), |file| file.display().to_string());
    tracing::debug!(debug = config.log.debug, file, "the settings are read");
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    Ok(())
}

/// Does the same for a command that a person runs: without what goes well, unless the settings ask for it.
pub fn init_quiet_logging(config: &Config, env: &Environment) -> Result<(), Failure> {
    if !config.is_default("log") {
        return init_logging(config, env, WhenFull::Wait, Vec::new());
    }
    // What goes wrong with the two stores is said by the command itself.
    let filter = "error,commontrace::commons=off";
    logging::init(
        logging::Format::Pretty,
        filter,
        false,
        WhenFull::Wait,
        Vec::new(),
    )
    .map_err(|err| Failure::new(chain(&err)))?;
    for notice in &config.notices {
        complain(&format!("warning: {notice}"));
    }
    Ok(())
}

/// Logs by the filter of these settings from now on.
pub fn set_log_filter(config: &Config) -> Result<(), Failure> {
    logging::set_filter(&log_filter(config)).map_err(|err| Failure::new(chain(&err)))
}

/// The filter of the settings, without what would log messages of agents whole: queries and texts that
/// nothing was taken out of.
fn log_filter(config: &Config) -> String {
    format!("{},rmcp=off", config.log.log.to_filter())
}

/// Prints one line of a command's answer. A reader that has gone away is not an error.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Prints one line to standard error, where what goes wrong or goes on is told. Others may have had a say in
/// it, so whatever moves the cursor is left out.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", clean(line));
}

/// Reads a text of at most `longest` bytes, from standard input if the path is `-`. Returns what to call it,
/// too.
pub fn read_text(path: &Path, longest: usize) -> Result<(String, String), Failure> {
    let mut text = String::new();
    let mut read = |from: &mut dyn Read| from.take(longest as u64 + 1).read_to_string(&mut text);
    let (name, read) = if path == Path::new("-") {
        ("standard input".to_owned(), read(&mut io::stdin().lock()))
    } else {
        let read = File::open(path).and_then(|mut file| read(&mut file));
        (path.display().to_string(), read)
    };
    read.map_err(|err| Failure::unreadable(Path::new(&name), &err))?;
    if text.len() > longest {
        return Err(Failure::new(format!(
            "{name} is longer than {} MiB, which is the most that is read here",
            longest >> 20
        )));
    }
    Ok((name, text))
}

/// Begins to listen for SIGINT and SIGTERM, and returns what waits for the first of them.
pub fn interruption() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let listen = |kind| {
        signal(kind).map_err(|err| Failure::new(format!("cannot listen for signals: {err}")))
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

//! `commontrace hook HOST`: reads an event of an agent's host on standard input and answers in the host's form.
//!
//! It must never be in the host's way. Whatever goes wrong, it exits with 0, prints nothing and leaves a line in
//! `hook.log` in the data directory. It starts no async runtime.

mod log;

use std::io::{Read as _, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono::SecondsFormat;
use commontrace_hook::event::{Event, Ignored};
use commontrace_hook::host::Host;
use commontrace_hook::hosts;
use commontrace_hook::respond::{Surroundings, respond};
use commontrace_server::clock::Clock;
use commontrace_store::Location;

use self::log::Log;
use crate::config::{Config, ConfigArgs, Environment};
use crate::start;

/// The longest event that is read. Longer ones are left alone.
const EVENT_MAX: u64 = 1024 * 1024;
/// How much sooner than the host the hook gives up.
const MARGIN: Duration = Duration::from_millis(300);

/// Answer an event of an agent's host
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The program that the agent runs in: claude, codex, cursor, gemini, vscode, copilot or opencode
    host: String,
    /// The event's name, where the host does not send it
    event: Option<String>,
}

/// Answers, and exits with 0 whatever happens.
pub fn run(settings: &ConfigArgs, env: &Environment, args: &Args) -> ExitCode {
    let config = Config::load(settings, env);
    let place = match &config {
        Ok(config) => Some(config.storage.data_dir.clone()),
        Err(_) => None,
    };
    let log = Log::new(place.as_deref(), &args.host, Clock::System.now());
    // The default would print where the host may show it.
    std::panic::set_hook(Box::new(|_| {}));
    let answered = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let config = config.map_err(|failure| format!("the settings cannot be used: {failure}"))?;
        answer(&config, env, args, &log)
    }));
    match answered {
        Ok(Ok(())) => {}
        Ok(Err(why)) => log.write(&why),
        Err(_) => log.write("the event could not be worked on: a defect of this program"),
    }
    ExitCode::SUCCESS
}

fn answer(config: &Config, env: &Environment, args: &Args, log: &Log) -> Result<(), String> {
    let host = Host::named(&args.host)
        .ok_or("no such host is known; `commontrace setup` writes the right name")?;
    let limit = host.events().iter().filter(|wired| {
        args.event
            .as_deref()
            .is_none_or(|event| event == wired.event)
    });
    let limit = limit.map(|wired| wired.timeout).max().unwrap_or(1);
    give_up_after(
        Duration::from_secs(limit.into()).saturating_sub(MARGIN),
        log.clone(),
    );
    let mut text = Vec::new();
    let read = std::io::stdin()
        .lock()
        .take(EVENT_MAX + 1)
        .read_to_end(&mut text);
    read.map_err(|err| format!("the event cannot be read: {err}"))?;
    if text.len() as u64 > EVENT_MAX {
        return Err(format!(
            "an event of more than {EVENT_MAX} bytes is left alone"
        ));
    }
    let payload =
        serde_json::from_slice(&text).map_err(|err| format!("the event is no JSON: {err}"))?;
    drop(text);
    let event = match hosts::read(host, args.event.as_deref(), &payload) {
        Ok(event) => event,
        Err(Ignored::OfNoInterest) => return Ok(()),
        Err(ignored @ Ignored::Malformed) => return Err(ignored.to_string()),
    };
    drop(payload);
    let log = log.at(&event.name);
    let Some(facts) = facts(config, env, host, &event, &log)? else {
        return Ok(());
    };
    if let Some(answer) = hosts::write(host, &event, &facts) {
        let mut out = std::io::stdout().lock();
        // A host that is gone needs no answer.
        let _ = writeln!(out, "{answer}").and_then(|()| out.flush());
    }
    Ok(())
}

fn facts(
    config: &Config,
    env: &Environment,
    host: Host,
    event: &Event,
    log: &Log,
) -> Result<Option<String>, String> {
    let data_dir = &config.storage.data_dir;
    start::create_private(data_dir).map_err(|failure| failure.to_string())?;
    let store = store_file(config);
    let now = Clock::System.now();
    let home = env
        .get("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from);
    let told = respond(
        event,
        &mut Surroundings {
            host,
            data_dir,
            store: store.as_deref(),
            home: home.as_deref(),
            now: now.timestamp(),
            now_text: &now.to_rfc3339_opts(SecondsFormat::AutoSi, false),
            server: None,
            log: &mut |line| log.write(line),
        },
    );
    told.map_err(|err| err.to_string())
}

/// The store's file, if the store on this machine is one.
fn store_file(config: &Config) -> Option<PathBuf> {
    match start::location(config) {
        Ok(Location::File(path)) => Some(path),
        _ => None,
    }
}

/// Ends the process when the host is about to go on without it, so that nothing of it is left behind.
fn give_up_after(limit: Duration, log: Log) {
    let waiting = std::thread::Builder::new().spawn(move || {
        std::thread::sleep(limit);
        log.write("gave up, because the host would have");
        std::process::exit(0);
    });
    drop(waiting);
}

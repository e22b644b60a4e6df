//! `commontrace hook HOST`: reads an event of an agent's host on standard input and answers in the host's form.
//!
//! It must never be in the host's way. Whatever goes wrong, it exits with 0, prints nothing and leaves a line in
//! `hook.log` in the data directory. It starts no async runtime.

mod log;
mod server;

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use chrono::SecondsFormat;
use commontrace_hook::event::{Event, Ignored, What};
use commontrace_hook::host::Host;
use commontrace_hook::hosts;
use commontrace_hook::respond::{Server, Surroundings, respond};
use commontrace_server::clock::Clock;
use commontrace_session::import::mended;
use commontrace_store::Location;

pub use self::log::FILE as LOG_FILE;
use self::log::Log;
use self::server::Elsewhere;
use crate::config::{Config, ConfigArgs, Environment, SearchScope};
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

impl Args {
    /// Reads `commontrace hook HOST [EVENT]` as hosts start it, without flags; nothing if it is anything else.
    pub fn bare(words: impl Iterator<Item = OsString>) -> Option<Self> {
        // Other arguments may be no text.
        let mut words = words.skip(1).map_while(|word| word.into_string().ok());
        let (hook, host, event) = (words.next()?, words.next()?, words.next());
        let is_bare = |word: &String| !word.starts_with('-');
        let is_it = hook == "hook" && Host::named(&host).is_some();
        (is_it && event.iter().all(is_bare) && words.next().is_none())
            .then_some(Self { host, event })
    }
}

/// Answers, and exits with 0 whatever happens. When the host is about to go on without an answer, the process ends, so
/// that nothing of it is left behind.
pub fn run(settings: &ConfigArgs, env: &Environment, args: Args) -> ExitCode {
    let config = Config::load(settings, env);
    let place = config
        .as_ref()
        .ok()
        .map(|config| config.storage.data_dir.clone());
    let log = Log::new(place.as_deref(), &args.host, Clock::System.now());
    // The default would print where the host may show it.
    std::panic::set_hook(Box::new(|_| {}));
    let limit = Host::named(&args.host).map_or(MARGIN, |host| limit(host, args.event.as_deref()));
    let (done, waiting) = mpsc::channel();
    let worker = {
        let (env, log) = (env.clone(), log.clone());
        thread::Builder::new().spawn(move || {
            let config =
                config.map_err(|failure| format!("the settings cannot be used: {failure}"));
            let answered = config.and_then(|config| answer(&config, &env, &args, &log));
            // Nobody waits any more if it took too long.
            let _ = done.send(answered);
        })
    };
    match (worker, waiting.recv_timeout(limit)) {
        (Err(err), _) => log.write(&format!("cannot start a thread: {err}")),
        (_, Ok(Ok(()))) => {}
        (_, Ok(Err(why))) => log.write(&why),
        (_, Err(RecvTimeoutError::Timeout)) => log.write("gave up, because the host would have"),
        (_, Err(RecvTimeoutError::Disconnected)) => {
            log.write("the event could not be worked on: a defect of this program");
        }
    }
    ExitCode::SUCCESS
}

/// How long an answer may take: less than the host waits.
fn limit(host: Host, event: Option<&str>) -> Duration {
    let events = host.events().iter();
    let wired = events.filter(|wired| event.is_none_or(|event| event == wired.event));
    let seconds = wired.map(|wired| wired.timeout).max().unwrap_or(1);
    Duration::from_secs(seconds.into()).saturating_sub(MARGIN)
}

fn answer(config: &Config, env: &Environment, args: &Args, log: &Log) -> Result<(), String> {
    let host = Host::named(&args.host)
        .ok_or("no such host is known; `commontrace setup` writes the right name")?;
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
    let text = String::from_utf8_lossy(&text);
    let payload = serde_json::from_str(&mended(&text)).map_err(|err| {
        // Its message may quote what was sent.
        format!(
            "the event is no JSON (line {}, column {})",
            err.line(),
            err.column()
        )
    })?;
    let mut event = match hosts::read(host, args.event.as_deref(), &payload) {
        Ok(event) => event,
        Err(Ignored::OfNoInterest) => return Ok(()),
        Err(ignored @ Ignored::Malformed) => return Err(ignored.to_string()),
    };
    drop(payload);
    // Nobody sits before a session in the cloud.
    if let What::Stopped(stop) = &mut event.what {
        stop.unattended |= env
            .get("CLAUDE_CODE_REMOTE")
            .is_some_and(|set| set == "true");
    }
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
    let mut server = Elsewhere::of(config);
    let told = respond(
        event,
        &mut Surroundings {
            host,
            data_dir,
            store: store.as_deref(),
            home: home.as_deref(),
            now: now.timestamp(),
            now_text: &now.to_rfc3339_opts(SecondsFormat::AutoSi, false),
            server: server.as_mut().map(|server| server as &mut dyn Server),
            log: &mut |line| log.write(line),
        },
    );
    told.map_err(|err| err.to_string())
}

/// The store's file, if the store on this machine is one and may be searched.
fn store_file(config: &Config) -> Option<PathBuf> {
    if config.remote.search == SearchScope::Off {
        return None;
    }
    match start::location(config) {
        Ok(Location::File(path)) => Some(path),
        _ => None,
    }
}

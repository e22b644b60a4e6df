//! `commontrace status`: what is kept here, what is shared with whom, and what waits.

use std::path::Path;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use commontrace_hook::history::History;
use commontrace_server::error::chain;
use serde::Serialize;

use super::standing::ServerStanding;
use super::terminal::{harmless_json, one_line, plural};
use super::with_both;
use crate::commands::say;
use crate::commons::outbox::{Outbox, Refused, Waiting};
use crate::commons::sent::{Sent, SentLog};
use crate::config::{Config, Publish, SearchScope};
use crate::failure::Failure;
use crate::start;

/// How to show it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Status {
    /// Where this machine's store is.
    store: String,
    /// Traces in it that stand nowhere else; null if it cannot be opened.
    own_traces: Option<i64>,
    starter_traces: Option<i64>,
    /// Why the store cannot be opened.
    store_failure: Option<String>,
    server: Option<ServerStanding>,
    search: &'static str,
    publish: &'static str,
    offline: bool,
    waiting: Vec<Waiting>,
    refused: Vec<Refused>,
    last_sent: Option<Sent>,
    /// When events of hosts last came, newest first.
    hooks: Vec<Fired>,
}

/// An event of a coding agent's host.
#[derive(Debug, Serialize)]
struct Fired {
    host: String,
    event: String,
    time: DateTime<Utc>,
}

/// Shows it. The exit code says how the server takes the key.
pub async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let status = with_both(config.clone(), "status", async |both| {
        let server = ServerStanding::of(both, &config).await;
        look(&config, server).await
    })
    .await?;
    if args.json {
        let text = serde_json::to_string_pretty(&status);
        say(harmless_json(
            &text.map_err(|err| Failure::new(chain(&err)))?,
        ));
    } else {
        status.print();
    }
    let code = status.server.map(|server| server.code());
    Ok(code.unwrap_or(ExitCode::SUCCESS))
}

async fn look(config: &Config, server: Option<ServerStanding>) -> Result<Status, Failure> {
    let data_dir = &config.storage.data_dir;
    let unreadable = |err| Failure::new(format!("cannot read {}: {err}", data_dir.display()));
    let outbox = Outbox::in_dir(data_dir);
    let mut last_sent = None;
    SentLog::in_dir(data_dir)
        .read(|sent, _| last_sent = Some(sent))
        .map_err(unreadable)?;
    let counted = async {
        let store = start::store(config).await?;
        let stats = store.stats().await;
        store.close().await;
        Ok::<_, Failure>(stats?)
    };
    let (counts, store_failure) = match counted.await {
        Ok(stats) => (Some(stats), None),
        Err(failure) => (None, Some(failure.to_string())),
    };
    Ok(Status {
        store: start::place(config),
        own_traces: counts
            .as_ref()
            .map(|stats| stats.traces - stats.seed_traces),
        starter_traces: counts.as_ref().map(|stats| stats.seed_traces),
        store_failure,
        server,
        search: match config.remote.search {
            SearchScope::Off => "off",
            SearchScope::Local => "local",
            SearchScope::Network => "network",
        },
        publish: match config.remote.publish {
            Publish::Never => "never",
            Publish::Ask => "ask",
            Publish::Always => "always",
        },
        offline: config.remote.offline,
        waiting: outbox.waiting().map_err(unreadable)?,
        refused: outbox.refused().map_err(unreadable)?,
        last_sent,
        hooks: hooks(data_dir),
    })
}

/// When events of hosts last came, newest first.
fn hooks(data_dir: &Path) -> Vec<Fired> {
    let file = data_dir.join("history.db");
    if !file.exists() {
        return Vec::new();
    }
    let read = History::open(&file).and_then(|history| history.fired());
    let mut fired: Vec<Fired> = read
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(host, event, at)| {
            let time = DateTime::from_timestamp(at, 0)?;
            Some(Fired { host, event, time })
        })
        .collect();
    fired.sort_by_key(|fired| std::cmp::Reverse(fired.time));
    fired
}

fn minute(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

impl Status {
    fn print(&self) {
        let line = |name: &str, text: &str| say(format_args!("{name:<12}{text}"));
        match (&self.own_traces, &self.starter_traces, &self.store_failure) {
            (Some(own), Some(starter), _) => line(
                "store",
                &format!(
                    "{}: {own} own trace{}, {starter} starter traces",
                    self.store,
                    plural(usize::try_from(*own).unwrap_or(0))
                ),
            ),
            (_, _, failure) => line(
                "store",
                &format!(
                    "{}: {}",
                    self.store,
                    failure.as_deref().unwrap_or("unknown")
                ),
            ),
        }
        match &self.server {
            Some(server) => line("server", &server.to_line()),
            None => line(
                "server",
                "none; `commontrace remote add URL` shares a commons with others",
            ),
        }
        if self.server.is_some() {
            line("searches", self.searches());
            line("publishing", self.publishing());
        }
        line(
            "waiting",
            &match self.waiting.first() {
                None => "nothing".to_owned(),
                Some(oldest) => format!(
                    "{} contribution{} to be sent, the oldest since {}",
                    self.waiting.len(),
                    plural(self.waiting.len()),
                    minute(oldest.since)
                ),
            },
        );
        for Refused { reason, waiting } in &self.refused {
            let title = one_line(waiting.body["title"].as_str().unwrap_or(""));
            line(
                "refused",
                &format!("`{title}` by {}: {}", waiting.host, one_line(reason)),
            );
        }
        line(
            "last sent",
            &match &self.last_sent {
                None => "nothing was ever sent from here".to_owned(),
                Some(sent) => format!(
                    "{} {} {}{} (`commontrace log` shows all)",
                    minute(sent.time),
                    sent.method,
                    sent.host,
                    sent.path
                ),
            },
        );
        if self.hooks.is_empty() {
            line("hooks", "none has run here");
        }
        for Fired { host, event, time } in &self.hooks {
            line(
                "hooks",
                &format!("{host} {event} last came {}", minute(*time)),
            );
        }
    }

    fn searches(&self) -> &'static str {
        match (self.offline, self.search) {
            (true, _) => "this machine's store alone: offline",
            (false, "network") => "this machine's store and the server",
            (false, "local") => "this machine's store alone",
            (false, _) => "this machine's store alone, and never by hooks",
        }
    }

    fn publishing(&self) -> &'static str {
        match self.publish {
            "never" => "never",
            "always" => "after you agreed; `--yes` agrees",
            _ => "after you have seen the text and agreed",
        }
    }
}

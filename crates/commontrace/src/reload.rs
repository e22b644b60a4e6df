//! Taking up changed settings while the server runs, when it gets SIGHUP.
//!
//! The embedding settings and the log filter take effect; of all else that changed is said that it
//! needs a restart. Settings that cannot be used change nothing.

use std::io::IsTerminal;

use commontrace_search::embed::Embedder;
use commontrace_server::App;
use commontrace_server::error::chain;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::commands;
use crate::config::{self, Config, ConfigArgs, Environment};
use crate::failure::Failure;
use crate::start;

/// What a new model is asked for before it is taken up.
const PROBE: &str = "error: linker `cc` not found";

/// The section whose settings take effect at once.
const EMBEDDING: &str = "embedding";
/// The settings that take effect at once besides.
const FILTER: [&str; 2] = ["log", "debug"];

/// The SIGHUPs that this process gets.
#[derive(Debug)]
pub struct Hangups {
    signals: Signal,
    in_terminal: bool,
}

impl Hangups {
    /// Listens from now on; until this is called a SIGHUP ends the process.
    pub fn listen() -> Result<Self, Failure> {
        let signals = signal(SignalKind::hangup())
            .map_err(|err| Failure::new(format!("cannot listen for signals: {err}")))?;
        Ok(Self {
            signals,
            in_terminal: std::io::stdin().is_terminal(),
        })
    }

    async fn next(&mut self) {
        if self.signals.recv().await.is_none() {
            // There will be none.
            std::future::pending::<()>().await;
        }
    }

    /// Returns whether the signal came because the terminal was closed.
    fn lost_terminal(&self) -> bool {
        self.in_terminal && !std::io::stdin().is_terminal()
    }
}

/// Where settings come from, and which are in force.
#[derive(Debug)]
pub struct Reload {
    flags: ConfigArgs,
    env: Environment,
    /// The settings at the start.
    started: Config,
    /// The settings whose changeable part is in force.
    taken_up: Config,
}

impl Reload {
    /// Notes what the server was started with.
    pub fn new(started: Config, flags: ConfigArgs, env: Environment) -> Self {
        Self {
            flags,
            env,
            taken_up: started.clone(),
            started,
        }
    }

    /// Reads the settings anew and takes up what may change; an error means that nothing was.
    async fn take_up(&mut self, app: &App) -> Result<(), Failure> {
        let new = Config::load(&self.flags, &self.env)?;
        let at_once =
            |&(section, name): &(&str, &str)| section == EMBEDDING || FILTER.contains(&name);
        let mut changed = new.changed(&self.taken_up);
        changed.retain(at_once);
        let mut pending = new.changed(&self.started);
        pending.retain(|setting| !at_once(setting));

        // A model that could not be had at the start may be there now.
        let lacks_model = app.search.wanted().borrow().is_none()
            && !matches!(new.embedding.embedder(), config::Embedder::None);
        let embedding = lacks_model || changed.iter().any(|&(section, _)| section == EMBEDDING);
        let embedder = if embedding {
            Some(embedder(&new).await?)
        } else {
            None
        };
        commands::set_log_filter(&new)?;
        for notice in &new.notices {
            tracing::warn!("{notice}");
        }
        if let Some(embedder) = embedder {
            app.search.switch_to(embedder);
        }
        tracing::info!("took up the settings; changed: {}", list(&changed));
        if !pending.is_empty() {
            tracing::warn!(
                "these settings changed and need a restart: {}",
                list(&pending)
            );
        }
        self.taken_up = new;
        Ok(())
    }
}

/// Takes up the settings at every SIGHUP until the server stops. One that comes while the settings of
/// the one before are being prepared starts over.
pub async fn run(app: App, mut hangups: Hangups, mut reload: Reload) {
    loop {
        tokio::select! {
            () = hangups.next() => {}
            () = app.lifecycle.stopped() => return,
        }
        loop {
            if hangups.lost_terminal() {
                tracing::info!(
                    signal = "SIGHUP",
                    "the terminal was closed, finishing what was accepted"
                );
                app.lifecycle.stop();
                return;
            }
            tracing::info!(signal = "SIGHUP", "received SIGHUP, reading the settings");
            tokio::select! {
                () = hangups.next() => {}
                () = app.lifecycle.stopped() => return,
                done = reload.take_up(&app) => {
                    if let Err(failure) = done {
                        tracing::error!("nothing was changed: {failure}");
                    }
                    break;
                }
            }
        }
    }
}

/// Prepares the configured embedder and makes sure that it answers.
async fn embedder(config: &Config) -> Result<Option<Embedder>, Failure> {
    let embedder = start::wanted_embedder(config).await?;
    if let Some(embedder) = &embedder {
        let answer = embedder.embed_query(PROBE).await;
        answer.map_err(|err| Failure::new(chain(&err)).hint("`commontrace doctor` looks at it"))?;
    }
    Ok(embedder)
}

fn list(settings: &[(&str, &str)]) -> String {
    let names: Vec<_> = settings.iter().map(|&(_, name)| name).collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

//! `commontrace sessions watch`: follows the folders of agents and imports what grows.
//!
//! Folders are looked at again and again, for no notice of a file system reaches everywhere (network disks,
//! containers). A file that has another size or time than before is read from its beginning: what was handed
//! over before is known, so that only what is new is stored.

mod folders;

use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use commontrace_core::UserId;
use commontrace_server::clock::Clock;
use commontrace_server::ids::Ids;
use commontrace_server::sessions::import::{Import, Imported};
use commontrace_store::Store;
use tokio::sync::mpsc;

use self::folders::{Folders, Step, of_agents};
use super::Owner;
use crate::commands::{complain, interruption};
use crate::config::{Config, Environment};
use crate::failure::Failure;
use crate::start;

/// Batches, of a mebibyte each, that are parsed ahead of the store.
const AHEAD: usize = 4;
/// The shortest wait after storing failed.
const RETRY: Duration = Duration::from_secs(5);

/// What to follow.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders that agents write; without any, $CLAUDE_CONFIG_DIR or ~/.claude (projects),
    /// $CODEX_HOME or ~/.codex (sessions) and ~/.gemini/tmp
    paths: Vec<PathBuf>,
    #[command(flatten)]
    owner: Owner,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: u32,
    /// Import what has been written so far, and end
    #[arg(long)]
    once: bool,
}

/// Imports until it is interrupted, which is its ordinary end.
pub async fn run(config: Config, env: Environment, args: Args) -> Result<(), Failure> {
    let paths = paths(&env, args.paths)?;
    let mut stop = pin!(interruption()?);
    let store = start::store(&config).await?;
    let user = args.owner.account(&store).await?;
    for path in &*paths {
        complain(&format!("watching {}", path.display()));
    }
    let interval = Duration::from_secs(args.interval.into());
    let mut watch = Watch::new(&store, user);
    loop {
        let wait = match watch.look(&paths, stop.as_mut()).await {
            Ok(Ended::Stopped) => break,
            Ok(Ended::All) if args.once => break,
            Ok(Ended::All) => interval,
            Err(failure) if args.once => return Err(failure),
            Err(failure) => {
                complain(&format!(
                    "what was read is not stored, and will be: {failure}"
                ));
                // What was handed over to the store is lost to it; everything is read anew.
                watch = Watch::new(&store, user);
                interval.max(RETRY)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = &mut stop => break,
        }
    }
    store.close().await;
    Ok(())
}

fn paths(env: &Environment, given: Vec<PathBuf>) -> Result<Arc<[PathBuf]>, Failure> {
    if let Some(missing) = given.iter().find(|path| !path.exists()) {
        return Err(Failure::new(format!("{} is not there", missing.display())));
    }
    let paths = if given.is_empty() {
        of_agents(env)
    } else {
        given
    };
    if paths.is_empty() {
        return Err(
            Failure::new("HOME is not set, so that nobody knows where agents write")
                .hint("name the folders, as in `commontrace sessions watch ~/.claude/projects`"),
        );
    }
    Ok(paths.into())
}

/// How a look ended.
enum Ended {
    /// Everything that had grown is stored.
    All,
    /// It was interrupted.
    Stopped,
}

/// What was read and stored so far.
struct Watch {
    folders: Folders,
    import: Import,
    told: Imported,
}

impl Watch {
    fn new(store: &Store, user: UserId) -> Self {
        Self {
            folders: Folders::default(),
            import: Import::new(store.clone(), user, Ids::Random, Clock::System.now()),
            told: Imported::default(),
        }
    }

    /// Reads what has changed since the last look, and stores what is new.
    async fn look(
        &mut self,
        paths: &Arc<[PathBuf]>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Ended, Failure> {
        self.import.at(Clock::System.now());
        let (found, mut arriving) = mpsc::channel(AHEAD);
        let mut folders = std::mem::take(&mut self.folders);
        let paths = Arc::clone(paths);
        let reading = tokio::task::spawn_blocking(move || {
            folders.read(&paths, &found);
            folders
        });
        let mut file = PathBuf::new();
        let ended = loop {
            let step = tokio::select! {
                biased;
                () = &mut stop => {
                    // What is stored of a file is told, also if not all of it was read.
                    self.tell(&file, 0);
                    break Ended::Stopped;
                }
                step = arriving.recv() => step,
            };
            match step {
                None => break Ended::All,
                Some(Step::File(next)) => file = next,
                Some(Step::Found(found)) => self.import.take(found).await?,
                Some(Step::Read(damaged)) => self.tell(&file, damaged),
            }
        };
        // Where it was stopped, the reader notices that nobody listens any more.
        drop(arriving);
        self.folders = reading
            .await
            .map_err(|err| Failure::new(format!("reading was aborted: {err}")))?;
        Ok(ended)
    }

    /// Says what came of a file, if anything did.
    fn tell(&mut self, file: &Path, damaged: u64) {
        let counts = self.import.counts();
        let events = counts.events - self.told.events;
        let refused = counts.refused - self.told.refused;
        self.told = counts;
        let mut said = Vec::new();
        if events > 0 {
            said.push(format!("{events} new events"));
        }
        if refused > 0 {
            said.push(format!(
                "{refused} events left out, of sessions that are another's or full, or for which there is no room"
            ));
        }
        if damaged > 0 {
            said.push(format!(
                "{damaged} damaged records, which `commontrace sessions import` names"
            ));
        }
        if !said.is_empty() {
            complain(&format!("{}: {}", file.display(), said.join(", ")));
        }
    }
}

//! `capacity`: fills a store with ready-made traces and vectors, empties it of them again, and
//! measures how many of the true nearest neighbours a search finds.

mod recall;

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use chrono::TimeDelta;
use commontrace_server::search::MAKE_DOCUMENT;
use commontrace_store::{
    BulkTrace, Connections, CreateAccount, Engine, Location, NewAccount, Store,
};
use serde_json::json;

use crate::capacity::{MADE_AT, OWNER, OWNER_EMAIL, Size, Source};
use crate::report::{Report, Table, note};
use crate::stats::{per_second, rounded};

/// Traces stored in one transaction. Ids are in no order, so that every transaction touches a page of
/// each index for nearly every trace; larger ones write each page less often.
const BATCH: usize = 5_000;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Store generated traces with ready-made vectors. No server may run on the store
    Generate(Generate),
    /// Remove the generated traces and nothing else. No server may run on the store
    Clean(Place),
    /// Compare what a search by vector finds with the true nearest neighbours
    Recall(recall::Args),
}

/// Which store.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The PostgreSQL database
    #[arg(long, value_name = "URL", required_unless_present = "data_dir")]
    database_url: Option<String>,
    /// The data directory with the embedded database
    #[arg(long, value_name = "DIR", conflicts_with = "database_url")]
    data_dir: Option<PathBuf>,
}

impl Place {
    async fn open(&self) -> Result<Store> {
        let url = self.database_url.as_deref().unwrap_or_default();
        let dir = self.data_dir.clone().unwrap_or_default();
        if !dir.as_os_str().is_empty() {
            std::fs::create_dir_all(&dir)
                .with_context(|| format!("cannot make the directory {}", dir.display()))?;
        }
        open(&Location::parse(url, &dir)?).await
    }
}

/// What to store where.
#[derive(Debug, clap::Args)]
pub struct Generate {
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    place: Place,
}

/// Does what was asked.
pub async fn run(command: &Command) -> Result<Report> {
    match command {
        Command::Generate(args) => {
            let store = args.place.open().await?;
            let engine = store.engine();
            let imported = generate(&store, args.size).await;
            store.close().await;
            Ok(imported?.report(engine))
        }
        Command::Clean(place) => {
            let store = place.open().await?;
            let removed = store.remove_bulk(OWNER).await;
            store.close().await;
            let removed = removed.context("the generated traces cannot be removed")?;
            let mut table = Table::new(&["traces removed"]);
            table.row([removed.to_string()]);
            Ok(Report {
                tables: vec![table],
                figures: json!({"removed": removed}),
                failures: Vec::new(),
            })
        }
        Command::Recall(args) => recall::run(args).await,
    }
}

/// Opens a store with statements that may take as long as it takes to build an index.
pub async fn open(location: &Location) -> Result<Store> {
    let store = Store::open_with(location, &patient(), None)
        .await
        .context("cannot open the store")?;
    Ok(store.making_documents(MAKE_DOCUMENT))
}

fn patient() -> Connections {
    Connections {
        statement_timeout: Duration::ZERO,
        ..Connections::default()
    }
}

/// How filling a store went.
#[derive(Debug, Clone, Copy)]
pub struct Imported {
    traces: usize,
    stored: Duration,
    finished: Duration,
}

/// Fills a store that holds no generated traces yet.
pub async fn generate(store: &Store, size: Size) -> Result<Imported> {
    let owner = NewAccount {
        id: OWNER,
        email: Some(OWNER_EMAIL.to_owned()),
        display_name: Some("capacity test".to_owned()),
        can_contribute: false,
        is_moderator: false,
        is_seed: false,
        key_hash: None,
    };
    if store.create_account(owner, MADE_AT).await? == CreateAccount::EmailTaken {
        bail!("the store holds generated traces; remove them with `capacity clean`");
    }
    let begun = Instant::now();
    // Generated on another thread while the batch before is stored; the vectors count as given.
    let (send, batches) = mpsc::sync_channel::<Vec<BulkTrace>>(2);
    let generator = std::thread::spawn(move || {
        let source = Source::new(size.seed, size.dim);
        for first in (0..size.traces).step_by(BATCH) {
            let numbers = first..size.traces.min(first + BATCH);
            let batch = numbers.map(|number| size.trace(&source, number)).collect();
            if send.send(batch).is_err() {
                return;
            }
        }
    });
    let mut traces = 0;
    while let Ok(batch) = batches.recv() {
        // As if one had been contributed each second, which leaves little to look at again.
        let made_at = MADE_AT + TimeDelta::seconds(traces as i64);
        traces += batch.len();
        store
            .import_bulk(OWNER, size.model(), batch, made_at)
            .await
            .context("generated traces cannot be stored")?;
        if traces % (2 * BATCH) == 0 {
            note(format_args!("{traces} of {} traces stored", size.traces));
        }
    }
    if generator.join().is_err() {
        bail!("the generator broke down");
    }
    let stored = begun.elapsed();
    store.finish_bulk(&size.model()).await?;
    Ok(Imported {
        traces,
        stored,
        finished: begun.elapsed(),
    })
}

impl Imported {
    fn report(self, engine: Engine) -> Report {
        let mut table = Table::new(&["engine", "traces", "stored s", "ready s", "traces/s"]);
        let engine = match engine {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        };
        table.row([
            engine.to_owned(),
            self.traces.to_string(),
            format!("{:.1}", self.stored.as_secs_f64()),
            format!("{:.1}", self.finished.as_secs_f64()),
            format!("{:.0}", per_second(self.traces, self.stored)),
        ]);
        Report {
            tables: vec![table],
            figures: json!({
                "engine": engine, "traces": self.traces,
                "stored_seconds": rounded(self.stored.as_secs_f64(), 2),
                "ready_seconds": rounded(self.finished.as_secs_f64(), 2),
            }),
            failures: Vec::new(),
        }
    }

    /// Returns how long it took to store the traces and bring the statistics up to date.
    pub fn took(&self) -> Duration {
        self.finished
    }
}

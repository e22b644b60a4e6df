//! `commontrace reembed`: makes the configured model's vectors for every trace.
//!
//! The vectors of other models stay, so a server that runs with one goes on searching with it; once
//! this is done, a server that is told to use the new model, or started with it, has all its vectors
//! at once.

use std::io::IsTerminal;
use std::time::Duration;

use commontrace_server::lifecycle::Lifecycle;
use commontrace_server::search::Embedding;
use commontrace_server::worker;
use indicatif::{ProgressBar, ProgressStyle};

use super::say;
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// How long to wait for jobs that another worker holds or that were put off.
const WAIT: Duration = Duration::from_secs(1);

/// How to re-embed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove the vectors of all other models at the end. Only when no server searches with one any
    /// more: it would have to make them again at its next start. Those that a server searches with
    /// inside PostgreSQL are kept
    #[arg(long)]
    prune: bool,
}

/// Embeds until every trace has a vector of the configured model or was given up.
pub async fn run(config: Config, args: Args) -> Result<(), Failure> {
    let store = start::store(&config).await?;
    let Some(embedder) = start::embedder(&config).await? else {
        return Err(Failure::new("there is no model to embed with")
            .hint("set EMBEDDING_PROVIDER to local or openai, and run `make model` for local"));
    };
    let app = start::app(&config, store, None, None, None, Lifecycle::default()).await?;
    let embedding = Embedding::new(embedder, None);
    let model = embedding.model();
    // Whoever runs this has mended what made them fail.
    app.store
        .revive_embeddings(model.queue(), app.clock.now())
        .await?;
    worker::enqueue_missing(&app, &embedding).await?;
    let total = app.store.embedding_jobs(&model.queue()).await?.queued;
    let bar = bar(total);
    let mut done = 0;
    loop {
        done += worker::embed_step(&app, &embedding).await?.embedded.len();
        let left = app.store.embedding_jobs(&model.queue()).await?;
        bar.set_position((total - left.queued).max(0).unsigned_abs());
        if left.queued == 0 {
            break;
        }
        if app
            .store
            .nothing_due(&model.queue(), app.clock.now())
            .await?
        {
            tokio::time::sleep(WAIT).await;
        }
    }
    bar.finish_and_clear();
    let dead = app.store.embedding_jobs(&model.queue()).await?.dead;
    say(format_args!(
        "embedded {done} traces with {}; {dead} could not be embedded",
        model.id
    ));
    if args.prune {
        let now = app.clock.now();
        let pruned = app.store.prune_embeddings(model.clone(), now).await?;
        let removed = pruned.removed;
        say(format_args!("removed {removed} vectors of other models"));
        for model in pruned.in_use {
            say(format_args!(
                "kept the vectors of {}: a server searches with them; switch it first, and prune two minutes later",
                model.id
            ));
        }
    }
    app.store.close().await;
    Ok(())
}

fn bar(total: i64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("embedding {bar:30} {pos}/{len} {eta}");
    ProgressBar::new(total.unsigned_abs())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

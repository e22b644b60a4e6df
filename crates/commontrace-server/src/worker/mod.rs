//! The work that goes on beside requests, inside `serve`, and what a worker does apart from it.
//!
//! A node keeps what searches need: its index and its model, and notes of what it was asked for. A
//! worker does what has to be done once for all nodes: it embeds, and removes what is too old. A
//! node does both unless it was told that there are workers.

mod announce;
mod backlog;
mod batch;
mod embed;
mod models;
pub mod runs;
mod search_tables;
mod switch;
mod upkeep;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use commontrace_store::Result;
pub use embed::enqueue_missing;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::batch::Step;
use crate::app::App;
use crate::search::Embedding;

/// Starts a node's background work; it ends when the server is told to stop. `since` is the moment
/// up to which the index knows the store.
pub fn start_node(app: &App, since: DateTime<Utc>, work: Work) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(switch::run(app.clone(), work));
    tasks.spawn(search_tables::run(app.clone()));
    tasks.spawn(upkeep::follow_changes(app.clone(), since));
    tasks.spawn(upkeep::write_usage(app.clone()));
    tasks.spawn(upkeep::write_reads(app.clone()));
    tasks.spawn(upkeep::fold_metrics(app.clone()));
    match work {
        Work::Here => {
            tasks.spawn(embed::run(app.clone()));
            tasks.spawn(runs::run(app.clone()));
            tasks.spawn(upkeep::tidy(app.clone()));
            tasks.spawn(backlog::run(app.clone()));
            let node = app.clone();
            tasks.spawn(announce::listen(app.clone(), move || {
                node.search.wake_workers();
            }));
        }
        Work::Elsewhere => {
            tasks.spawn(announce::announce(app.clone()));
        }
    }
    tasks
}

/// Starts the work of a process that serves no requests; it ends when the process is told to stop.
pub fn start_worker(app: &App) -> JoinSet<()> {
    let announced = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(models::run(app.clone(), Arc::clone(&announced)));
    tasks.spawn(announce::listen(app.clone(), move || {
        announced.notify_one();
    }));
    tasks.spawn(runs::run(app.clone()));
    tasks.spawn(upkeep::tidy(app.clone()));
    tasks.spawn(backlog::run(app.clone()));
    tasks.spawn(upkeep::fold_metrics(app.clone()));
    tasks
}

/// Who does a worker's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The node itself.
    Here,
    /// Workers, which are processes of their own.
    Elsewhere,
}

/// Embeds one batch of the model's jobs.
pub async fn embed_step(app: &App, embedding: &Embedding) -> Result<Step> {
    batch::step(app, embedding, &CancellationToken::new()).await
}

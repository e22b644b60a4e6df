//! The work that goes on beside requests, inside `serve`.

mod embed;
mod search_tables;
mod switch;
mod upkeep;

use chrono::{DateTime, Utc};
pub use embed::{enqueue_missing, step as embed_step};
use tokio::task::JoinSet;

use crate::app::App;

/// Starts all background work; it ends when the server is told to stop. `since` is the moment up to
/// which the index knows the store.
pub fn start(app: &App, since: DateTime<Utc>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(embed::run(app.clone()));
    tasks.spawn(switch::run(app.clone()));
    tasks.spawn(search_tables::run(app.clone()));
    tasks.spawn(upkeep::follow_changes(app.clone(), since));
    tasks.spawn(upkeep::write_usage(app.clone()));
    tasks.spawn(upkeep::tidy(app.clone()));
    tasks
}

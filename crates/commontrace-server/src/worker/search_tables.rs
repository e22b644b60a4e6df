//! Keeps the tables that the database searches in complete: after an upgrade, after they were
//! emptied, and when a model begins to be searched with. Of several nodes one works at a time.

use std::time::{Duration, Instant};

use commontrace_store::Result;

use crate::app::App;
use crate::error::chain;
use crate::search::{Generations, fill};

/// How often all traces are looked at when nothing asks for it.
const AGAIN: Duration = Duration::from_secs(600);
/// How often to look whether another node has finished, or after a failure.
const SOON: Duration = Duration::from_secs(5);

/// Keeps the tables complete until the server stops.
pub async fn run(app: App) {
    if !app.search.is_in_database() {
        return;
    }
    let mut generations = app.search.watch();
    loop {
        let seen = generations.borrow_and_update().clone();
        let next = match work(&app, &seen).await {
            Ok(true) => AGAIN,
            Ok(false) => SOON,
            Err(err) => {
                tracing::warn!(error = %chain(&err), "the tables that are searched in stay incomplete for now: {err}");
                SOON
            }
        };
        tokio::select! {
            () = tokio::time::sleep(next) => {}
            changed = generations.changed() => if changed.is_err() { return },
            () = app.lifecycle.stopped() => return,
        }
    }
}

/// Completes the tables for these generations; false if another node is at it.
async fn work(app: &App, generations: &Generations) -> Result<bool> {
    let Some(lock) = app.store.try_search_lock().await? else {
        return Ok(false);
    };
    let done = tokio::select! {
        done = complete(app, generations) => done,
        () = app.lifecycle.stopped() => Ok(()),
    };
    lock.release().await;
    done.map(|()| true)
}

async fn complete(app: &App, generations: &Generations) -> Result<()> {
    for generation in generations.all() {
        let begun = Instant::now();
        let made = fill(&app.store, generation.model(), None).await?;
        if made > 0 {
            tracing::info!(
                model = generation.model_name(),
                made,
                "prepared {made} documents and vectors for searching in the database in {} ms",
                begun.elapsed().as_millis()
            );
        }
        generation.load(&app.store).await?;
    }
    app.search.report();
    Ok(())
}

//! Small regular work: following changes, writing counts down, forgetting what is too old.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::error::chain;

/// How often changes by other processes are looked for.
const FOLLOW: Duration = Duration::from_secs(1);
/// How often counts are written down.
const USAGE: Duration = Duration::from_secs(5);
/// How often what is too old is removed.
const TIDY: Duration = Duration::from_secs(3600);

/// Waits, unless the server is told to stop first; then returns false.
async fn pause(app: &App, time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = app.lifecycle.stopped() => false,
    }
}

/// Keeps the index up with what other processes do to the store.
pub async fn follow_changes(app: App, mut since: DateTime<Utc>) {
    while pause(&app, FOLLOW).await {
        match app.search.catch_up(&app.store, since).await {
            Ok((newest, vectorless)) => {
                since = newest;
                if vectorless {
                    super::embed::enqueue_missing(&app).await;
                    app.search.wake_worker();
                }
            }
            Err(err) => {
                tracing::warn!(error = %chain(&err), "cannot follow changes of the store: {err}");
            }
        }
    }
}

/// Writes down how often traces were opened, the last time when the server stops.
pub async fn write_usage(app: App) {
    loop {
        let go_on = pause(&app, USAGE).await;
        if let Err(err) = app.usage.flush(&app.store).await {
            tracing::warn!(error = %chain(&err), "some openings of traces were not counted: {err}");
        }
        if !go_on {
            return;
        }
    }
}

/// Removes what was only kept for a while, and folds metrics.
pub async fn tidy(app: App) {
    loop {
        if let Err(err) = app.store.tidy(app.clock.now()).await {
            tracing::warn!(error = %chain(&err), "cannot remove what is too old: {err}");
        }
        if !pause(&app, TIDY).await {
            return;
        }
        app.metrics.run_upkeep();
    }
}

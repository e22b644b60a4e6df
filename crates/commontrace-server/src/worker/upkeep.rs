//! Small regular work: following changes, writing counts down, forgetting what is too old.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::error::chain;

/// How often changes by other processes are looked for.
const FOLLOW: Duration = Duration::from_secs(1);
/// How often counts are written down.
const USAGE: Duration = Duration::from_secs(5);
/// How long notes of who opened a trace gather before they are written down together.
const GATHER: Duration = Duration::from_millis(100);
/// How long to wait after they could not be written.
const TROUBLED: Duration = Duration::from_secs(5);
/// How often what is too old is removed.
const TIDY: Duration = Duration::from_secs(3600);

/// Waits, unless the server is told to stop first; then returns false.
pub(super) async fn pause(app: &App, time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = app.lifecycle.stopped() => false,
    }
}

/// Keeps the index up with what other processes do to the store.
pub async fn follow_changes(app: App, mut since: DateTime<Utc>) {
    while pause(&app, FOLLOW).await {
        match catch_up(&app, since).await {
            Ok(newest) => since = newest,
            Err(err) => {
                tracing::warn!(error = %chain(&err), "cannot follow changes of the store: {err}");
            }
        }
    }
}

/// Brings every generation up to date with what changed since `since`, and returns the moment from
/// which to look next.
async fn catch_up(app: &App, since: DateTime<Utc>) -> commontrace_store::Result<DateTime<Utc>> {
    let mut next = None;
    for generation in app.search.generations().all() {
        let (newest, vectorless) = generation
            .catch_up(&app.store, since, app.clock.now())
            .await?;
        next = next.min(Some(newest)).or(Some(newest));
        if let Some(embedding) = generation.embedding()
            && vectorless
        {
            super::embed::enqueue_missing(app, embedding).await?;
            app.search.wake_workers();
        }
    }
    app.search.report();
    Ok(next.unwrap_or(since))
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

/// Writes down who has opened which trace, soon after, because other nodes may be asked about it next.
pub async fn write_reads(app: App) {
    loop {
        let go_on = tokio::select! {
            () = app.reads.due() => pause(&app, GATHER).await,
            () = app.lifecycle.stopped() => false,
        };
        let written = app.reads.flush(&app.store).await;
        if let Err(err) = &written {
            tracing::warn!(error = %chain(err), "cannot write down who has read which trace: {err}");
        }
        if !go_on || (written.is_err() && !pause(&app, TROUBLED).await) {
            return;
        }
    }
}

/// Removes what was only kept for a while.
pub async fn tidy(app: App) {
    loop {
        if let Err(err) = app.store.tidy(app.clock.now()).await {
            tracing::warn!(error = %chain(&err), "cannot remove what is too old: {err}");
        }
        // Most of it is removed right after it was deleted; this is for what a stop came between.
        if let Err(err) = app.store.remove_deleted_sessions().await {
            tracing::warn!(error = %chain(&err), "cannot remove deleted sessions: {err}");
        }
        if !pause(&app, TIDY).await {
            return;
        }
    }
}

/// Folds the metrics, which otherwise pile up where nobody asks for them.
pub async fn fold_metrics(app: App) {
    while pause(&app, TIDY).await {
        app.metrics.run_upkeep();
    }
}

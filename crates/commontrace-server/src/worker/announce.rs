//! Telling workers in other processes that there are new jobs, and hearing of those of others.
//!
//! It makes embedding begin at once instead of at the next look. Nothing depends on it.

use std::time::Duration;

use commontrace_store::Announcements;

use super::upkeep::pause;
use crate::app::App;
use crate::error::chain;
use crate::metrics;

/// Jobs that come within this time share an announcement.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long to wait before listening again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Announces the jobs that this process enqueues until it stops.
pub async fn announce(app: App) {
    let mut generations = app.search.watch();
    loop {
        let current = generations.borrow_and_update().current.clone();
        tokio::select! {
            () = current.work_arrives() => {}
            _ = generations.changed() => {}
            () = app.lifecycle.stopped() => return,
        }
        if let Err(err) = app.store.announce_jobs().await {
            tracing::debug!(error = %chain(&err), "workers were not told of new jobs: {err}");
        }
        if !pause(&app, TOGETHER).await {
            return;
        }
    }
}

/// Calls `wake` whenever there may be new jobs, until the process stops.
pub async fn listen(app: App, wake: impl Fn() + Send) {
    let (mut again, mut told) = (AGAIN.0, false);
    loop {
        let why = match app.store.announcements().await {
            Ok(None) => return,
            Ok(Some(announcements)) => {
                if told {
                    tracing::info!("hearing of new jobs again");
                }
                (again, told) = (AGAIN.0, false);
                // What was enqueued before was not heard of.
                wake();
                metrics::worker_listening(true);
                match hear(&app, announcements, &wake).await {
                    Some(err) => err,
                    None => return,
                }
            }
            Err(err) => err,
        };
        metrics::worker_listening(false);
        if !told {
            let seconds = app.settings.worker_poll.as_secs();
            tracing::warn!(
                error = %chain(&why),
                "not hearing of new jobs, looking for them every {seconds} s: {why}"
            );
            told = true;
        }
        if !pause(&app, again).await {
            return;
        }
        again = (again * 2).min(AGAIN.1);
    }
}

/// Passes announcements on until the connection is lost, and returns why; nothing if the process
/// stops first.
async fn hear(
    app: &App,
    mut announcements: Announcements,
    wake: &impl Fn(),
) -> Option<commontrace_store::Error> {
    loop {
        tokio::select! {
            heard = announcements.next() => match heard {
                Ok(()) => wake(),
                Err(err) => return Some(err),
            },
            () = app.lifecycle.stopped() => return None,
        }
    }
}

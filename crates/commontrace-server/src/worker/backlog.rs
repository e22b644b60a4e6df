//! Tells the metrics how many jobs there are. Counting reads the whole queue, so it is done here at
//! a pace of its own, however often the metrics are asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use commontrace_store::{JobCount, JobState};

use super::upkeep::pause;
use crate::app::App;
use crate::error::chain;
use crate::metrics;

const EVERY: Duration = Duration::from_secs(10);

/// Counts until the process stops.
pub async fn run(app: App) {
    // A queue that is empty is counted by nobody, and yet has to be told of.
    let mut queues = BTreeSet::new();
    loop {
        let now = app.clock.now();
        match app.store.job_counts(now).await {
            Ok(counts) => {
                queues.extend(counts.iter().map(|count| count.queue.clone()));
                for queue in &queues {
                    tell(queue, &counts, now);
                }
            }
            Err(err) => {
                tracing::debug!(error = %chain(&err), "jobs are not counted: {err}");
            }
        }
        if !pause(&app, EVERY).await {
            return;
        }
    }
}

fn tell(queue: &str, counts: &[JobCount], now: DateTime<Utc>) {
    let find = |state| {
        let mut counts = counts.iter();
        counts.find(|count| count.queue == queue && count.state == state)
    };
    for state in JobState::ALL {
        metrics::jobs(queue, state, find(state).map_or(0, |count| count.jobs));
    }
    let due = find(JobState::Waiting).map_or(now, |count| count.oldest);
    // One that is put off is not due yet.
    let age = (now - due).to_std().unwrap_or_default();
    metrics::oldest_waiting_job(queue, age);
}

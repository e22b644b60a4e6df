//! The database on either engine: whether it can be read and written, its replica and its jobs.

use commontrace_server::clock::Clock;
use commontrace_server::error::chain;
use commontrace_store::{Location, Store};

use super::Finding::{self, Fine, Weak, Wrong};
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// Opens the store as the server does, and writes to it.
pub async fn store(config: &Config) -> (Finding, Option<Store>) {
    let location = match start::location(config) {
        Ok(location) => location,
        Err(failure) => return (Wrong(failure.to_string()), None),
    };
    let opened = async {
        let store = start::serving_store(config).await?;
        let version = store.engine_version().await?;
        let stats = store.stats().await?;
        // A store that can be read may still be one that cannot be written.
        store.check(Clock::System.now()).await?;
        Ok::<_, Failure>((store, version, stats))
    };
    match opened.await {
        Ok((store, version, stats)) => {
            let place = match &location {
                Location::File(path) => path.display().to_string(),
                Location::Server(_) => "the configured server".to_owned(),
            };
            let text = format!(
                "{version} in {place}, {} traces, can be written",
                stats.traces
            );
            (Fine(text), Some(store))
        }
        Err(failure) => {
            let failure = failure.at(&start::place(config));
            (Wrong(failure.to_string()), None)
        }
    }
}

/// Says whether searches and reads go to the replica, if there is one.
pub fn replica(store: &Store) -> Option<Finding> {
    let status = store.replica_status()?;
    Some(match status.fault {
        None => Fine(format!(
            "searches and reads go there, it is {:.1} s behind",
            status.lag.as_secs_f64()
        )),
        Some(fault) => Wrong(format!(
            "{fault}; reads go to the primary meanwhile; check DATABASE_READ_URL"
        )),
    })
}

/// Counts the traces that wait for a vector and those that were given up.
pub async fn jobs(store: &Store) -> Finding {
    match store.stats().await {
        Ok(stats) if stats.dead_jobs > 0 => Weak(format!(
            "{} traces could not be embedded and are found by their words only; `commontrace admin jobs --state dead` says why, `--retry --all` tries again",
            stats.dead_jobs
        )),
        Ok(stats) => Fine(format!("{} waiting, none given up", stats.queued_jobs)),
        Err(err) => Wrong(chain(&err)),
    }
}

//! Whether the store can be read and written, asked of it at most once every few seconds however
//! many ask here.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_store::{Error, Store};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::error::chain;

/// How long an answer of the store is passed on.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(3);
/// How long the store may take; a disk that is stuck would let everybody wait.
const LIMIT: Duration = Duration::from_secs(2);

/// The store's state in a few words if it is not well.
pub type Found = Result<(), &'static str>;

/// Remembers the last check and makes the next one when it is due.
#[derive(Debug, Default)]
pub struct StoreCheck {
    last: std::sync::Mutex<Option<(DateTime<Utc>, Found)>>,
    /// A check that did not answer in time: no second one is sent after it.
    running: Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

impl StoreCheck {
    /// Returns how the store is, from a check that is at most a few seconds old.
    pub async fn run(&self, store: &Store, clock: &Clock) -> Found {
        if let Some(found) = self.fresh(store, clock) {
            return found;
        }
        let mut running = self.running.lock().await;
        // Whoever held the lock has probably just found out.
        if let Some(found) = self.fresh(store, clock) {
            return found;
        }
        // What it found belongs to an earlier time.
        running.take_if(|check| check.is_finished());
        let now = clock.now();
        let check = running.get_or_insert_with(|| {
            let store = store.clone();
            tokio::spawn(async move { store.check(now).await })
        });
        let found = match tokio::time::timeout(LIMIT, &mut *check).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(err))) => Err((err.summary(), chain(&err))),
            Ok(Err(err)) => Err(("not usable", chain(&err))),
            Err(_) => Err(("no answer in time", format!("none within {LIMIT:?}"))),
        };
        running.take_if(|check| check.is_finished());
        self.remember(now, found)
    }

    fn fresh(&self, store: &Store, clock: &Clock) -> Option<Found> {
        let (at, found) = (*self.last())?;
        // Earlier than the last check is as good: another request has waited for this one's turn.
        let age = (clock.now() - at).abs();
        (age < FRESH_FOR).then(|| match store.trouble() {
            Some(trouble) => Err(trouble),
            None => found,
        })
    }

    /// Keeps what was found at `now`, and says so where it differs from what was found before.
    fn remember(&self, now: DateTime<Utc>, found: Result<(), (&'static str, String)>) -> Found {
        let mut last = self.last();
        let before = last.map(|(_, found)| found);
        let brief = found.as_ref().map(drop).map_err(|(summary, _)| *summary);
        *last = Some((now, brief));
        match found {
            Err((_, cause)) if before != Some(brief) => {
                warn!(cause, "the store failed its check: {cause}");
            }
            Ok(()) if before.is_some_and(|before| before.is_err()) => {
                info!("the store can be read and written again");
            }
            _ => {}
        }
        brief
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<(DateTime<Utc>, Found)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

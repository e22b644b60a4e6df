//! Where the server takes the time from, so that a test can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

/// The time as the server sees it, in whole microseconds: what both engines can store.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The clock of the machine.
    System,
    /// Microseconds since 1970, moved by hand.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Creates a clock that stands at `at` until it is moved.
    pub fn manual(at: DateTime<Utc>) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.timestamp_micros())))
    }

    /// Returns the time, truncated to microseconds.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            #[expect(
                clippy::disallowed_methods,
                reason = "this is the clock that everything else is handed"
            )]
            Self::System => Utc::now().trunc_subsecs(6),
            Self::Manual(micros) => DateTime::from_timestamp_micros(micros.load(Ordering::Relaxed))
                .expect("a manual clock is only ever set from a valid time"),
        }
    }

    /// Moves a manual clock forward by `by`; the system's clock cannot be moved and stays.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(micros) = self {
            let by = i64::try_from(by.as_micros()).expect("a test moves the clock by a sane time");
            micros.fetch_add(by, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_has_no_more_than_microseconds() {
        let now = Clock::System.now();
        assert_eq!(now.timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn all_copies_of_a_manual_clock_move_together() {
        let noon = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::manual(noon);
        let copy = clock.clone();
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(copy.now() - noon, chrono::Duration::milliseconds(1_500));
    }
}

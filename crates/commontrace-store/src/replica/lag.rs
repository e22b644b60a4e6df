//! How far a replica is behind, in time, by one clock: how long ago the primary was first seen at a
//! position that the replica has not reached.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::WalPosition;

/// Positions remembered; beyond them the last one stands for several.
const POSITIONS_MAX: usize = 256;

/// Positions of the primary that the replica has not reached, with when they were seen.
#[derive(Debug, Default)]
pub(crate) struct Unreached(VecDeque<(Instant, WalPosition)>);

impl Unreached {
    /// Notes where the primary is.
    pub fn seen(&mut self, at: Instant, position: WalPosition) {
        let full = self.0.len() >= POSITIONS_MAX;
        match self.0.back_mut() {
            Some((_, last)) if *last >= position => {}
            // Said to be older than it is, which errs on the safe side.
            Some((_, last)) if full => *last = position,
            _ => self.0.push_back((at, position)),
        }
    }

    /// Notes how far the replica has come.
    pub fn reached(&mut self, replayed: WalPosition) {
        while self
            .0
            .front()
            .is_some_and(|(_, position)| *position <= replayed)
        {
            self.0.pop_front();
        }
    }

    /// Returns how far the replica is behind.
    pub fn lag(&self, now: Instant) -> Duration {
        self.0.front().map_or(Duration::ZERO, |(seen, _)| {
            now.saturating_duration_since(*seen)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_the_age_of_the_oldest_position_that_is_not_reached() {
        let (mut unreached, begin) = (Unreached::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        for (second, position) in [(0, 10), (1, 20), (2, 20), (3, 30)] {
            unreached.seen(after(second), WalPosition(position));
        }
        assert_eq!(unreached.lag(after(4)), Duration::from_secs(4));
        unreached.reached(WalPosition(10));
        assert_eq!(unreached.lag(after(4)), Duration::from_secs(3));
        unreached.reached(WalPosition(29));
        assert_eq!(unreached.lag(after(4)), Duration::from_secs(1));
        unreached.reached(WalPosition(30));
        assert_eq!(unreached.lag(after(4)), Duration::ZERO);
    }

    #[test]
    fn a_long_lag_takes_no_more_memory_and_is_not_told_too_short() {
        let (mut unreached, begin) = (Unreached::default(), Instant::now());
        let last = 10 * POSITIONS_MAX as u64;
        for second in 0..=last {
            unreached.seen(begin + Duration::from_secs(second), WalPosition(second + 1));
        }
        assert!(unreached.0.len() <= POSITIONS_MAX);
        unreached.reached(WalPosition(last));
        assert!(unreached.lag(begin + Duration::from_secs(last)) > Duration::ZERO);
        unreached.reached(WalPosition(last + 1));
        assert_eq!(
            unreached.lag(begin + Duration::from_secs(last)),
            Duration::ZERO
        );
    }
}

//! Leaves a server that fails again and again alone for a while.

use std::time::{Duration, Instant};

/// Failures in a row after which a server is left alone.
const FAILURES: u32 = 5;
/// How long it is left alone.
const PAUSE: Duration = Duration::from_secs(30);

/// What is known of one server. Time is handed in.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    closed_again: Option<Instant>,
}

impl Breaker {
    /// Lets a request through, or says how long none will be. After a pause one request is let through to
    /// find out; the others wait another pause, unless it succeeds. So does the next, should that one
    /// never say how it ended.
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.closed_again {
            None => Ok(()),
            Some(end) if end > now => Err(end - now),
            Some(_) => {
                self.closed_again = Some(now + PAUSE);
                Ok(())
            }
        }
    }

    /// Notes that the server answered sensibly, even if it refused.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// Notes that no answer came, or one that says that the server does not work.
    pub fn failed(&mut self, now: Instant) {
        self.failures += 1;
        if self.failures >= FAILURES {
            self.closed_again = Some(now + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_five_failures_one_probe_a_pause_is_let_through_until_one_succeeds() {
        let mut breaker = Breaker::default();
        let begin = Instant::now();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(begin), Ok(()));
            breaker.failed(begin);
        }
        assert_eq!(breaker.admit(begin), Err(PAUSE));
        let later = begin + PAUSE;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Err(PAUSE), "one probe at a time");
        breaker.failed(later);
        assert_eq!(breaker.admit(later), Err(PAUSE));
        assert_eq!(breaker.admit(later + PAUSE), Ok(()));
        breaker.answered();
        assert_eq!(breaker.admit(later + PAUSE), Ok(()));
        assert_eq!(breaker.admit(later + PAUSE), Ok(()));
    }

    #[test]
    fn an_answer_in_between_ends_the_count() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        for _ in 0..10 {
            for _ in 1..FAILURES {
                breaker.failed(now);
            }
            breaker.answered();
        }
        assert_eq!(breaker.admit(now), Ok(()));
    }
}

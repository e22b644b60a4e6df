//! The arithmetic of a token bucket, shared by every limiter that keeps one.
//!
//! `commontrace-server/src/limiter/token_bucket.lua` is the twin of [`take`] that runs inside Redis.
//! Whatever changes here changes there; a test compares them bit by bit.

use std::time::Duration;

/// A limit: `capacity` requests at once, refilled evenly over `period`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Tokens in a full bucket, which is also how many are added back per period.
    pub capacity: u32,
    /// Time in which an empty bucket becomes full.
    pub period: Duration,
}

impl Limit {
    /// Allows `capacity` requests a minute.
    pub fn per_minute(capacity: u32) -> Self {
        Self {
            capacity,
            period: Duration::from_secs(60),
        }
    }

    /// Allows `capacity` requests an hour.
    pub fn per_hour(capacity: u32) -> Self {
        Self {
            capacity,
            period: Duration::from_secs(3600),
        }
    }

    fn tokens_per_micro(self) -> f64 {
        f64::from(self.capacity) / self.period.as_micros() as f64
    }

    fn time_for(self, tokens: f64) -> Duration {
        if self.capacity == 0 {
            return self.period;
        }
        Duration::from_micros((tokens / self.tokens_per_micro()).ceil() as u64)
    }
}

/// What is left in a bucket, and when that was true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Tokens left, fractions included.
    pub tokens: f64,
    /// Microseconds on the caller's clock at which `tokens` was counted.
    pub at_micros: i64,
}

/// The answer to one request for a token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Whole tokens left afterwards.
    pub remaining: u32,
    /// How long to wait until a token is there; zero when allowed.
    pub retry_after: Duration,
    /// How long until the bucket is full again.
    pub reset_after: Duration,
}

impl Decision {
    /// Returns the answer when `left` tokens are left after the request was let through or refused.
    ///
    /// For limiters that keep and count the tokens elsewhere.
    pub fn new(limit: Limit, allowed: bool, left: f64) -> Self {
        Self {
            allowed,
            remaining: (left + 1e-6).floor() as u32,
            retry_after: if allowed {
                Duration::ZERO
            } else {
                // A refused request took nothing: these are the tokens it found.
                limit.time_for(1.0 - left)
            },
            reset_after: limit.time_for(f64::from(limit.capacity) - left),
        }
    }
}

/// Takes one token at `now_micros` from `bucket` (a full one when there is none yet).
///
/// Returns the bucket to keep and the decision. A refused request takes nothing, so hammering does
/// not prolong the wait; a clock that steps back adds nothing.
pub fn take(limit: Limit, bucket: Option<Bucket>, now_micros: i64) -> (Bucket, Decision) {
    let capacity = f64::from(limit.capacity);
    let before = bucket.unwrap_or(Bucket {
        tokens: capacity,
        at_micros: now_micros,
    });
    let elapsed = now_micros.saturating_sub(before.at_micros).max(0) as f64;
    let tokens = (before.tokens + elapsed * limit.tokens_per_micro()).min(capacity);
    // A millionth of a token absorbs rounding, so that waiting exactly `retry_after` is enough.
    let allowed = tokens + 1e-6 >= 1.0;
    let left = if allowed {
        (tokens - 1.0).max(0.0)
    } else {
        tokens
    };
    (
        Bucket {
            tokens: left,
            at_micros: now_micros.max(before.at_micros),
        },
        Decision::new(limit, allowed, left),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn take_many(limit: Limit, times: u32, bucket: Option<Bucket>, at: i64) -> (Bucket, u32) {
        let mut bucket = bucket;
        let mut passed = 0;
        for _ in 0..times {
            let (next, decision) = take(limit, bucket, at);
            bucket = Some(next);
            passed += u32::from(decision.allowed);
        }
        (bucket.expect("at least one request was made"), passed)
    }

    #[test]
    fn sixty_at_once_pass_the_next_waits_a_second_and_ten_seconds_give_ten_more() {
        let limit = Limit::per_minute(60);
        let (bucket, passed) = take_many(limit, 60, None, 0);
        assert_eq!(passed, 60);
        let (bucket, decision) = take(limit, Some(bucket), 0);
        assert!(!decision.allowed);
        assert_eq!(decision.retry_after, Duration::from_secs(1));
        assert_eq!(decision.reset_after, Duration::from_secs(60));
        let (_, passed) = take_many(limit, 20, Some(bucket), 10 * SECOND);
        assert_eq!(passed, 10);
    }

    #[test]
    fn a_limit_of_zero_refuses_everything() {
        let (_, decision) = take(Limit::per_minute(0), None, 0);
        assert!(!decision.allowed);
        assert_eq!(decision.retry_after, Duration::from_secs(60));
    }

    proptest! {
        #[test]
        fn never_more_than_a_full_bucket_plus_the_refill(
            capacity in 1u32..200,
            gaps in proptest::collection::vec(0i64..5 * SECOND, 1..300),
        ) {
            let limit = Limit::per_minute(capacity);
            let (mut now, mut bucket, mut passed) = (0i64, None, 0u32);
            for gap in gaps {
                now += gap;
                let (next, decision) = take(limit, bucket, now);
                prop_assert!(next.tokens >= 0.0 && next.tokens <= f64::from(capacity));
                bucket = Some(next);
                passed += u32::from(decision.allowed);
            }
            let refill = now as f64 / 60e6 * f64::from(capacity);
            prop_assert!(f64::from(passed) <= f64::from(capacity) + refill + 1e-3);
        }

        #[test]
        fn waiting_as_told_is_enough(capacity in 1u32..200, used in 0u32..400) {
            let limit = Limit::per_minute(capacity);
            let (bucket, _) = take_many(limit, used.max(1), None, 0);
            let (bucket, decision) = take(limit, Some(bucket), 0);
            if !decision.allowed {
                let wait = decision.retry_after.as_micros() as i64;
                prop_assert!(take(limit, Some(bucket), wait).1.allowed);
            }
        }

        #[test]
        fn a_clock_that_steps_back_adds_nothing(back in 0i64..1_000 * SECOND) {
            let limit = Limit::per_minute(1);
            let (bucket, _) = take(limit, None, 0);
            prop_assert!(!take(limit, Some(bucket), -back).1.allowed);
        }
    }
}

//! When a failed job is tried again.

use std::time::Duration;

/// Attempts after which a job that keeps failing becomes a dead letter.
pub const MAX_ATTEMPTS: u32 = 8;

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Returns how long to wait after the given failed attempt (the first is 1): 2 s, doubled each
/// time, at most 15 min, then scaled by `jitter` in `0.0..=1.0` into 50 to 100 % of that, so that
/// jobs which failed together do not return together.
pub fn delay(attempt: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled
        .min(LONGEST)
        .mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_quarter_of_an_hour() {
        assert_eq!(delay(1, 1.0), Duration::from_secs(2));
        assert_eq!(delay(2, 1.0), Duration::from_secs(4));
        assert_eq!(delay(2, 0.0), Duration::from_secs(2));
        assert_eq!(delay(40, 1.0), Duration::from_secs(900));
    }
}

//! Percentiles of measured times.
//!
//! Percentiles are by nearest rank: of n values in ascending order, percentile p is the value at
//! rank ceil(p * n / 100), counted from 1. It is always a value that was measured; nothing is
//! interpolated.

use std::time::Duration;

use serde_json::{Value, json};

/// Returns the value at the nearest rank, or `None` of no values. `sorted` must ascend.
pub fn nearest_rank<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    ranked(sorted, percent, 100)
}

/// Returns the value at the nearest rank of `part` in `whole`.
fn ranked<T: Copy>(sorted: &[T], part: usize, whole: usize) -> Option<T> {
    let rank = (part * sorted.len()).div_ceil(whole).max(1);
    sorted.get(rank - 1).copied()
}

/// Measured times, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Sorts what was measured.
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// Returns how many times were measured.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns a percentile by nearest rank; zero when nothing was measured.
    pub fn percentile(&self, percent: usize) -> Duration {
        nearest_rank(&self.0, percent).unwrap_or_default()
    }

    /// Returns the time that so many of a thousand do not exceed; zero when nothing was measured.
    pub fn permille(&self, permille: usize) -> Duration {
        ranked(&self.0, permille, 1000).unwrap_or_default()
    }

    /// Returns the percentiles 50, 90, 99 and 100 in milliseconds, ready for a table.
    pub fn cells(&self) -> [String; 4] {
        [50, 90, 99, 100].map(|percent| milliseconds(self.percentile(percent)))
    }

    /// Returns the same as JSON.
    pub fn to_json(&self) -> Value {
        let ms = |percent| rounded(self.percentile(percent).as_secs_f64() * 1000.0, 3);
        json!({
            "count": self.len(), "p50_ms": ms(50), "p90_ms": ms(90), "p99_ms": ms(99),
            "max_ms": ms(100),
        })
    }
}

/// Formats a time as milliseconds with three significant digits or more.
pub fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

/// Rounds to so many decimals, for JSON.
pub fn rounded(number: f64, decimals: i32) -> f64 {
    let shift = 10f64.powi(decimals);
    (number * shift).round() / shift
}

/// Returns how many happened in a second; zero when no time passed.
pub fn per_second(count: usize, took: Duration) -> f64 {
    if took.is_zero() {
        return 0.0;
    }
    count as f64 / took.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nearest_rank_returns_a_measured_value() {
        let five = [15, 20, 35, 40, 50];
        let at = |percent| nearest_rank(&five, percent);
        assert_eq!(
            [5, 30, 40, 50, 100].map(at),
            [Some(15), Some(20), Some(20), Some(35), Some(50)]
        );
        assert_eq!(at(0), Some(15));
        assert_eq!(nearest_rank::<u8>(&[], 50), None);
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!(
            [1, 50, 90, 99, 100].map(|p| nearest_rank(&hundred, p)),
            [1, 50, 90, 99, 100].map(Some)
        );
    }

    #[test]
    fn latencies_sort_and_format() {
        let times = [120, 3, 45].map(Duration::from_millis).to_vec();
        let latencies = Latencies::new(times);
        assert_eq!(latencies.cells(), ["45.0", "120", "120", "120"]);
        assert_eq!(latencies.permille(999), Duration::from_millis(120));
        assert_eq!(latencies.permille(333), Duration::from_millis(3));
        assert_eq!(milliseconds(Duration::from_micros(1234)), "1.23");
        assert_eq!(Latencies::default().percentile(99), Duration::ZERO);
        assert_eq!(per_second(30, Duration::from_secs(2)), 15.0);
        assert_eq!(per_second(30, Duration::ZERO), 0.0);
    }

    proptest! {
        #[test]
        fn at_least_p_percent_are_at_most_the_percentile(
            mut values in prop::collection::vec(0u32..1000, 1..200),
            percent in 1usize..=100,
        ) {
            values.sort_unstable();
            let value = nearest_rank(&values, percent).expect("not empty");
            let at_most = values.iter().filter(|&&v| v <= value).count();
            let below = values.iter().filter(|&&v| v < value).count();
            prop_assert!(at_most * 100 >= percent * values.len());
            prop_assert!(below * 100 < percent * values.len());
        }
    }
}

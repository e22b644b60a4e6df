//! The clocks of this machine, of PostgreSQL and of Redis.
//!
//! Leases of jobs, and what a node has yet to read of what others wrote, go by the clocks of the
//! nodes, which this can only compare with the servers' that they share.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use commontrace_server::clock::Clock;
use commontrace_server::shared::{Condition, RedisAddress};
use commontrace_store::Store;

use super::Finding::{self, Fine, Weak, Wrong};

/// What is normal without a time service that works.
const NORMAL: f64 = 1.0;
/// Two nodes that are off by this much, one ahead and one behind, miss each other's changes: they
/// read again what was written within the last ten seconds.
const TOO_MUCH: f64 = 5.0;
/// Readings of each clock; the one that came soonest counts.
const READINGS: usize = 3;

/// How far another clock is ahead of this machine's.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Seconds; negative if it is behind.
    ahead: f64,
    /// How wrong that may be: the answer was made at some moment of the round trip.
    wrong_by: Duration,
}

/// Compares the clocks of the servers that there are. One that cannot be asked is told of elsewhere.
pub async fn compare(
    store: Option<&Store>,
    redis: Option<&RedisAddress>,
) -> Option<(&'static str, Finding)> {
    let mut readings = Vec::new();
    if let Some(store) = store {
        let time = async || store.server_time().await.ok().flatten();
        readings.extend(read(time).await.map(|found| ("PostgreSQL", found)));
    }
    if let Some(address) = redis {
        let time = async || Condition::time(address).await.ok();
        readings.extend(read(time).await.map(|found| ("Redis", found)));
    }
    Some(("clocks", judge(&readings)?))
}

async fn read(time: impl AsyncFn() -> Option<DateTime<Utc>>) -> Option<Reading> {
    let mut best: Option<Reading> = None;
    for _ in 0..READINGS {
        let (begun, here) = (Instant::now(), Clock::System.now());
        let there = time().await?;
        let wrong_by = begun.elapsed() / 2;
        if best.is_none_or(|best| wrong_by < best.wrong_by) {
            let ahead = (there - here).as_seconds_f64() - wrong_by.as_secs_f64();
            best = Some(Reading { ahead, wrong_by });
        }
    }
    best
}

fn judge(readings: &[(&str, Reading)]) -> Option<Finding> {
    let surely = |reading: &Reading| reading.ahead.abs() - reading.wrong_by.as_secs_f64();
    let worst = readings
        .iter()
        .map(|(_, reading)| surely(reading))
        .reduce(f64::max)?;
    let text = readings
        .iter()
        .map(|(name, Reading { ahead, .. })| match ahead {
            ..0.0 => format!("{name} is {:.3} s behind this machine", -ahead),
            _ => format!("{name} is {ahead:.3} s ahead of this machine"),
        })
        .collect::<Vec<_>>()
        .join(", ");
    let mend = "set the clocks by a time service (chrony or systemd-timesyncd) on every machine";
    Some(if worst > TOO_MUCH {
        Wrong(format!(
            "{text}; nodes whose clocks differ take over jobs that others still work on, and miss what \
             others wrote: {mend}"
        ))
    } else if worst > NORMAL {
        Weak(format!("{text}: {mend}"))
    } else {
        Fine(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ahead: f64, milliseconds: u64) -> Finding {
        let wrong_by = Duration::from_millis(milliseconds);
        let reading = Reading { ahead, wrong_by };
        let beside = Reading {
            ahead: 0.0,
            wrong_by,
        };
        judge(&[("Redis", beside), ("PostgreSQL", reading)]).unwrap()
    }

    #[test]
    fn a_clock_that_is_surely_off_is_named_with_what_to_do() {
        assert!(matches!(judged(0.2, 1), Fine(_)));
        assert!(matches!(judged(-1.4, 500), Fine(_)));
        assert!(matches!(judged(-1.4, 1), Weak(_)));
        let Wrong(text) = judged(-5.2, 1) else {
            panic!("it is not wrong")
        };
        assert!(
            text.contains("PostgreSQL is 5.200 s behind") && text.contains("time service"),
            "{text}"
        );
        assert!(judge(&[]).is_none());
    }

    #[tokio::test]
    async fn the_reading_that_came_soonest_counts() {
        let clock = async || Some(Clock::System.now() + chrono::TimeDelta::seconds(60));
        let found = read(clock).await.unwrap();
        assert!((found.ahead - 60.0).abs() <= found.wrong_by.as_secs_f64() + 0.001);
    }
}

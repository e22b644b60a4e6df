//! A look at a Redis for an operator: its version, how fast it answers, and what it does when full.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use redis::aio::MultiplexedConnection;
use redis::{InfoDict, RedisError, RedisResult};
use tokio::time::timeout;

use super::address::RedisAddress;
use super::link::open;

/// Longest wait for the whole look.
const LOOK: Duration = Duration::from_secs(5);
/// Answers that are timed.
const PINGS: usize = 20;

/// What a look at a Redis found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The version it says it has, such as `7.0.15`.
    pub version: String,
    /// Median time until an answer came.
    pub latency: Duration,
    /// Bytes it may use; zero without a limit of its own.
    pub max_memory: u64,
    /// What it does when they are used up.
    pub eviction: Eviction,
}

/// What a Redis that is full does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// Refuses to write: limits are then kept by each node.
    Refuses,
    /// Drops what was not used for long, which is query vectors.
    Oldest,
    /// Drops anything, or first what expires soonest, which is buckets: their owners get full ones.
    Buckets,
}

impl Eviction {
    fn of(policy: &str) -> Self {
        match policy {
            "noeviction" => Self::Refuses,
            "allkeys-lru" | "volatile-lru" | "allkeys-lfu" | "volatile-lfu" => Self::Oldest,
            _ => Self::Buckets,
        }
    }
}

/// Why a look found nothing out.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    /// Nodes go on without this Redis: why, and what to do about it.
    #[error("{why}; {remedy}")]
    Unusable {
        /// What Redis said, or how it did not answer.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Nodes can use it, but this user may not ask what it is.
    #[error("it can be used, but not looked at: {0}")]
    Closed(String),
}

impl Unseen {
    fn unusable(err: &RedisError) -> Self {
        let remedy = match err.code() {
            Some("OOM") => {
                "its memory is full: raise maxmemory and set maxmemory-policy allkeys-lru"
            }
            Some("READONLY") => {
                "this one is a replica: name the one that is written to in REDIS_URL"
            }
            Some("NOPERM") => {
                "let this user do what docs/operations.md lists: +@connection +evalsha +script|load +get \
                 +set +setex +time ~rl:* ~wal:* ~qe:*"
            }
            _ => "check that it runs, and the address and password in REDIS_URL",
        };
        Self::Unusable {
            why: err.to_string(),
            remedy,
        }
    }
}

impl Condition {
    /// Connects, does what nodes do, and looks.
    pub async fn of(address: &RedisAddress) -> Result<Self, Unseen> {
        let look = async {
            let opened = open(address).await;
            let mut line = opened.map_err(|err| Unseen::unusable(&err))?;
            look(&mut line).await.map_err(|err| match err.code() {
                Some("NOPERM") => Unseen::Closed(err.to_string()),
                _ => Unseen::unusable(&err),
            })
        };
        timeout(LOOK, look).await.unwrap_or_else(|_| {
            Err(Unseen::Unusable {
                why: format!("it did not answer within {LOOK:?}"),
                remedy: "check that it runs and is not overloaded",
            })
        })
    }

    /// Returns what time it is there; an error says why Redis could not be used.
    pub async fn time(address: &RedisAddress) -> Result<DateTime<Utc>, String> {
        let ask = async {
            let mut line = open(address).await?;
            redis::cmd("TIME").query_async(&mut line).await
        };
        let (seconds, micros): (i64, u32) = match timeout(LOOK, ask).await {
            Ok(asked) => asked.map_err(|err| err.to_string())?,
            Err(_) => return Err(format!("it did not answer within {LOOK:?}")),
        };
        DateTime::from_timestamp(seconds, micros.saturating_mul(1000))
            .ok_or_else(|| format!("it has no time: {seconds} s"))
    }

    /// Returns whether the version is one that can do what is needed of it: 6 or later.
    pub fn is_recent(&self) -> bool {
        let major = self.version.split('.').next().map(str::parse::<u32>);
        matches!(major, Some(Ok(6..)))
    }
}

async fn look(line: &mut MultiplexedConnection) -> RedisResult<Condition> {
    let info: InfoDict = redis::cmd("INFO").query_async(line).await?;
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let begun = Instant::now();
        let () = redis::cmd("PING").query_async(line).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let policy: Option<String> = info.get("maxmemory_policy");
    Ok(Condition {
        version: info.get("redis_version").unwrap_or_default(),
        latency: times[PINGS / 2],
        max_memory: info.get("maxmemory").unwrap_or_default(),
        eviction: Eviction::of(policy.as_deref().unwrap_or("noeviction")),
    })
}

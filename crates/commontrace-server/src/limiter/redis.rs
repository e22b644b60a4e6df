//! Token buckets in Redis, one for all nodes, decided there by one script on its clock.
//!
//! A bucket is kept under `rl:`, its subject and its class, and goes when it is full. While Redis is
//! away, buckets in this process stand in for it: they begin full, so a client gets at most one more
//! burst per node out of that, and requests go on.

use chrono::{DateTime, Utc};
use commontrace_core::token_bucket::{Decision, Limit};
use redis::Script;

use super::{Key, MemoryLimiter};
use crate::metrics;
use crate::shared::Redis;

const TAKE: &str = concat!(include_str!("token_bucket.lua"), include_str!("take.lua"));

/// Buckets shared through Redis.
#[derive(Debug)]
pub struct RedisLimiter {
    redis: Redis,
    script: Script,
    /// Stands in while Redis is away.
    memory: MemoryLimiter,
}

impl RedisLimiter {
    pub(super) fn new(redis: Redis) -> Self {
        Self {
            redis,
            script: Script::new(TAKE),
            memory: MemoryLimiter::default(),
        }
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.redis
    }

    pub(super) async fn take(&self, key: Key, limit: Limit, now: DateTime<Utc>) -> Decision {
        let (subject, class) = key;
        let period = u64::try_from(limit.period.as_micros()).unwrap_or(u64::MAX);
        let mut script = self.script.key(format!("rl:{subject}:{}", class.name()));
        script.arg(limit.capacity).arg(period);
        let answer = self
            .redis
            .ask(|mut line| async move { script.invoke_async::<(bool, f64)>(&mut line).await })
            .await;
        match answer {
            Some((allowed, left)) => Decision::new(limit, allowed, left),
            None => {
                metrics::rate_limiter_fell_back();
                self.memory.take(key, limit, now)
            }
        }
    }
}

#[cfg(test)]
mod tests;

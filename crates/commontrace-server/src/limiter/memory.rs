//! Token buckets inside this process.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use commontrace_core::token_bucket::{self, Bucket, Decision, Limit};

use super::Key;

/// About 10 MB at worst. An address costs an attacker more than a bucket costs us.
const MAX_BUCKETS: usize = 100_000;
const SHARDS: usize = 16;

/// Buckets in memory, spread over several locks, never more than a fixed number.
#[derive(Debug)]
pub struct MemoryLimiter {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

impl Default for MemoryLimiter {
    fn default() -> Self {
        Self::new(MAX_BUCKETS)
    }
}

impl MemoryLimiter {
    fn new(max_buckets: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                buckets: HashMap::new(),
                capacity: (max_buckets / SHARDS).max(1),
            })
        };
        Self {
            shards: std::array::from_fn(|_| shard()),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn take(&self, key: Key, limit: Limit, now: DateTime<Utc>) -> Decision {
        self.take_at(key, limit, now.timestamp_micros())
    }

    fn take_at(&self, key: Key, limit: Limit, now_micros: i64) -> Decision {
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        // A panic cannot leave a shard half-changed: each change is one insertion or removal.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.take(key, limit, now_micros)
    }
}

#[derive(Debug)]
struct Shard {
    buckets: HashMap<Key, Entry>,
    capacity: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    bucket: Bucket,
    /// When the bucket will be full again: from then on, having none is the same.
    full_at_micros: i64,
}

impl Shard {
    fn take(&mut self, key: Key, limit: Limit, now_micros: i64) -> Decision {
        let known = self.buckets.get(&key).map(|entry| entry.bucket);
        let (bucket, decision) = token_bucket::take(limit, known, now_micros);
        if known.is_none() && self.buckets.len() >= self.capacity {
            self.make_room(now_micros);
        }
        let refill = i64::try_from(decision.reset_after.as_micros()).unwrap_or(i64::MAX);
        let entry = Entry {
            bucket,
            full_at_micros: now_micros.saturating_add(refill),
        };
        self.buckets.insert(key, entry);
        decision
    }

    /// Drops the buckets that are full, and when that is not enough, those that soonest will be.
    /// Forgetting a bucket gives its owner a full one, so the fullest are the ones to forget.
    fn make_room(&mut self, now_micros: i64) {
        self.buckets
            .retain(|_, entry| entry.full_at_micros > now_micros);
        let keep = self.capacity * 3 / 4;
        if self.buckets.len() <= keep {
            return;
        }
        let surplus = self.buckets.len() - keep;
        let mut full_at: Vec<i64> = self.buckets.values().map(|e| e.full_at_micros).collect();
        let (_, &mut last_to_go, _) = full_at.select_nth_unstable(surplus - 1);
        self.buckets
            .retain(|_, entry| entry.full_at_micros > last_to_go);
    }
}

#[cfg(test)]
mod tests {
    use commontrace_core::UserId;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::limiter::{Class, Subject};

    fn account(n: u128) -> Subject {
        Subject::Account(UserId(Uuid::from_u128(n)))
    }

    #[test]
    fn a_crowd_of_new_subjects_does_not_free_one_that_is_out_of_tokens() {
        let memory = MemoryLimiter::new(SHARDS * 8);
        let limit = Limit::per_minute(2);
        let key = (account(0), Class::Read);
        for _ in 0..3 {
            memory.take_at(key, limit, 0);
        }
        for n in 1..10_000 {
            memory.take_at((account(n), Class::Read), limit, 0);
        }
        assert!(!memory.take_at(key, limit, 0).allowed);
    }

    proptest! {
        #[test]
        fn the_number_of_buckets_is_bounded(steps in proptest::collection::vec((0u128..1_000, 0i64..90_000_000), 0..500)) {
            let memory = MemoryLimiter::new(SHARDS * 4);
            let mut now = 0;
            for (n, gap) in steps {
                now += gap / 100;
                memory.take_at((account(n), Class::Write), Limit::per_minute(3), now);
            }
            for shard in &memory.shards {
                prop_assert!(shard.lock().unwrap().buckets.len() <= 4);
            }
        }
    }
}

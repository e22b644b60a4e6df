//! Who may ask how often: token buckets, kept in memory.
//!
//! The arithmetic is `commontrace_core::token_bucket`; this file only keeps the buckets. A limiter
//! shared between nodes becomes another variant of [`Limiter`] and uses the same arithmetic.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use commontrace_core::UserId;
use commontrace_core::token_bucket::{self, Bucket, Decision, Limit};

/// What is being counted. Each class has a bucket of its own per subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Requests of an account that read.
    Read,
    /// Requests of an account that write.
    Write,
    /// Reports of an account about itself.
    Report,
    /// Registrations from an address.
    Register,
    /// Requests from an address with a key that no account has.
    FailedKey,
}

impl Class {
    /// Returns the name under which headers, logs and shared limiters know the class.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Report => "report",
            Self::Register => "register",
            Self::FailedKey => "failed-key",
        }
    }
}

/// Whose requests are being counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An account, whatever its key.
    Account(UserId),
    /// A network address.
    Address(ClientAddress),
}

/// A client's address as far as limits tell clients apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl From<IpAddr> for ClientAddress {
    /// Keeps an IPv4 address whole and the first 64 bits of an IPv6 address: one customer usually
    /// has all of those to choose from.
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        })
    }
}

/// Keeps the buckets; cheap to clone.
#[derive(Debug, Clone)]
pub enum Limiter {
    /// Inside this process.
    Memory(Arc<MemoryLimiter>),
}

impl Limiter {
    /// Creates a limiter that keeps its buckets in this process.
    pub fn in_memory() -> Self {
        Self::Memory(Arc::new(MemoryLimiter::new(MAX_BUCKETS)))
    }

    /// Takes one token of `class` from the bucket of `subject`, if there is one.
    pub async fn take(
        &self,
        subject: Subject,
        class: Class,
        limit: Limit,
        now: DateTime<Utc>,
    ) -> Decision {
        match self {
            Self::Memory(memory) => memory.take((subject, class), limit, now.timestamp_micros()),
        }
    }
}

/// About 10 MB at worst. An address costs an attacker more than a bucket costs us.
const MAX_BUCKETS: usize = 100_000;
const SHARDS: usize = 16;

type Key = (Subject, Class);

/// Buckets in memory, spread over several locks, never more than a fixed number.
#[derive(Debug)]
pub struct MemoryLimiter {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
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

    fn take(&self, key: Key, limit: Limit, now_micros: i64) -> Decision {
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
    use std::time::Duration;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn account(n: u128) -> Subject {
        Subject::Account(UserId(Uuid::from_u128(n)))
    }

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    #[tokio::test]
    async fn accounts_and_classes_do_not_share_a_bucket() {
        let (limiter, limit) = (Limiter::in_memory(), Limit::per_minute(1));
        assert!(
            limiter
                .take(account(1), Class::Read, limit, noon())
                .await
                .allowed
        );
        assert!(
            !limiter
                .take(account(1), Class::Read, limit, noon())
                .await
                .allowed
        );
        assert!(
            limiter
                .take(account(1), Class::Write, limit, noon())
                .await
                .allowed
        );
        assert!(
            limiter
                .take(account(2), Class::Read, limit, noon())
                .await
                .allowed
        );
        let later = noon() + Duration::from_secs(60);
        assert!(
            limiter
                .take(account(1), Class::Read, limit, later)
                .await
                .allowed
        );
    }

    #[test]
    fn one_ipv6_customer_is_one_client_and_a_mapped_ipv4_address_is_itself() {
        let client = |text: &str| ClientAddress::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("::ffff:192.0.2.7"), client("192.0.2.7"));
        assert_ne!(client("192.0.2.7"), client("192.0.2.8"));
    }

    #[test]
    fn a_crowd_of_new_subjects_does_not_free_one_that_is_out_of_tokens() {
        let memory = MemoryLimiter::new(SHARDS * 8);
        let limit = Limit::per_minute(2);
        let key = (account(0), Class::Read);
        for _ in 0..3 {
            memory.take(key, limit, 0);
        }
        for n in 1..10_000 {
            memory.take((account(n), Class::Read), limit, 0);
        }
        assert!(!memory.take(key, limit, 0).allowed);
    }

    proptest! {
        #[test]
        fn the_number_of_buckets_is_bounded(steps in proptest::collection::vec((0u128..1_000, 0i64..90_000_000), 0..500)) {
            let memory = MemoryLimiter::new(SHARDS * 4);
            let mut now = 0;
            for (n, gap) in steps {
                now += gap / 100;
                memory.take((account(n), Class::Write), Limit::per_minute(3), now);
            }
            for shard in &memory.shards {
                prop_assert!(shard.lock().unwrap().buckets.len() <= 4);
            }
        }
    }
}

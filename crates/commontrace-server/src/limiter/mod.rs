//! Who may ask how often: token buckets, kept in memory or shared by all nodes through Redis.
//!
//! The arithmetic is `commontrace_core::token_bucket`; what is here only keeps the buckets.

mod memory;
mod redis;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use commontrace_core::UserId;
use commontrace_core::token_bucket::{Decision, Limit};

pub use self::memory::MemoryLimiter;
pub use self::redis::RedisLimiter;
use crate::shared::Redis;

/// What is being counted. Each class has a bucket of its own per subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Requests of an account that read.
    Read,
    /// Requests of an account that write.
    Write,
    /// Requests of an account that record a session.
    Record,
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
            Self::Record => "record",
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

impl fmt::Display for Subject {
    /// Formats it as it is part of a shared bucket's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => id.fmt(f),
            Self::Address(ClientAddress(ip)) => ip.fmt(f),
        }
    }
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
    /// In Redis, and inside this process while Redis is away.
    Redis(Arc<RedisLimiter>),
}

impl Limiter {
    /// Creates a limiter that keeps its buckets in this process.
    pub fn in_memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// Creates a limiter that shares its buckets with all nodes that use the same Redis.
    pub fn shared(redis: Redis) -> Self {
        Self::Redis(Arc::new(RedisLimiter::new(redis)))
    }

    /// Returns the Redis that the buckets are shared through, if they are.
    pub fn redis(&self) -> Option<&Redis> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(shared) => Some(shared.redis()),
        }
    }

    /// Takes one token of `class` from the bucket of `subject`, if there is one. `now` is for buckets
    /// in this process; shared ones go by the clock of Redis.
    pub async fn take(
        &self,
        subject: Subject,
        class: Class,
        limit: Limit,
        now: DateTime<Utc>,
    ) -> Decision {
        match self {
            Self::Memory(memory) => memory.take((subject, class), limit, now),
            Self::Redis(shared) => shared.take((subject, class), limit, now).await,
        }
    }
}

/// Whose bucket of what.
type Key = (Subject, Class);

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}

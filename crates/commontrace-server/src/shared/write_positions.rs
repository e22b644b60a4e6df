//! Up to where accounts have written, for the nodes that they read through next.
//!
//! Under `wal:` and the account, for as long as a replica may take to come that far. Without Redis a
//! node knows what was written through itself, and what clients tell it.

use std::time::Duration;

use commontrace_core::UserId;
use commontrace_store::WalPosition;
use redis::{AsyncCommands as _, Script};

use super::link::Redis;

const NOTE: &str = include_str!("write_position.lua");
/// How long a position is kept. A replica that is further behind than that has other worries.
const KEEP: Duration = Duration::from_secs(60 * 60);

/// The positions that nodes share.
#[derive(Debug, Clone)]
pub struct WritePositions {
    redis: Redis,
}

impl WritePositions {
    /// Shares positions through this Redis.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Returns up to where `account` has written through any node, if that is known.
    pub async fn find(&self, account: UserId) -> Option<WalPosition> {
        let key = key(account);
        let get = |mut line: redis::aio::MultiplexedConnection| async move {
            line.get::<_, Option<String>>(key).await
        };
        self.redis.ask(get).await??.parse().ok()
    }

    /// Notes that `account` has written up to `position`; once this returns, all nodes know.
    pub async fn note(&self, account: UserId, position: WalPosition) {
        let script = Script::new(NOTE);
        let note = |mut line: redis::aio::MultiplexedConnection| async move {
            script
                .key(key(account))
                .arg(position.to_string())
                .arg(KEEP.as_secs())
                .invoke_async::<()>(&mut line)
                .await
        };
        self.redis.ask(note).await;
    }
}

fn key(account: UserId) -> String {
    format!("wal:{account}")
}

#[cfg(test)]
mod tests {
    use commontrace_testkit::RedisServer;
    use uuid::Uuid;

    use super::*;
    use crate::shared::{PATIENCE, RedisAddress};

    #[tokio::test]
    async fn all_nodes_know_the_last_write_of_an_account_until_redis_is_gone() {
        let mut redis = RedisServer::start().await;
        let node = async || {
            let address = RedisAddress::parse(&redis.url()).unwrap();
            WritePositions::new(Redis::connect(address, PATIENCE).await)
        };
        let (one, two) = (node().await, node().await);
        let (ada, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        assert_eq!(two.find(ada).await, None);
        // In the order in which they happen to arrive.
        for (position, last) in [
            ("0/FFFFFFFF", "0/FFFFFFFF"),
            ("1/0", "1/0"),
            ("0/FFFFFFFE", "1/0"),
            ("A/B", "A/B"),
        ] {
            one.note(ada, position.parse().unwrap()).await;
            assert_eq!(two.find(ada).await, Some(last.parse().unwrap()));
        }
        assert_eq!(two.find(bob).await, None);
        let left: u64 = redis.ask(&["TTL", &key(ada)]).await;
        assert!((1..=KEEP.as_secs()).contains(&left), "{left}");
        // Others may write to Redis too.
        let () = redis.ask(&["SET", &key(bob), "nonsense"]).await;
        assert_eq!(two.find(bob).await, None);
        one.note(bob, "1/2".parse().unwrap()).await;
        assert_eq!(two.find(bob).await, Some("1/2".parse().unwrap()));
        redis.kill();
        assert_eq!(two.find(ada).await, None);
        one.note(ada, "B/0".parse().unwrap()).await;
    }
}

//! Vectors of queries that some node has computed, kept in Redis for all of them.
//!
//! Under `qe:` and the hash of model and text, so that Redis never holds what somebody asked; as
//! 32-bit floats, little-endian.

use std::time::Duration;

use commontrace_core::hex;
use redis::AsyncCommands as _;
use tokio::time::timeout;

use super::link::Redis;

/// Longest time that a search waits for a vector that may save it the computation. Far less than a
/// limit waits for Redis, because this one can be done without at any time.
const WAIT: Duration = Duration::from_millis(30);
/// How long a vector is kept.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// The shared cache of query vectors.
#[derive(Debug, Clone)]
pub struct QueryVectors {
    redis: Redis,
}

impl QueryVectors {
    /// Shares vectors through this Redis.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Returns the vector that a node has put there under this hash, if it has this length.
    pub async fn find(&self, hash: &[u8; 32], dimensions: usize) -> Option<Vec<f32>> {
        let key = key(hash);
        let get = self
            .redis
            .ask(|mut line| async move { line.get::<_, Option<Vec<u8>>>(key).await });
        let bytes = timeout(WAIT, get).await.ok()???;
        decode(&bytes, dimensions)
    }

    /// Puts a vector there, without waiting for it.
    pub fn put(&self, hash: &[u8; 32], vector: &[f32]) {
        if !self.redis.is_there() {
            return;
        }
        let (key, bytes, redis) = (key(hash), encode(vector), self.redis.clone());
        tokio::spawn(async move {
            let put = |mut line: redis::aio::MultiplexedConnection| async move {
                line.set_ex::<_, _, ()>(key, bytes, KEEP.as_secs()).await
            };
            redis.ask(put).await;
        });
    }
}

fn key(hash: &[u8; 32]) -> String {
    format!("qe:{}", hex::encode(hash))
}

fn encode(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Reads a vector of this length. Others write to Redis too, so anything else is nothing.
fn decode(bytes: &[u8], dimensions: usize) -> Option<Vec<f32>> {
    let (numbers, []) = bytes.as_chunks::<4>() else {
        return None;
    };
    let vector: Vec<f32> = numbers.iter().copied().map(f32::from_le_bytes).collect();
    let usable = vector.len() == dimensions && vector.iter().all(|x| x.is_finite());
    usable.then_some(vector)
}

#[cfg(test)]
mod tests {
    use commontrace_testkit::RedisServer;
    use proptest::prelude::*;

    use super::*;
    use crate::shared::{PATIENCE, RedisAddress};

    async fn node(redis: &RedisServer) -> QueryVectors {
        let address = RedisAddress::parse(&redis.url()).unwrap();
        QueryVectors::new(Redis::connect(address, PATIENCE).await)
    }

    /// Looks until it finds one: putting and looking do not wait for long, and may miss each other.
    async fn found(node: &QueryVectors, hash: &[u8; 32]) -> Vec<f32> {
        let look = async {
            loop {
                if let Some(vector) = node.find(hash, 2).await {
                    return vector;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let deadline = Duration::from_secs(60);
        tokio::time::timeout(deadline, look).await.unwrap()
    }

    #[tokio::test]
    async fn what_a_node_puts_there_another_finds_for_a_day() {
        let redis = RedisServer::start().await;
        let (one, two) = (node(&redis).await, node(&redis).await);
        let hash = [0xab; 32];
        assert_eq!(two.find(&hash, 2).await, None);
        one.put(&hash, &[0.25, -3.0]);
        assert_eq!(found(&two, &hash).await, [0.25, -3.0]);
        assert_eq!(two.find(&hash, 3).await, None);
        let key = format!("qe:{}", "ab".repeat(32));
        let left: u64 = redis.ask(&["TTL", &key]).await;
        assert!((80_000..=86_400).contains(&left), "{left}");
    }

    #[tokio::test]
    async fn a_redis_that_hangs_or_is_away_has_nothing() {
        let mut redis = RedisServer::start().await;
        let node = node(&redis).await;
        let hash = [1; 32];
        node.put(&hash, &[0.25, -3.0]);
        found(&node, &hash).await;
        redis.pause();
        assert_eq!(node.find(&hash, 2).await, None);
        node.put(&hash, &[1.0, 1.0]);
        redis.kill();
        assert_eq!(node.find(&hash, 2).await, None);
        node.put(&hash, &[1.0, 1.0]);
    }

    proptest! {
        #[test]
        fn a_vector_comes_back_as_it_was(vector in proptest::collection::vec(-1e30f32..1e30, 1..50)) {
            prop_assert_eq!(decode(&encode(&vector), vector.len()), Some(vector));
        }

        #[test]
        fn any_bytes_are_a_vector_of_the_right_length_or_nothing(
            bytes in proptest::collection::vec(any::<u8>(), 0..64), dimensions in 0usize..20,
        ) {
            if let Some(vector) = decode(&bytes, dimensions) {
                prop_assert_eq!(vector.len(), dimensions);
                prop_assert!(vector.iter().all(|x| x.is_finite()));
            }
        }
    }
}

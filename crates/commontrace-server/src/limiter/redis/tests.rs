//! The script against the function it is the twin of, and the limiter against a Redis that is
//! killed, stopped, emptied, full and forbidden.

use std::time::Duration;

use commontrace_core::UserId;
use commontrace_core::token_bucket::{Bucket, take};
use commontrace_testkit::RedisServer;
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use uuid::Uuid;

use super::*;
use crate::limiter::{Class, Subject};
use crate::shared::{PATIENCE, QueryVectors, RedisAddress, WritePositions};

/// Longer than any answer takes on a busy machine.
const ENDLESS: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const DEADLINE: Duration = Duration::from_secs(60);

/// Steps of arithmetic on one bucket, each by a limit and a moment of its own.
const STEPS: &str = "
    local answers, text = {}, nil
    for i = 1, #ARGV, 3 do
        local tokens, at = decode(text)
        local allowed, left, counted =
            take(tokens, at, tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
        text = encode(left, counted)
        answers[#answers + 1] = (allowed and '1 ' or '0 ') .. text
    end
    return answers";

#[derive(Debug, Clone, Copy)]
struct Step {
    limit: Limit,
    /// Microseconds since the step before; the clock may step back.
    gap: i64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let period = prop_oneof![
        Just(Duration::from_secs(60)),
        Just(Duration::from_secs(3600)),
        (1u64..10_000_000_000).prop_map(Duration::from_micros),
    ];
    let limit = (prop_oneof![0u32..5, 1u32..1000, any::<u32>()], period)
        .prop_map(|(capacity, period)| Limit { capacity, period });
    let gap = prop_oneof![
        Just(0i64),
        Just(1),
        0i64..2_000_000,
        0i64..100_000_000_000,
        -5_000_000i64..0
    ];
    // Most sequences keep to one limit, as most servers do.
    let gaps = || proptest::collection::vec(gap.clone(), 1..60);
    let step = (limit.clone(), gap.clone()).prop_map(|(limit, gap)| Step { limit, gap });
    prop_oneof![
        3 => (limit, gaps()).prop_map(|(limit, gaps)| {
            gaps.into_iter().map(|gap| Step { limit, gap }).collect()
        }),
        1 => proptest::collection::vec(step, 1..60),
    ]
}

#[test]
fn the_script_decides_as_the_function_does_to_the_bit() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let redis = runtime.block_on(RedisServer::start());
    let script = format!("{}{STEPS}", include_str!("../token_bucket.lua"));
    let mut runner = TestRunner::new(Config::with_cases(300));
    let outcome = runner.run(&steps(), |steps| {
        let mut words = vec!["EVAL".to_owned(), script.clone(), "0".to_owned()];
        let (mut now, mut bucket, mut expected) = (1_700_000_000_000_000i64, None, Vec::new());
        for Step { limit, gap } in steps {
            now += gap;
            let (kept, decision): (Bucket, _) = take(limit, bucket, now);
            bucket = Some(kept);
            words.extend([
                limit.capacity.to_string(),
                limit.period.as_micros().to_string(),
                now.to_string(),
            ]);
            prop_assert_eq!(
                Decision::new(limit, decision.allowed, kept.tokens),
                decision
            );
            expected.push((decision.allowed, kept.tokens.to_bits(), kept.at_micros));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answers: Vec<String> = runtime.block_on(redis.ask(&words));
        let answers: Option<Vec<_>> = answers.iter().map(|answer| read(answer)).collect();
        let answers = answers.ok_or_else(|| TestCaseError::fail("not three numbers"))?;
        prop_assert_eq!(answers, expected);
        Ok(())
    });
    outcome.unwrap();
}

fn read(answer: &str) -> Option<(bool, u64, i64)> {
    let mut parts = answer.split(' ');
    let allowed = parts.next()? == "1";
    let tokens: f64 = parts.next()?.parse().ok()?;
    Some((allowed, tokens.to_bits(), parts.next()?.parse().ok()?))
}

async fn node(redis: &RedisServer) -> RedisLimiter {
    node_at(&redis.url(), ENDLESS).await
}

async fn node_at(url: &str, patience: Duration) -> RedisLimiter {
    let address = RedisAddress::parse(url).unwrap();
    RedisLimiter::new(Redis::connect(address, patience).await)
}

fn ada() -> Key {
    (Subject::Account(UserId(Uuid::from_u128(7))), Class::Read)
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

/// A limit whose bucket does not fill up while a test runs.
fn slow(capacity: u32) -> Limit {
    let period = Duration::from_secs(1_000_000) * capacity;
    Limit { capacity, period }
}

/// Asks so often that it must become clear how many tokens there were.
async fn passed(nodes: &[&RedisLimiter], limit: Limit, times: usize) -> usize {
    let takes = (0..times).map(|n| nodes[n % nodes.len()].take(ada(), limit, noon()));
    let decisions = join_all(takes).await;
    decisions.iter().filter(|decision| decision.allowed).count()
}

async fn until(so: impl AsyncFn() -> bool) {
    let wait = async {
        while !so().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap();
}

#[tokio::test]
async fn two_nodes_share_a_bucket_exactly() {
    let redis = RedisServer::start().await;
    let (one, two) = (node(&redis).await, node(&redis).await);
    assert_eq!(passed(&[&one, &two], slow(100), 300).await, 100);
    let refused = two.take(ada(), Limit::per_minute(60), noon()).await;
    assert!(!refused.allowed && refused.remaining == 0);
    assert!(refused.retry_after <= Duration::from_secs(1));
}

#[tokio::test]
async fn a_bucket_has_a_name_for_operators_and_goes_when_it_is_full() {
    let redis = RedisServer::start().await;
    let node = node(&redis).await;
    let address = Subject::Address(
        "2001:db8:1:2:3::4"
            .parse::<std::net::IpAddr>()
            .unwrap()
            .into(),
    );
    let limit = Limit::per_hour(60);
    node.take(ada(), limit, noon()).await;
    node.take((address, Class::Register), limit, noon()).await;
    let mut keys: Vec<String> = redis.ask(&["KEYS", "rl:*:*"]).await;
    keys.sort();
    assert_eq!(
        keys,
        [
            "rl:00000000-0000-0000-0000-000000000007:read",
            "rl:2001:db8:1:2:::register"
        ]
    );
    let left: u64 = redis.ask(&["PTTL", &keys[0]]).await;
    assert!((1..=60_001).contains(&left), "{left}");
    let fast = Limit {
        capacity: 1000,
        period: Duration::from_secs(1),
    };
    node.take(ada(), fast, noon()).await;
    until(async || redis.ask::<u32>(&["EXISTS", &keys[0]]).await == 0).await;
}

#[tokio::test]
async fn an_emptied_redis_gives_full_buckets_and_loads_the_script_again() {
    let redis = RedisServer::start().await;
    let node = node(&redis).await;
    assert_eq!(passed(&[&node], slow(5), 10).await, 5);
    let () = redis.ask(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(passed(&[&node], slow(5), 10).await, 0);
    let () = redis.ask(&["FLUSHALL"]).await;
    assert_eq!(passed(&[&node], slow(5), 10).await, 5);
    assert!(node.redis().is_there());
}

#[tokio::test]
async fn what_is_no_bucket_counts_as_none_and_is_replaced() {
    let redis = RedisServer::start().await;
    let node = node(&redis).await;
    let key = "rl:00000000-0000-0000-0000-000000000007:read";
    let others = [
        vec!["SET", key, "never a bucket"],
        vec!["SET", key, "nan nan"],
        vec!["SET", key, "-1 5"],
        vec!["SET", key, "3"],
        vec!["HSET", key, "tokens", "3"],
    ];
    for other in others {
        let () = redis.ask(&["DEL", key]).await;
        let _: redis::Value = redis.ask(&other).await;
        assert_eq!(passed(&[&node], slow(5), 10).await, 5, "{other:?}");
        assert!(node.redis().is_there());
    }
}

#[tokio::test]
async fn a_redis_that_is_killed_is_done_without_and_used_again_when_it_is_back() {
    let mut redis = RedisServer::start().await;
    let (one, two) = (node(&redis).await, node(&redis).await);
    assert_eq!(passed(&[&one, &two], slow(5), 20).await, 5);
    redis.kill();
    // Each node by itself now.
    assert_eq!(passed(&[&one], slow(5), 20).await, 5);
    assert_eq!(passed(&[&two], slow(5), 20).await, 5);
    assert!(!one.redis().is_there() && !two.redis().is_there());
    redis.start_again().await;
    until(async || one.redis().is_there() && two.redis().is_there()).await;
    assert_eq!(passed(&[&one, &two], slow(5), 20).await, 5);
}

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_once() {
    let redis = RedisServer::start().await;
    let node = node_at(&redis.url(), PATIENCE).await;
    redis.pause();
    assert_eq!(passed(&[&node], slow(5), 20).await, 5);
    assert!(!node.redis().is_there());
    redis.resume();
    until(async || node.redis().is_there()).await;
}

#[tokio::test]
async fn a_redis_that_was_away_at_the_start_is_used_from_when_it_is_there() {
    let mut redis = RedisServer::start().await;
    redis.kill();
    let node = node(&redis).await;
    assert_eq!(passed(&[&node], slow(5), 20).await, 5);
    redis.start_again().await;
    until(async || node.redis().is_there()).await;
    assert_eq!(passed(&[&node], slow(5), 20).await, 5);
}

#[tokio::test]
async fn a_refused_password_is_tried_again_until_it_is_right() {
    let redis = RedisServer::start_with("hunter2", &[]).await;
    let node = node_at(&redis.url().replace("hunter2", "hunter3"), ENDLESS).await;
    assert!(!node.redis().is_there());
    assert_eq!(passed(&[&node], slow(5), 20).await, 5);
    let _: String = redis.ask(&["ACL", "SETUSER", "default", ">hunter3"]).await;
    until(async || node.redis().is_there()).await;
}

#[tokio::test]
async fn a_user_of_its_own_needs_no_more_rights_than_the_documentation_says() {
    let redis = RedisServer::start().await;
    let rights = "+@connection +evalsha +script|load +get +set +setex +time ~rl:* ~wal:* ~qe:*";
    assert!(include_str!("../../../../../docs/operations.md").contains(rights));
    let rule: Vec<&str> = "ACL SETUSER node on >hunter2 -@all"
        .split(' ')
        .chain(rights.split(' '))
        .collect();
    let () = redis.ask(&rule).await;
    let url = redis.url().replace("redis://", "redis://node:hunter2@");
    let node = node_at(&url, ENDLESS).await;
    assert_eq!(passed(&[&node], slow(5), 20).await, 5);
    assert!(node.redis().is_there());
    let vectors = QueryVectors::new(node.redis().clone());
    vectors.put(&[1; 32], &[0.5]);
    until(async || redis.ask::<Vec<String>>(&["KEYS", "qe:*"]).await.len() == 1).await;
    let positions = WritePositions::new(node.redis().clone());
    let (account, position) = (UserId(Uuid::from_u128(1)), "0/1".parse().unwrap());
    positions.note(account, position).await;
    assert_eq!(positions.find(account).await, Some(position));
    assert!(node.redis().is_there());
}

#[tokio::test]
async fn a_redis_that_refuses_to_write_is_away_until_it_does() {
    let redis = RedisServer::start().await;
    let node = node(&redis).await;
    let () = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    assert_eq!(passed(&[&node], slow(5), 20).await, 5);
    assert!(!node.redis().is_there());
    let () = redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    until(async || node.redis().is_there()).await;
    let () = redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    until(async || !node.redis().is_there()).await;
    let () = redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
    until(async || node.redis().is_there()).await;
}

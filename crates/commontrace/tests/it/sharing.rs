//! Several nodes on one store and one Redis, and what they do while it is away.

use commontrace_store::Engine;
use commontrace_testkit::RedisServer;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{Client, until};
use crate::place::Place;
use crate::provider::Provider;
use crate::server::Server;

const AWAY: &str = "is away, until it is back";
const BACK: &str = "is back, nodes share";
const FALLBACK: &str = "commontrace_rate_limiter_fallback ";

/// A store for several nodes, which use this Redis.
async fn place(redis: &RedisServer) -> Place {
    let place = Place::on(Engine::Postgres).await;
    place.with("REDIS_URL", &redis.url())
}

/// What `/health` says of Redis. It is well with it and without.
async fn redis_check(server: &Server) -> String {
    let health = server.anyone().get("/health").await.ok();
    assert_eq!(health["status"], "healthy", "{health}");
    let check = health["checks"]["redis"].as_str();
    check.expect("Redis is configured").to_owned()
}

async fn is_shared(server: &Server) -> bool {
    redis_check(server).await == "ok"
}

/// Asserts that the log tells each time that Redis went and each time that it came back, once.
fn told_once(log: &str) {
    let told = |line: &&str| line.contains(AWAY) || line.contains(BACK);
    for (number, line) in log.lines().filter(told).enumerate() {
        let expected = if number % 2 == 0 { AWAY } else { BACK };
        assert!(line.contains(expected), "{log}");
    }
}

/// How many of these registrations are let through, at the nodes in turn.
async fn registered(nodes: &[&Server], times: usize) -> usize {
    let mut passed = 0;
    for turn in 0..times {
        let anyone = nodes[turn % nodes.len()].anyone();
        let answer = anyone.post("/api/v1/keys", json!({})).await;
        assert!([201, 429].contains(&answer.status), "{answer:?}");
        passed += usize::from(answer.status == 201);
    }
    passed
}

#[tokio::test]
async fn nodes_share_their_limits() {
    let redis = RedisServer::start().await;
    let place = place(&redis)
        .await
        .with("RATE_LIMIT_REGISTER_PER_HOUR", "5");
    // On a machine that is too busy to answer in time, each node lets through its own five.
    until("nothing went wrong in between", async || {
        let (one, two) = (place.serve().await, place.serve().await);
        let () = redis.ask(&["FLUSHALL"]).await;
        let passed = registered(&[&one, &two], 14).await;
        let undisturbed = [one, two].iter().all(|node| !node.log().contains(AWAY));
        assert!(!undisturbed || passed == 5, "{passed} registrations");
        undisturbed
    })
    .await;
}

/// Sends requests one after the other until it is told to stop, and expects no failure.
async fn keeps_asking(user: Client) {
    loop {
        let answer = user.try_send(Method::GET, "/api/v1/tags", None).await;
        let Ok(answer) = answer else { return };
        assert!([200, 429].contains(&answer.status), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_on_while_redis_is_killed_hangs_or_is_emptied() {
    let mut redis = RedisServer::start().await;
    let place = place(&redis)
        .await
        .with("RATE_LIMIT_READ_PER_MINUTE", "600");
    let nodes = [place.serve().await, place.serve().await];
    let mut load = JoinSet::new();
    for node in &nodes {
        for _ in 0..3 {
            load.spawn(keeps_asking(node.user().await));
        }
    }
    for _ in 0..2 {
        redis.kill();
        for node in &nodes {
            until("it is noticed", async || !is_shared(node).await).await;
            assert_eq!(node.anyone().metric(FALLBACK).await, Some(1.0));
        }
        redis.start_again().await;
        for node in &nodes {
            until("it is used again", async || is_shared(node).await).await;
        }
        let () = redis.ask(&["SCRIPT", "FLUSH"]).await;
        let () = redis.ask(&["FLUSHALL"]).await;
        redis.pause();
        for node in &nodes {
            until("it is noticed", async || !is_shared(node).await).await;
        }
        redis.resume();
        for node in &nodes {
            until("it is used again", async || is_shared(node).await).await;
        }
    }
    for node in &nodes {
        let metric = "commontrace_rate_limiter_fallback_decisions_total ";
        assert!(node.anyone().metric(metric).await > Some(0.0));
    }
    // None of the load has ended by a failed assertion.
    assert!(load.try_join_next().is_none());
    load.shutdown().await;
    for node in nodes {
        told_once(&node.stop().await);
    }
}

#[tokio::test]
async fn limits_hold_without_redis_too() {
    let mut redis = RedisServer::start().await;
    let place = place(&redis)
        .await
        .with("RATE_LIMIT_REGISTER_PER_HOUR", "5");
    let (one, two) = (place.serve().await, place.serve().await);
    redis.kill();
    for node in [&one, &two] {
        until("it is noticed", async || !is_shared(node).await).await;
        assert_eq!(registered(&[node], 10).await, 5);
    }
}

#[tokio::test]
async fn a_redis_that_is_away_or_refuses_the_password_stops_no_start_and_its_password_stays_secret()
{
    let mut redis = RedisServer::start_with("hunter2", &[]).await;
    let url = redis.url();
    let wrong = url.replace("hunter2", "hunter3");
    let place = Place::new()
        .with("REDIS_URL", &wrong)
        .with("COMMONTRACE_LOG", "trace");
    let server = place.serve().await;
    server.logs(AWAY).await;
    assert_eq!(redis_check(&server).await, "error");
    assert_eq!(server.anyone().metric(FALLBACK).await, Some(1.0));
    assert_eq!(server.user().await.get("/api/v1/tags").await.status, 200);
    let log = server.stop().await;
    assert!(!log.contains("hunter"), "{log}");
    assert!(log.contains("redis://:***@127.0.0.1:"), "{log}");
    told_once(&log);

    redis.kill();
    let server = place.with("REDIS_URL", &url).serve().await;
    server.logs(AWAY).await;
    redis.start_again().await;
    server.logs(BACK).await;
    assert_eq!(server.anyone().metric(FALLBACK).await, Some(0.0));
    let log = server.stop().await;
    assert!(!log.contains("hunter"), "{log}");
    told_once(&log);
}

#[tokio::test]
async fn a_query_is_embedded_once_for_all_nodes_and_its_text_is_not_in_redis() {
    let redis = RedisServer::start().await;
    let provider = Provider::start().await;
    let place = provider
        .of(place(&redis).await)
        .with("COMMONTRACE_IMPORT_SEEDS", "false");
    let (one, two) = (place.serve().await, place.serve().await);
    let (ada, query) = (one.user().await, "why is the container unhealthy");
    ada.contributes("a dependency of the service").await;
    ada.until_embedded().await;
    assert_eq!(ada.search(query).await["degraded"], false);
    until("the vector is there", async || {
        !redis.ask::<Vec<String>>(&["KEYS", "qe:*"]).await.is_empty()
    })
    .await;
    // A node that is too busy does not wait for Redis, and computes what it needs.
    until("a node has not computed it", async || {
        let before = provider.requests().await;
        let node = place.serve().await;
        let found = ada.at(node.address).search(query).await;
        assert_eq!(found["degraded"], false);
        provider.requests().await == before
    })
    .await;
    let keys: Vec<String> = redis.ask(&["KEYS", "*"]).await;
    assert!(
        !keys.iter().any(|key| key.contains("container")),
        "{keys:?}"
    );
    // What is no vector is not taken for one.
    for key in keys.iter().filter(|key| key.starts_with("qe:")) {
        let () = redis.ask(&["SET", key, "no vector"]).await;
    }
    let ada = ada.at(two.address);
    until("the other node searches by meaning", async || {
        ada.search(query).await["degraded"] == false
    })
    .await;
}

#[tokio::test]
async fn doctor_looks_at_redis_and_says_what_to_do() {
    let says = async |url: &str, expected: &[&str]| {
        let place = Place::new().with("REDIS_URL", url);
        // It is no reason for an exit code: the server goes on without.
        let said = place.run(&["doctor"]).await.ok();
        let line = said.lines().find(|line| line.contains("redis: "));
        let line = line.expect("it is looked at").to_owned();
        for text in expected {
            assert!(line.contains(text), "`{text}` is not in: {line}");
        }
        assert!(!line.contains("hunter"), "{line}");
    };
    let mut redis = RedisServer::start_with("hunter2", &[]).await;
    let url = redis.url();
    says(&url, &["redis://:***@127.0.0.1:", "answers in"]).await;
    let wrong = url.replace("hunter2", "hunter3");
    says(&wrong, &["weak", "authentication failed", "REDIS_URL"]).await;
    let () = redis.ask(&["CONFIG", "SET", "maxmemory", "100mb"]).await;
    for policy in ["noeviction", "volatile-ttl", "allkeys-random"] {
        let () = redis
            .ask(&["CONFIG", "SET", "maxmemory-policy", policy])
            .await;
        says(&url, &["weak", "maxmemory-policy allkeys-lru"]).await;
    }
    let () = redis
        .ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
        .await;
    says(&url, &["ok", "answers in"]).await;
    let () = redis
        .ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .await;
    let () = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    says(
        &url,
        &["weak", "each node limits by itself", "raise maxmemory"],
    )
    .await;
    let () = redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let () = redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    says(&url, &["weak", "this one is a replica"]).await;
    let () = redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
    redis.kill();
    says(&url, &["weak", "each node limits by itself", "REDIS_URL"]).await;
}

#[tokio::test]
async fn a_redis_user_needs_what_the_manual_says_and_doctor_one_thing_more() {
    const MANUAL: &str = include_str!("../../../../docs/operations.md");
    let rules = MANUAL.split_once("needs no more than `").expect("a list").1;
    let (rules, rest) = rules.split_once('`').expect("its end");
    assert!(
        rest.split_whitespace()
            .take(3)
            .any(|word| word == "`+info`")
    );
    let redis = RedisServer::start_with("hunter2", &[]).await;
    let user = ["ACL", "SETUSER", "ct", "on", ">hunter4"];
    let rules: Vec<_> = user.into_iter().chain(rules.split(' ')).collect();
    let () = redis.ask(&rules).await;
    let url = redis.url().replace(":hunter2@", "ct:hunter4@");
    let place = Place::new().with("REDIS_URL", &url);

    let server = place.serve().await;
    server.user().await.search("docker").await;
    assert!(is_shared(&server).await, "{}", server.log());

    let said = place.run(&["doctor"]).await.ok();
    let line = said.lines().find(|line| line.contains("redis: ")).unwrap();
    assert!(
        line.starts_with("weak ") && line.contains("+info"),
        "{line}"
    );
    assert!(!line.contains("limits by itself"), "{line}");
    let () = redis.ask(&["ACL", "SETUSER", "ct", "+info"]).await;
    let said = place.run(&["doctor"]).await.ok();
    assert!(said.contains("ok     redis: "), "{said}");
}

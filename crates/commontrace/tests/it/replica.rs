//! Several servers that read from a streaming standby, as their clients see it.

use commontrace_testkit::{Cluster, RedisServer};
use reqwest::Method;
use serde_json::json;

use crate::client::{Client, a_trace, until};
use crate::place::Place;
use crate::server::Server;

const POSITION: &str = "commontrace-wal-position";

fn place(cluster: &Cluster) -> Place {
    Place::new()
        .with("DATABASE_URL", &cluster.primary.url())
        .with("DATABASE_READ_URL", &cluster.standby.url())
        .with("DATABASE_READ_MAX_LAG_SECONDS", "3600")
}

async fn reads(client: &Client, from: &str) -> f64 {
    let name = format!("commontrace_database_reads_total{{from=\"{from}\"}}");
    client.metric(&name).await.expect("there is a replica")
}

async fn status(client: &Client, path: &str, position: Option<&str>) -> u16 {
    let request = client.request(Method::GET, path);
    let request = match position {
        Some(position) => request.header(POSITION, position),
        None => request,
    };
    request.send().await.unwrap().status().as_u16()
}

async fn serve_from_replica(place: &Place) -> Server {
    let server = place.serve().await;
    server.logs("reads go to the replica").await;
    server
}

#[tokio::test]
async fn every_request_that_only_reads_reads_from_the_replica() {
    let cluster = Cluster::start().await;
    let place = place(&cluster);
    let server = serve_from_replica(&place).await;
    let (ada, bob) = (server.user().await, server.user().await);
    let id = ada.contributes("read from a replica").await;
    let ada_id = ada.get("/api/v1/keys/verify").await.ok()["user_id"].clone();
    let moderator = place.run(&["admin", "create-moderator"]).await;
    let moderator = ada.with_key(&moderator.value("api_key"));
    cluster.caught_up().await;
    until("bob's and ada's writes are on the replica", async || {
        let before = reads(&ada, "primary").await;
        ada.get(&format!("/api/v1/traces/{id}")).await.ok();
        bob.get("/api/v1/tags").await.ok();
        reads(&ada, "primary").await == before
    })
    .await;
    let by_id = |rest: &str| format!("/api/v1/traces/{id}{rest}");
    for (user, path) in [
        (&ada, by_id("")),
        (&ada, by_id("/revisions")),
        (&ada, by_id("/amendments")),
        (&ada, "/api/v1/traces".to_owned()),
        (&ada, "/api/v1/tags".to_owned()),
        (
            &ada,
            format!("/api/v1/reputation/{}", ada_id.as_str().unwrap()),
        ),
        (&moderator, "/api/v1/moderation/flagged".to_owned()),
        (&bob, "search".to_owned()),
    ] {
        let before = (reads(user, "replica").await, reads(user, "primary").await);
        if path == "search" {
            assert_eq!(user.finds("read from a replica").await[0], id);
        } else {
            user.get(&path).await.ok();
        }
        let after = (reads(user, "replica").await, reads(user, "primary").await);
        assert!(after.0 > before.0, "{path} did not read from the replica");
        assert_eq!(after.1, before.1, "{path} read from the primary");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_has_written_reads_it_on_the_same_node_and_with_the_position_on_any() {
    let cluster = Cluster::start().await;
    let place = place(&cluster);
    let one = serve_from_replica(&place).await;
    let other = serve_from_replica(&place).await;
    cluster
        .standby
        .execute("SELECT pg_wal_replay_pause()")
        .await;

    // The replica has never heard of this account.
    let ada = one.user().await;
    let ada_elsewhere = ada.at(other.address);
    let id = ada.get("/api/v1/keys/verify").await.ok()["user_id"].clone();
    let own = format!("/api/v1/reputation/{}", id.as_str().unwrap());
    assert_eq!(status(&ada, &own, None).await, 200);
    assert_eq!(status(&ada_elsewhere, "/api/v1/tags", None).await, 200);

    let request = ada.request(Method::POST, "/api/v1/traces");
    let answer = request.json(&a_trace("just written")).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let position = answer.headers()[POSITION].to_str().unwrap().to_owned();
    let body: serde_json::Value = answer.json().await.unwrap();
    let path = format!("/api/v1/traces/{}", body["id"].as_str().unwrap());

    assert_eq!(status(&ada, &path, None).await, 200);
    assert_eq!(
        ada.finds("just written").await[0],
        body["id"].as_str().unwrap()
    );
    assert_eq!(status(&ada_elsewhere, &path, None).await, 404);
    assert_eq!(status(&ada_elsewhere, &path, Some(&position)).await, 200);
    // Whatever a client makes of the header does no harm.
    for nonsense in ["", "x", "FFFFFFFF/FFFFFFFF", "1/2/3"] {
        let found = status(&ada_elsewhere, "/api/v1/tags", Some(nonsense)).await;
        assert_eq!(found, 200, "{nonsense}");
    }
    let read = ada
        .request(Method::GET, "/api/v1/tags")
        .send()
        .await
        .unwrap();
    assert!(!read.headers().contains_key(POSITION), "it has not written");

    cluster
        .standby
        .execute("SELECT pg_wal_replay_resume()")
        .await;
    until("the other node reads it from the replica", async || {
        status(&ada_elsewhere, &path, None).await == 200
    })
    .await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn who_has_written_reads_it_on_any_node_that_shares_a_redis() {
    let cluster = Cluster::start().await;
    let redis = RedisServer::start().await;
    let place = place(&cluster).with("REDIS_URL", &redis.url());
    let one = serve_from_replica(&place).await;
    let other = serve_from_replica(&place).await;
    let (ada, bob) = (one.user().await, one.user().await);
    cluster.caught_up().await;
    cluster
        .standby
        .execute("SELECT pg_wal_replay_pause()")
        .await;
    let id = ada.contributes("just written").await;
    let path = format!("/api/v1/traces/{id}");
    assert_eq!(status(&ada.at(other.address), &path, None).await, 200);
    assert_eq!(
        status(&bob.at(other.address), &path, None).await,
        404,
        "others see it when the replica does"
    );
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn without_the_replica_everything_goes_on_and_one_line_says_so() {
    let mut cluster = Cluster::start().await;
    let place = place(&cluster);
    let server = serve_from_replica(&place).await;
    let user = server.user().await;
    let id = user.contributes("the replica goes away").await;
    cluster.standby.kill();
    for _ in 0..20 {
        user.get(&format!("/api/v1/traces/{id}")).await.ok();
        user.post("/api/v1/traces/search", json!({ "q": "replica" }))
            .await
            .ok();
    }
    server.logs("the replica cannot be used").await;
    until("the metric says so", async || {
        user.metric("commontrace_replica_usable").await == Some(0.0)
    })
    .await;
    assert_eq!(user.get("/health/ready").await.status, 200);
    assert_eq!(user.get("/health").await.ok()["checks"]["replica"], "error");
    cluster.standby.start().await;
    until("it is read again", async || {
        user.metric("commontrace_replica_usable").await == Some(1.0)
    })
    .await;
    let log = server.stop().await;
    assert_eq!(
        log.matches("the replica cannot be used").count(),
        1,
        "{log}"
    );
    assert_eq!(log.matches("reads go to the replica").count(), 2, "{log}");
}

//! A disk without room: the health pages and doctor show it, and nothing has to be restarted when
//! there is room again. A limit on the size of files stands for the full disk, because anybody may
//! set one.

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use crate::client::until;
use crate::place::{Place, finish};
use crate::server::Server;

/// A process that a file has grown too large for is ended, unless it ignores this signal: then it
/// gets an error, as from a full disk.
const IGNORE_THE_SIGNAL: &str = "trap '' XFSZ";
const NO_FILE_CAN_GROW: &str = "trap '' XFSZ; ulimit -f 0";

#[tokio::test]
async fn a_full_disk_shows_in_health_until_there_is_room_again() {
    let place = Place::new();
    let server = Server::start(place.command_after(IGNORE_THE_SIGNAL, &["serve"])).await;
    let ada = server.user().await;
    let before = ada.contributes("before the disk was full").await;
    let unlimited = getrlimit(Resource::Fsize);
    let limit = |current| {
        let limit = Rlimit {
            current,
            ..unlimited
        };
        prlimit(Some(server.pid()), Resource::Fsize, limit).expect("a soft limit may change");
    };
    let health_is = async |status: u16| {
        for path in ["/health", "/health/ready"] {
            until(&format!("{path} is {status}"), async || {
                ada.get(path).await.status == status
            })
            .await;
        }
    };
    health_is(200).await;

    limit(Some(1));
    health_is(503).await;
    let health = ada.get("/health").await;
    let body: serde_json::Value = serde_json::from_str(&health.text).unwrap();
    assert_eq!(body["status"], "degraded");
    let database = body["checks"]["database"].as_str().unwrap();
    assert!(database.starts_with("error: "), "{database}");
    server.logs("the store failed its check").await;
    let refused = ada.post("/api/v1/keys", json!({})).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    // Reading goes on, and the process is well.
    assert_eq!(
        ada.get(&format!("/api/v1/traces/{before}")).await.status,
        200
    );
    assert_eq!(ada.get("/health/live").await.status, 200);

    limit(unlimited.current);
    health_is(200).await;
    ada.contributes("after there was room again").await;
    server.stop().await;
}

#[tokio::test]
async fn doctor_says_that_the_store_cannot_be_written_though_it_can_be_read() {
    let place = Place::new();
    let server = place.serve().await;
    let beside = finish(place.command_after(NO_FILE_CAN_GROW, &["doctor"]), b"").await;
    server.stop().await;
    let alone = finish(place.command_after(NO_FILE_CAN_GROW, &["doctor"]), b"").await;
    for ran in [beside, alone] {
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let file = place.data_dir().join("commontrace.db");
        let line = ran
            .stdout
            .lines()
            .find(|line| line.starts_with("WRONG  database: "))
            .unwrap_or_else(|| panic!("the database is not wrong: {ran:?}"));
        assert!(line.contains(file.to_str().unwrap()), "{line}");
        assert!(line.contains("space"), "{line}");
    }
    place.run(&["doctor"]).await.ok();
}

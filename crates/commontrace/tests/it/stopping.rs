//! What was acknowledged stays, however the server ends.

use std::sync::{Arc, Mutex};

use commontrace_store::Engine;
use reqwest::Method;
use rstest::rstest;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, a_trace, until};
use crate::place::Place;
use crate::server::Server;

/// Clients that write at the same time.
const CLIENTS: usize = 8;
/// Starts and violent ends on one store.
const ROUNDS: usize = 3;
/// Acknowledged traces after which the server is killed.
const ENOUGH: usize = 40;

#[tokio::test]
async fn sigterm_finishes_an_accepted_request_and_exits_with_0() {
    let place = Place::new();
    let server = place.serve().await;
    let user = server.user().await;
    let body = a_trace("the stop came in between").to_string();

    // The server asks for the body: from here on the request is in its hands.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /api/v1/traces HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        user.key,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    server.signal(Signal::TERM);
    server.logs("received SIGTERM").await;
    until("new connections are refused", async || {
        TcpStream::connect(server.address).await.is_err()
    })
    .await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let (status, log) = server.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");

    let (_, json) = answer.split_once("\r\n\r\n").unwrap();
    let id = serde_json::from_str::<Value>(json).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let server = place.serve().await;
    let stored = user
        .at(server.address)
        .get(&format!("/api/v1/traces/{id}"))
        .await
        .ok();
    assert_eq!(stored["title"], "the stop came in between");
}

#[tokio::test]
async fn sigint_stops_as_sigterm_does() {
    let place = Place::new();
    let server = place.serve().await;
    server.signal(Signal::INT);
    let (status, log) = server.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

/// What was acknowledged: traces, votes by trace, amendments with their trace.
#[derive(Debug, Clone, Default)]
struct Acknowledged {
    traces: Vec<String>,
    votes: Vec<String>,
    amendments: Vec<(String, String)>,
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_that_was_acknowledged(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = Place::on(engine)
        .await
        .with("COMMONTRACE_IMPORT_SEEDS", "false");
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    for round in 1..=ROUNDS {
        let server = place.serve().await;
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..CLIENTS {
            let (user, acknowledged) = (server.user().await, Arc::clone(&acknowledged));
            writers.spawn(write(
                user,
                format!("round {round}, writer {writer}"),
                acknowledged,
            ));
        }
        until("enough was acknowledged", async || {
            acknowledged.lock().unwrap().traces.len() >= round * ENOUGH
        })
        .await;
        // The writers are still at it, and find out by a broken connection.
        server.kill().await;
        writers.join_all().await;

        let server = place.serve().await;
        let acknowledged = acknowledged.lock().unwrap().clone();
        all_is_there(&server, &acknowledged).await;
        server.kill().await;
    }
    let acknowledged = acknowledged.lock().unwrap();
    assert!(!acknowledged.votes.is_empty() && !acknowledged.amendments.is_empty());
}

/// Contributes, votes and amends until the server is gone, and notes what it acknowledged.
async fn write(user: Client, name: String, acknowledged: Arc<Mutex<Acknowledged>>) {
    let post = async |path: String, body: Value| {
        user.try_send(Method::POST, &path, Some(&body)).await.ok()
    };
    for number in 0.. {
        let before = acknowledged.lock().unwrap().traces.last().cloned();
        let Some(answer) = post(
            "/api/v1/traces".into(),
            a_trace(&format!("{name}, {number}")),
        )
        .await
        else {
            return;
        };
        acknowledged.lock().unwrap().traces.push(id(&answer.ok()));
        let Some(other) = before else { continue };
        let vote = post(
            format!("/api/v1/traces/{other}/votes"),
            json!({ "vote_type": "up" }),
        )
        .await;
        // 403 if the trace is its own, 409 if it has voted already.
        let Some(vote) = vote else { return };
        if vote.status == 201 {
            acknowledged.lock().unwrap().votes.push(other.clone());
        }
        let better = json!({ "improved_solution": "wait for service_healthy instead of sleeping", "explanation": name });
        let Some(amendment) = post(format!("/api/v1/traces/{other}/amendments"), better).await
        else {
            return;
        };
        assert!(amendment.status < 500, "{amendment:?}");
        if amendment.status < 300 {
            acknowledged
                .lock()
                .unwrap()
                .amendments
                .push((other, id(&amendment.ok())));
        }
    }
}

fn id(answer: &Value) -> String {
    answer["id"].as_str().expect("an id").to_owned()
}

async fn all_is_there(server: &Server, acknowledged: &Acknowledged) {
    let reader = server.user().await;
    for trace in &acknowledged.traces {
        let stored = reader.get(&format!("/api/v1/traces/{trace}")).await.ok();
        let votes = acknowledged.votes.iter().filter(|id| *id == trace).count();
        assert!(
            stored["up_votes"].as_u64() >= Some(votes as u64),
            "votes are lost: {stored}"
        );
    }
    for (trace, amendment) in &acknowledged.amendments {
        let stored = reader
            .get(&format!("/api/v1/traces/{trace}/amendments"))
            .await;
        assert!(
            stored.text.contains(amendment),
            "{amendment} is lost: {stored:?}"
        );
    }
    let newest = acknowledged.traces.last().expect("something was written");
    let title = reader.get(&format!("/api/v1/traces/{newest}")).await.ok()["title"].clone();
    let found = reader.finds(title.as_str().expect("a title")).await;
    assert!(found.contains(newest), "{title} is not found");
}

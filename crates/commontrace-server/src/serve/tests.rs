//! The server over real sockets.

use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::app::ServerSettings;
use crate::ids::Ids;
use crate::middleware;

struct Running {
    address: SocketAddr,
    lifecycle: Lifecycle,
    server: JoinHandle<Ended>,
}

async fn start(routes: Router, patience: Patience) -> Running {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let lifecycle = Lifecycle::default();
    lifecycle.mark_ready();
    let settings = ServerSettings::default();
    let routes = middleware::Limits::usual(&settings).around(routes);
    let router = middleware::wrap(routes, &settings, &Ids::Random);
    let server = tokio::spawn({
        let lifecycle = lifecycle.clone();
        async move { serve(listener, router, &lifecycle, &Ids::Random, patience).await }
    });
    Running {
        address,
        lifecycle,
        server,
    }
}

impl Running {
    async fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn handlers_know_who_is_at_the_other_end() {
    let whoami = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
    let running = start(Router::new().route("/", get(whoami)), Patience::default()).await;
    let stream = running
        .connect("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let answer = rest(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("127.0.0.1"),
        "{answer}"
    );
}

#[tokio::test]
async fn stopping_finishes_what_was_accepted_and_accepts_nothing_more() {
    let (entered, mut has_entered) = mpsc::channel(1);
    let (leave, may_leave) = tokio::sync::watch::channel(false);
    let slow = async move || {
        entered.send(()).await.unwrap();
        may_leave.clone().wait_for(|leave| *leave).await.unwrap();
        "done"
    };
    let running = start(Router::new().route("/", get(slow)), Patience::default()).await;
    let idle = running.connect("").await;
    let busy = running.connect("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    has_entered.recv().await.unwrap();

    running.lifecycle.stop();
    assert!(!running.lifecycle.is_ready());
    assert_eq!(rest(idle).await, "");
    assert!(TcpStream::connect(running.address).await.is_err());

    leave.send(true).unwrap();
    let answer = rest(busy).await;
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(running.server.await.unwrap(), Ended::Clean);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let (entered, mut has_entered) = mpsc::channel(1);
    let hang = async move || {
        entered.send(()).await.unwrap();
        std::future::pending::<()>().await;
    };
    let patience = Patience {
        grace: Duration::ZERO,
        ..Patience::default()
    };
    let running = start(Router::new().route("/", get(hang)), patience).await;
    let _busy = running.connect("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    has_entered.recv().await.unwrap();
    running.lifecycle.stop();
    assert_eq!(running.server.await.unwrap(), Ended::CutOff(1));
}

#[tokio::test]
async fn in_a_hurry_nothing_is_waited_for() {
    let (entered, mut has_entered) = mpsc::channel(1);
    let hang = async move || {
        entered.send(()).await.unwrap();
        std::future::pending::<()>().await;
    };
    let running = start(Router::new().route("/", get(hang)), Patience::default()).await;
    let _busy = running.connect("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    has_entered.recv().await.unwrap();
    running.lifecycle.hurry();
    assert_eq!(running.server.await.unwrap(), Ended::CutOff(1));
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_headers_is_let_go() {
    let patience = Patience {
        headers: Duration::ZERO,
        ..Patience::default()
    };
    let running = start(Router::new(), patience).await;
    let stream = running.connect("GET / HTTP/1.1\r\nhost:").await;
    let answer = rest(stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_to_read_why_it_was_refused() {
    let running = start(
        Router::new().route("/", post(async |body: Bytes| body.len().to_string())),
        Patience::default(),
    )
    .await;
    let length = 5 * 1024 * 1024;
    let head = format!(
        "POST /nowhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut stream = running.connect(&head).await;
    stream.write_all(&vec![b'x'; length]).await.unwrap();
    assert!(rest(stream).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_client_that_asks_first_is_not_told_to_send_too_much() {
    let take = async |_: crate::extract::Json<serde_json::Value>| "taken";
    let running = start(Router::new().route("/", post(take)), Patience::default()).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
        content-length: 9000000\r\nexpect: 100-continue\r\n\r\n";
    let answer = rest(running.connect(head).await).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

/// What hyper cannot read as a request, with the status it is refused with.
fn unreadable() -> [(Vec<u8>, u16); 5] {
    let headers: String = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect();
    [
        (b"this is no request\r\n\r\n".to_vec(), 400),
        (
            b"GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n".to_vec(),
            400,
        ),
        (
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000)).into(),
            414,
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n").into(),
            431,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
                "a".repeat(3_000_000)
            )
            .into(),
            431,
        ),
    ]
}

/// Asserts that this is one answer in the form of all refusals.
#[track_caller]
fn refused(answer: &str, status: u16) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap();
    assert!(
        status_line.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    let headers: std::collections::HashMap<_, _> =
        lines.map(|line| line.split_once(": ").unwrap()).collect();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["content-length"], body.len().to_string());
    assert_eq!(headers["connection"], "close");
    assert!(headers.contains_key("date"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).expect("the body is JSON");
    assert_eq!(body["status"], status);
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty())
    );
    assert!(body["type"].as_str().unwrap().starts_with("/docs/errors#"));
    assert_eq!(body["request_id"], headers["x-request-id"]);
}

#[tokio::test]
async fn what_cannot_be_read_as_a_request_is_refused_in_json() {
    let running = start(Router::new(), Patience::default()).await;
    for (request, status) in unreadable() {
        let mut stream = running.connect("").await;
        stream.write_all(&request).await.unwrap();
        refused(&rest(stream).await, status);
    }
}

#[tokio::test]
async fn it_is_refused_the_same_when_it_comes_in_small_pieces() {
    let running = start(Router::new(), Patience::default()).await;
    for (request, status) in unreadable() {
        let mut stream = running.connect("").await;
        for piece in request.chunks((request.len() / 50).clamp(1, 1_000)) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        refused(&rest(stream).await, status);
    }
}

#[tokio::test]
async fn a_request_before_it_is_answered_as_ever() {
    let good = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let routes = Router::new().route("/", get(async || "done"));
    let running = start(routes, Patience::default()).await;
    for (request, status) in unreadable() {
        let mut stream = running.connect(&format!("{good}{good}")).await;
        stream.write_all(&request).await.unwrap();
        let answers = rest(stream).await;
        let parts: Vec<&str> = answers.split("done").collect();
        let [first, second, refusal] = parts[..] else {
            panic!("not three answers: {answers}")
        };
        for answered in [first, second] {
            assert!(answered.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
            assert!(answered.ends_with("\r\n\r\n"), "{answers}");
        }
        refused(refusal, status);
    }
}

//! The layers together, around a few routes of no meaning.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::{get as on_get, post as on_post};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use uuid::Uuid;

use super::{Limits, wrap};
use crate::app::ServerSettings;
use crate::extract::Json;
use crate::ids::Ids;
use crate::metrics::Metrics;
use crate::testing::{get, post, send};

#[derive(Deserialize)]
struct Note {
    text: String,
}

fn router_with(settings: &ServerSettings) -> Router {
    let routes = Router::new()
        .route("/short", on_get(async || "short"))
        .route("/long", on_get(async || "long ".repeat(1_000)))
        .route("/items/{id}", on_get(async || "item"))
        .route(
            "/echo",
            on_post(async |Json(note): Json<Note>| note.text.len().to_string()),
        )
        .route("/ignore", on_post(async || "ignored"))
        .route(
            "/panic",
            on_get(async || -> String { panic!("secret cause") }),
        )
        .route(
            "/hang",
            on_get(async || std::future::pending::<String>().await),
        );
    wrap(
        Limits::usual(settings).around(routes),
        settings,
        &Ids::Random,
    )
}

fn router() -> Router {
    router_with(&ServerSettings::default())
}

#[tokio::test]
async fn every_answer_has_an_id_and_a_harmless_one_is_taken_from_the_client() {
    for path in ["/short", "/nowhere", "/panic", "/short/"] {
        let id = get(&router(), path).await.header("x-request-id").to_owned();
        assert!(id.parse::<Uuid>().is_ok(), "{path}: {id}");
    }
    for (sent, taken) in [
        ("abc-123", true),
        ("", false),
        ("a b", false),
        ("<x>", false),
    ] {
        let request = Request::get("/nowhere").header("x-request-id", sent);
        let answer = send(&router(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("x-request-id") == sent, taken, "{sent}");
        assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
    }
    let long = "a".repeat(65);
    let request = Request::get("/short").header("x-request-id", &long);
    let answer = send(&router(), request.body(Body::empty()).unwrap()).await;
    assert_ne!(answer.header("x-request-id"), long);
}

#[tokio::test]
async fn a_path_or_method_that_is_not_there_is_answered_in_json() {
    let answer = get(&router(), "/nowhere").await;
    assert_eq!(
        (answer.status.as_u16(), answer.detail().as_str()),
        (404, "Not Found")
    );
    let answer = post(&router(), "/short", "{}").await;
    assert_eq!(
        (answer.status.as_u16(), answer.detail().as_str()),
        (405, "Method Not Allowed")
    );
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn a_trailing_slash_is_redirected_with_the_query() {
    let answer = get(&router(), "/short/?a=1&b=%20").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (307, "/short?a=1&b=%20")
    );
}

#[tokio::test]
async fn a_panic_is_a_500_that_says_nothing_of_its_cause() {
    let answer = get(&router(), "/panic").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.detail().contains("secret"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_a_503() {
    let answer = get(&router(), "/hang").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (503, "5")
    );
    assert_eq!(answer.json()["type"], "/docs/errors#timeout");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_arriving_is_a_408() {
    let request = Request::post("/echo").header("content-type", "application/json");
    let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = send(&router(), request.body(body).unwrap()).await;
    assert_eq!(answer.json()["type"], "/docs/errors#slow-request");
    assert_eq!(answer.status, 408);
}

/// A body without a length, in chunks of 64 KiB.
fn chunked(bytes: usize) -> Body {
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let once = |part: &'static str| stream::iter([Bytes::from(part)]);
    let chunks = stream::iter(std::iter::repeat_n(chunk, bytes / (64 * 1024)));
    let all = futures_util::StreamExt::chain(once(r#"{"text":""#), chunks);
    let all = futures_util::StreamExt::chain(all, once(r#""}"#));
    Body::from_stream(futures_util::StreamExt::map(all, Ok::<_, std::io::Error>))
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_a_length() {
    const MIB: usize = 1024 * 1024;
    let text = |bytes: usize| {
        format!(
            r#"{{"text":"{}"}}"#,
            "x".repeat(bytes - r#"{"text":""}"#.len())
        )
    };
    assert_eq!(post(&router(), "/echo", text(MIB)).await.status, 200);
    for body in [Body::from(text(MIB + 1)), chunked(MIB), chunked(100 * MIB)] {
        let answer = post(&router(), "/echo", body).await;
        assert_eq!(answer.status, 413);
        assert_eq!(
            answer.detail(),
            "the request body is larger than 1048576 bytes"
        );
    }
    assert_eq!(
        post(&router(), "/echo", chunked(MIB / 2)).await.body,
        (MIB / 2).to_string()
    );
    assert_eq!(
        post(&router(), "/ignore", chunked(2 * MIB)).await.body,
        "ignored"
    );
}

#[tokio::test]
async fn long_answers_are_compressed_for_clients_that_want_it() {
    for (path, encoding) in [("/long", "gzip"), ("/short", "")] {
        let request = Request::get(path).header("accept-encoding", "gzip");
        let answer = send(&router(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("content-encoding"), encoding);
    }
    assert_eq!(get(&router(), "/long").await.header("content-encoding"), "");
}

#[tokio::test]
async fn answers_are_neither_stored_nor_sniffed() {
    for path in ["/short", "/nowhere"] {
        let answer = get(&router(), path).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn only_pages_of_listed_origins_may_call() {
    let preflight = |origin: &str| {
        Request::options("/echo")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "x-api-key")
            .body(Body::empty())
            .unwrap()
    };
    let listed = router_with(&ServerSettings {
        cors_origins: vec!["https://commontrace.example".into()],
        ..ServerSettings::default()
    });
    let answer = send(&listed, preflight("https://commontrace.example")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://commontrace.example"
    );
    assert_eq!(answer.header("access-control-max-age"), "600");
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("x-api-key")
    );
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("PATCH")
    );
    let answer = send(&listed, preflight("https://evil.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let answer = send(&router(), preflight("https://commontrace.example")).await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("access-control-allow-origin")
        ),
        (405, "")
    );
}

#[tokio::test]
async fn metrics_know_routes_and_not_what_clients_make_up() {
    let metrics = Metrics::install();
    let router = router();
    get(&router, "/items/1").await;
    get(&router, "/items/2").await;
    get(&router, "/items/2/made/up").await;
    let brew = Request::builder()
        .method("BREW")
        .uri("/items/3")
        .body(Body::empty())
        .unwrap();
    send(&router, brew).await;
    let text = metrics.render();
    let count = |labels: &str| {
        let name = format!("commontrace_http_requests_total{{{labels}}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |number| number.parse().unwrap())
    };
    assert_eq!(
        count(r#"method="GET",path="/items/{id}",status_code="200""#),
        2
    );
    assert_eq!(
        count(r#"method="other",path="/items/{id}",status_code="405""#),
        1
    );
    assert!(count(r#"method="GET",path="unmatched",status_code="404""#) >= 1);
    assert!(!text.contains("made"));
}

#[tokio::test]
async fn a_request_timeout_can_be_set() {
    let router = router_with(&ServerSettings {
        request_timeout: Duration::ZERO,
        ..ServerSettings::default()
    });
    assert_eq!(get(&router, "/hang").await.status, 503);
}

//! The trace context that a request carries: in the log, and on the way to the embedding endpoint.

use commontrace_store::Engine::{self, Postgres, Sqlite};
use reqwest::Method;
use rstest::rstest;

use crate::client::{Client, a_trace, until};
use crate::place::Place;
use crate::provider::Provider;

pub const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Contributes as part of a trace.
pub async fn contributes(user: &Client, title: &str, traceparent: &str) {
    let request = user.request(Method::POST, "/api/v1/traces");
    let request = request.header("traceparent", traceparent);
    let answer = request.json(&a_trace(title)).send().await.unwrap();
    assert_eq!(answer.status(), 202, "{answer:?}");
}

#[tokio::test]
async fn log_lines_of_a_request_carry_the_trace_it_is_part_of() {
    for format in ["pretty", "json"] {
        let place = Place::new().with("COMMONTRACE_LOG_FORMAT", format);
        let server = place.serve().await;
        let user = server.user().await;
        contributes(&user, "part of a trace", SENT).await;
        contributes(&user, "part of none", "00-nonsense").await;
        let log = server.stop().await;
        let of_requests = |line: &&str| line.contains("POST /api/v1/traces answered");
        let lines: Vec<_> = log.lines().filter(of_requests).collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines[0].contains(TRACE_ID), "{log}");
        assert!(!lines[1].contains("nonsense"), "{log}");
    }
}

#[rstest]
#[tokio::test]
async fn the_embedding_endpoint_hears_of_the_trace_that_a_search_or_a_text_is_part_of(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let provider = Provider::start().await;
    let place = provider.of(Place::on(engine).await);
    let place = place.with("COMMONTRACE_IMPORT_SEEDS", "false");
    let server = place.serve().await;
    let user = server.user().await;
    contributes(&user, "a text to embed", SENT).await;
    // Long after the request: the job knows it.
    until("the text was sent as part of the trace", async || {
        let sent = provider.traceparents().await;
        sent.iter().any(|sent| sent.contains(TRACE_ID))
    })
    .await;
    let other = SENT.replace(TRACE_ID, "0123456789abcdef0123456789abcdef");
    let search = user.request(Method::POST, "/api/v1/traces/search");
    let search = search.header("traceparent", &other);
    let query = serde_json::json!({ "q": "a question of its own" });
    assert_eq!(search.json(&query).send().await.unwrap().status(), 200);
    let sent = provider.traceparents().await;
    let last = sent.last().expect("the query was embedded");
    assert!(last.contains("0123456789abcdef0123456789abcdef"), "{last}");
    server.stop().await;
}

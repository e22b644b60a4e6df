//! One span, one log line and one observation per request. Never a header, a query or a body: those
//! carry keys and what people search for.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, debug, error, info, info_span};

use super::client_address::ClientIp;
use super::request_id;
use crate::error::FailureCause;
use crate::metrics;
use crate::telemetry;

/// The label of all paths that no route has: their number is not for clients to choose.
const UNMATCHED: &str = "unmatched";

/// Records the request and its answer.
pub async fn record(request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let method = method_label(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let path = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let id = request_id::current().unwrap_or_default();
    let client = request
        .extensions()
        .get::<ClientIp>()
        .map(|client| client.0);
    let client = client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let asked = telemetry::asked_by(request.headers());
    let traced = if is_watched(path) {
        Span::none()
    } else {
        telemetry::request_span(method, path, asked)
    };
    let span = info_span!(
        "request",
        request.id = %id,
        request.trace_id = telemetry::trace_id(&traced, asked),
        client.address = %client,
        method,
        path
    );

    let work = next.run(request).instrument(traced.clone());
    let response = telemetry::part_of(asked, span.clone(), work).await;

    let took = begin.elapsed();
    telemetry::answered(&traced, response.status().as_u16());
    metrics::http_request(method, path, response.status(), took);
    let _in_span = span.enter();
    log(method, path, &response, took.as_secs_f64() * 1_000.0);
    response
}

fn log(method: &str, path: &str, response: &Response, took_ms: f64) {
    let status = response.status().as_u16();
    let took_ms = (took_ms * 1_000.0).round() / 1_000.0;
    if let Some(FailureCause(cause)) = response.extensions().get() {
        error!(
            status,
            took_ms, cause, "{method} {path} failed with {status}: {cause}"
        );
    } else if is_watched(path) && status < 400 {
        debug!(status, took_ms, "{method} {path} answered {status}");
    } else {
        info!(status, took_ms, "{method} {path} answered {status}");
    }
}

/// Paths that a monitor asks every few seconds.
fn is_watched(path: &str) -> bool {
    path == "/metrics" || path.starts_with("/health")
}

/// HTTP allows any word as a method; a label must not.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

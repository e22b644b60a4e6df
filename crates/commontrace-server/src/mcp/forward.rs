//! Sends the requests of tools to the API of this server, without a network.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use commontrace_mcp::{Answer, Away, Backend, Call};
use std::net::SocketAddr;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::middleware::request_id;
use crate::middleware::wal_position::WAL_POSITION;

/// What a request of a tool takes over from the request that it came in, beside the key: whom it is from, and
/// what ties it to its caller's own records.
const KEPT: [HeaderName; 11] = [
    AUTHORIZATION,
    HOST,
    ORIGIN,
    USER_AGENT,
    WAL_POSITION,
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("via"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// The API, asked in the name of one caller.
#[derive(Debug)]
pub struct Forward {
    api: Router,
    key_header: String,
    headers: HeaderMap,
    peer: Option<ConnectInfo<SocketAddr>>,
}

impl Forward {
    /// Takes over from a request who calls. `key_header` is the header that carries keys.
    pub fn new(api: Router, key_header: &str, head: &Parts) -> Self {
        let mut headers = HeaderMap::new();
        let key: Option<HeaderName> = key_header.parse().ok();
        for name in KEPT.into_iter().chain(key) {
            for value in head.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        if let Some(id) = request_id::current().and_then(|id| HeaderValue::try_from(id).ok()) {
            headers.insert(request_id::HEADER, id);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self {
            api,
            key_header: key_header.to_owned(),
            headers,
            peer: head.extensions.get().copied(),
        }
    }

    async fn ask(&self, call: &Call) -> Result<Answer, axum::Error> {
        let body = call
            .body()
            .map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = Request::builder().method(call.method()).uri(call.path());
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.headers);
        }
        let mut request = request.body(body).map_err(axum::Error::new)?;
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        let response = self.api.clone().oneshot(request).await;
        let (head, body) = response.unwrap_or_else(|never| match never {}).into_parts();
        let seconds = head.headers.get(RETRY_AFTER);
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after: seconds.and_then(|value| value.to_str().ok()?.parse().ok()),
            body: to_bytes(body, usize::MAX).await?.to_vec(),
        })
    }
}

impl Backend for Forward {
    async fn send(&self, call: &Call) -> Result<Answer, Away> {
        let deadline = call.deadline();
        match timeout(deadline, self.ask(call)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(err)) => Err(Away::NoAnswer(format!(
                "The server failed to answer ({err})."
            ))),
            Err(_) => {
                let unsure = if call.reads() {
                    ""
                } else {
                    " It may have been done all the same: look before doing it again."
                };
                Err(Away::NoAnswer(format!(
                    "The server did not answer within {} s.{unsure}",
                    deadline.as_secs()
                )))
            }
        }
    }

    fn key_advice(&self) -> String {
        format!(
            "The host sends the key with each request, in the header `{}: KEY` or as `Authorization: Bearer KEY`, from its \
             configuration of this MCP server; there it is missing, revoked or another server's. Only the user can mend that; \
             POST /api/v1/keys gives a key.",
            self.key_header
        )
    }
}

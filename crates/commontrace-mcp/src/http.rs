//! The protocol over HTTP: each request is answered for itself, in every revision.
//!
//! No session is opened, so there is nothing that a client could let grow or leave behind: what an older
//! revision begins with `initialize` is answered, and the requests behind it need no more than itself.
//! Nothing is ever sent but answers, so none of them is a stream.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use rmcp::model::{ClientJsonRpcMessage, ErrorData, JsonRpcError};
use rmcp::transport::StreamableHttpService;
use rmcp::transport::streamable_http_server::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde::de::IgnoredAny;

use crate::backend::Backend;
use crate::server::Server;

static CONFIG: LazyLock<StreamableHttpServerConfig> = LazyLock::new(|| {
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // Whoever receives the request knows the names of its host, and limits its body.
        .disable_allowed_hosts()
        .with_max_request_body_bytes(usize::MAX)
});

/// Answers one request at the time `now`, with tools answered by `backend`, which is made for this request.
///
/// The body is whole and within its limit, and Host and Origin were checked.
pub async fn answer<B: Backend>(
    backend: B,
    now: DateTime<Utc>,
    request: Request<Bytes>,
) -> Response<BoxBody<Bytes, Infallible>> {
    if let Err(wrong) = serde_json::from_slice::<ClientJsonRpcMessage>(request.body()) {
        return malformed(request.body(), &wrong);
    }
    let backend = Arc::new(backend);
    let server = move || Ok(Server::new(Arc::clone(&backend), move || now));
    let sessions = Arc::new(NeverSessionManager::default());
    StreamableHttpService::new(server, sessions, CONFIG.clone())
        .handle(request.map(Full::new))
        .await
}

/// Says why a body is no message.
fn malformed(body: &[u8], wrong: &serde_json::Error) -> Response<BoxBody<Bytes, Infallible>> {
    let error = match serde_json::from_slice::<IgnoredAny>(body) {
        Err(wrong) => ErrorData::parse_error(format!("the body is not JSON: {wrong}"), None),
        Ok(_) if body.trim_ascii_start().starts_with(b"[") => {
            ErrorData::invalid_request("send one message per request, not a list", None)
        }
        Ok(_) => {
            ErrorData::invalid_request(format!("the body is no message of MCP: {wrong}"), None)
        }
    };
    let text = serde_json::to_vec(&JsonRpcError::new(None, error));
    let text = text.expect("an error has only texts and numbers");
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

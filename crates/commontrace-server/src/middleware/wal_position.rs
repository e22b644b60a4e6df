//! Tells a client up to where in the database's log it has written, and takes that back from it.
//!
//! Where reads go to replicas, a node knows what was written through itself. A client whose requests
//! reach several nodes sends the position along, and so reads what it has written on any of them.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use commontrace_store::{Store, WalPosition};

/// The header, on answers to writes and on requests that read.
pub const WAL_POSITION: HeaderName = HeaderName::from_static("commontrace-wal-position");

/// Where an extractor leaves the handle that the request writes through.
#[derive(Debug, Clone, Default)]
struct Noted(Arc<OnceLock<Store>>);

/// Notes the handle that this request writes through, if it writes.
pub fn note(extensions: &Extensions, store: &Store) {
    if let Some(Noted(noted)) = extensions.get() {
        let _ = noted.set(store.clone());
    }
}

/// Returns the position that a request sends along. What is no position was not ours and is ignored.
pub fn seen(headers: &HeaderMap) -> Option<WalPosition> {
    headers.get(WAL_POSITION)?.to_str().ok()?.parse().ok()
}

/// Adds the position to an answer, if there is a replica and the request has written.
pub async fn add_header(mut request: Request, next: Next) -> Response {
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let mut response = next.run(request).await;
    if let Some(position) = noted.0.get().and_then(Store::written_up_to) {
        let value = HeaderValue::try_from(position.to_string());
        let value = value.expect("digits and a slash are ASCII");
        response.headers_mut().insert(WAL_POSITION, value);
    }
    response
}

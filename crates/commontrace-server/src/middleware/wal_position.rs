//! Tells a client up to where in the database's log it has written, and takes that back from it.
//!
//! Where reads go to replicas, a node knows what was written through itself, and, where nodes share a
//! Redis, through the others. Without one, a client whose requests reach several nodes sends the position
//! along, and so reads what it has written on any of them.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use commontrace_core::UserId;
use commontrace_store::{Store, WalPosition};

use crate::shared::WritePositions;

/// The header, on answers to writes and on requests that read.
pub const WAL_POSITION: HeaderName = HeaderName::from_static("commontrace-wal-position");

/// Where an extractor leaves who may write in this request.
#[derive(Debug, Clone, Default)]
struct Noted(Arc<OnceLock<Writing>>);

/// An account that may write in this request.
#[derive(Debug)]
pub struct Writing {
    /// The account.
    pub account: UserId,
    /// The handle that it writes through.
    pub store: Store,
    /// Where other nodes learn of it, if they do.
    pub shared: Option<WritePositions>,
}

/// Notes who may write in this request.
pub fn note(extensions: &Extensions, writing: Writing) {
    if let Some(Noted(noted)) = extensions.get() {
        // Set by the one extractor of the caller.
        let _ = noted.set(writing);
    }
}

/// Returns the position that a request sends along. What is no position was not ours and is ignored.
pub fn seen(headers: &HeaderMap) -> Option<WalPosition> {
    headers.get(WAL_POSITION)?.to_str().ok()?.parse().ok()
}

/// Adds the position to an answer, if there is a replica and the request has written, once all nodes
/// know of it.
pub async fn add_header(mut request: Request, next: Next) -> Response {
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let mut response = next.run(request).await;
    if let Some(writing) = noted.0.get()
        && let Some(position) = writing.store.written_up_to()
    {
        if let Some(shared) = &writing.shared {
            shared.note(writing.account, position).await;
        }
        let value = HeaderValue::try_from(position.to_string());
        let value = value.expect("digits and a slash are ASCII");
        response.headers_mut().insert(WAL_POSITION, value);
    }
    response
}

//! The id that ties a request to its answer and its log lines.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::ids::Ids;

/// The header, on requests and answers.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_BYTES: usize = 64;

tokio::task_local! {
    static CURRENT: String;
}

/// Returns the id of the request this task is answering.
pub fn current() -> Option<String> {
    CURRENT.try_with(String::clone).ok()
}

/// Runs `make` as part of the request with this id.
pub fn with<T>(id: &str, make: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(id.to_owned(), make)
}

/// Takes the client's id when it is harmless, else makes one, and puts it on the answer.
pub async fn assign(State(ids): State<Ids>, request: Request, next: Next) -> Response {
    let sent = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok());
    let id = match sent {
        Some(id) if is_harmless(id) => id.to_owned(),
        _ => ids.uuid().to_string(),
    };
    let value = HeaderValue::from_str(&id).expect("an id is made of letters, digits and hyphens");
    let mut response = CURRENT.scope(id, next.run(request)).await;
    response.headers_mut().insert(HEADER, value);
    response
}

/// An id goes into logs and back to the client: short, and nothing but letters, digits, hyphens.
fn is_harmless(id: &str) -> bool {
    (1..=MAX_BYTES).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

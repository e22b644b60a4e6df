//! Tells clients on every answer to a limited request how much of their limit is left.
//!
//! The header fields are those of the IETF draft "RateLimit header fields for HTTP".

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{Extensions, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use commontrace_core::token_bucket::{Decision, Limit};

use crate::error::whole_seconds;
use crate::limiter::Class;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where an extractor leaves the decision for the answer's headers.
#[derive(Debug, Clone, Default)]
struct Noted(Arc<OnceLock<(Class, Limit, Decision)>>);

/// Notes the decision on this request. The first one counts: there is one per request.
pub fn note(extensions: &Extensions, class: Class, limit: Limit, decision: Decision) {
    if let Some(Noted(noted)) = extensions.get() {
        let _ = noted.set((class, limit, decision));
    }
}

/// Adds `RateLimit` and `RateLimit-Policy` when the request was limited.
pub async fn add_headers(mut request: Request, next: Next) -> Response {
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let mut response = next.run(request).await;
    if let Some((class, limit, decision)) = noted.0.get() {
        let name = class.name();
        let state = format!(
            r#""{name}";r={};t={}"#,
            decision.remaining,
            whole_seconds(decision.reset_after)
        );
        let policy = format!(
            r#""{name}";q={};w={}"#,
            limit.capacity,
            limit.period.as_secs()
        );
        let value = |text| HeaderValue::try_from(text).expect("names and numbers are ASCII");
        response.headers_mut().insert(RATE_LIMIT, value(state));
        response
            .headers_mut()
            .insert(RATE_LIMIT_POLICY, value(policy));
    }
    response
}

//! Whose pages may call tools: a browser sends what a page tells it to, from inside the network that it is in.

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use crate::app::ServerSettings;
use crate::error::ApiError;
use crate::extract::{is_forwarded, is_this_machine, sent_key};
use crate::middleware::client_address::ClientIp;

/// Refuses requests of pages that nobody let in.
///
/// A page says where it is from; that has to be this machine, or an origin that the settings let call the API.
/// A page whose name was made to point here looks as if it were from here, so what comes from this machine
/// without a key, which such a page does not have, has to name this machine as its host.
pub fn check(head: &Parts, settings: &ServerSettings) -> Result<(), ApiError> {
    if head.headers.contains_key(ORIGIN) && !is_listed(&head.headers, &settings.cors_origins) {
        return Err(ApiError::forbidden(
            "pages of this origin may not call /mcp; COMMONTRACE_CORS_ORIGINS names those that may",
        ));
    }
    let keyless = sent_key(&head.headers, &settings.api_key_header).is_none();
    let from_here = head
        .extensions
        .get::<ClientIp>()
        .is_some_and(|client| client.0.is_loopback());
    let names_us = text(&head.headers, HOST).is_some_and(is_this_machine);
    if keyless && from_here && !is_forwarded(&head.headers) && !names_us {
        return Err(ApiError::forbidden(
            "a request from this machine without a key has to name it in Host, as localhost or 127.0.0.1",
        ));
    }
    Ok(())
}

fn is_listed(headers: &HeaderMap, origins: &[String]) -> bool {
    let Some(origin) = text(headers, ORIGIN) else {
        return false;
    };
    let host = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    host.is_some_and(is_this_machine)
        || origins
            .iter()
            .any(|listed| listed == "*" || listed == origin)
}

/// Returns a header that is there once and is text.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    only.to_str().ok()
}

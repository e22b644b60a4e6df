//! Answers when a handler does not.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::ServerSettings;
use crate::error::ApiError;

/// How long handlers may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Those that wait for a verdict.
    finalize: Duration,
    /// All others.
    other: Duration,
}

impl Limits {
    /// Returns the limits that the operator has set.
    pub fn of(settings: &ServerSettings) -> Self {
        Self {
            finalize: settings.request_timeout + settings.finalize_wait,
            other: settings.request_timeout,
        }
    }

    fn at(self, path: &str) -> Duration {
        if path.starts_with("/traces/") && path.ends_with("/finalize") {
            self.finalize
        } else {
            self.other
        }
    }
}

/// Gives the handler as long to answer as its path allows, then drops it.
pub async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let limit = limits.at(request.uri().path());
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timeout(limit).into_response(),
    }
}

//! How much of a request is read and how long its handler may take. Each group of routes has its own limits,
//! said where the routes are.

use std::time::Duration;

use aide::axum::ApiRouter;
use axum::Router;
use axum::middleware::from_fn_with_state;

use super::{body, timeout};
use crate::app::ServerSettings;

/// The limits of a group of routes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body: usize,
    /// Longest time that a handler may take.
    pub time: Duration,
}

impl Limits {
    /// Those of most routes.
    pub fn usual(settings: &ServerSettings) -> Self {
        Self {
            body: settings.body_limit_bytes,
            time: settings.request_timeout,
        }
    }

    /// Those of what records a session.
    pub fn recording(settings: &ServerSettings) -> Self {
        Self {
            body: settings.session_body_limit_bytes,
            ..Self::usual(settings)
        }
    }

    /// Those of what waits for a session's verdict.
    pub fn finalizing(settings: &ServerSettings) -> Self {
        Self {
            time: settings.request_timeout + settings.finalize_wait,
            ..Self::recording(settings)
        }
    }

    /// Puts them around routes.
    pub fn around<S: Clone + Send + Sync + 'static>(self, routes: Router<S>) -> Router<S> {
        routes
            .layer(from_fn_with_state(self.time, timeout::limit))
            .layer(from_fn_with_state(self.body, body::limit))
    }

    /// Puts them around routes that describe themselves.
    pub fn around_described<S: Clone + Send + Sync + 'static>(
        self,
        routes: ApiRouter<S>,
    ) -> ApiRouter<S> {
        routes
            .layer(from_fn_with_state(self.time, timeout::limit))
            .layer(from_fn_with_state(self.body, body::limit))
    }
}

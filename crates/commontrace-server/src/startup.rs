//! What clients meet before the server is ready: it lives, and everything else has to wait. So nobody
//! hangs, and whoever watches over the process does not take a long start for a dead one.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{any, get};
use tower::{ServiceExt, service_fn};

use crate::app::ServerSettings;
use crate::error::ApiError;
use crate::ids::Ids;
use crate::middleware::Limits;
use crate::{middleware, routes};

/// Lets requests in to the service, once there is one.
#[derive(Debug, Clone)]
pub struct Door(Arc<OnceLock<Router>>);

impl Door {
    /// Sends all further requests to `service`.
    pub fn open(&self, service: Router) {
        let _ = self.0.set(service);
    }
}

/// Returns the router to serve from the first moment on, and the door in it.
pub fn door(settings: &ServerSettings, ids: &Ids) -> (Router, Door) {
    let door = Door(Arc::new(OnceLock::new()));
    let starting = Router::new()
        .route("/health/live", get(routes::health::live))
        .route("/health", get(routes::health::starting))
        .route("/health/ready", get(routes::health::starting))
        .route("/", any(wait))
        .route("/{*path}", any(wait));
    let starting = Limits::usual(settings).around(starting);
    let starting = middleware::wrap(starting, settings, ids);
    let opened = Arc::clone(&door.0);
    let choose = service_fn(move |request: Request| {
        let service = opened.get().unwrap_or(&starting).clone();
        async move {
            Ok::<Response<Body>, Infallible>(
                service
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    (Router::new().fallback_service(choose), door)
}

async fn wait() -> ApiError {
    ApiError::starting()
}

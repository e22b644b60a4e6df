//! Which web pages may call the API.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower::util::option_layer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::wal_position::WAL_POSITION;
use crate::app::ServerSettings;

/// Headers of ours and of agents' protocol that pages may send.
const SENT: [&str; 4] = [
    "idempotency-key",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
];
const PREFLIGHT_VALID_FOR: Duration = Duration::from_secs(600);

/// Builds the layer from the settings; without origins there is none, and no page may.
pub fn layer(
    settings: &ServerSettings,
) -> tower::util::Either<CorsLayer, tower::layer::util::Identity> {
    let origins = &settings.cors_origins;
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        // The configuration refuses an origin that is no header value before it comes here.
        AllowOrigin::list(
            origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok()),
        )
    };
    let key: Option<HeaderName> = settings.api_key_header.parse().ok();
    let mut headers = vec![header::AUTHORIZATION, header::CONTENT_TYPE, WAL_POSITION];
    headers.extend(SENT.map(HeaderName::from_static));
    headers.extend(key);
    let exposed = [
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
        "retry-after",
    ];
    option_layer((!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(headers)
            .expose_headers(
                exposed
                    .map(HeaderName::from_static)
                    .into_iter()
                    .chain([WAL_POSITION])
                    .collect::<Vec<_>>(),
            )
            .max_age(PREFLIGHT_VALID_FOR)
    }))
}

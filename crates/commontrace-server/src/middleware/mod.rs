//! What happens to every request before and after its handler.

pub mod access;
pub mod body;
pub mod client_address;
pub mod cors;
pub mod fallback;
pub mod headers;
pub mod limits;
pub mod panic;
pub mod rate_limit;
pub mod request_id;
#[cfg(test)]
mod tests;
pub mod timeout;
pub mod wal_position;

use axum::Router;
use axum::handler::Handler as _;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};

pub use self::limits::Limits;
use crate::app::ServerSettings;
use crate::ids::Ids;

/// Answers below this size are sent as they are: compressing them saves no packet.
const COMPRESS_ABOVE_BYTES: u64 = 1024;

/// Wraps the routes, which have their [`Limits`] already. The last layer is the outermost: it sees the request first and the answer
/// last.
pub fn wrap(routes: Router, settings: &ServerSettings, ids: &Ids) -> Router {
    let compression = CompressionLayer::new()
        // An answer is small and made for one reader: at the default level a third of a node's time
        // under searches went into compressing.
        .quality(CompressionLevel::Fastest)
        .compress_when(DefaultPredicate::new().and(SizeAbove::new(COMPRESS_ABOVE_BYTES)));
    // What is not read is thrown away where there is no route, too.
    let unread = from_fn_with_state(settings.body_limit_bytes, body::limit);
    routes
        .fallback(fallback::unknown_path.layer(unread.clone()))
        .method_not_allowed_fallback(fallback::method_not_allowed.layer(unread))
        .layer(panic::layer())
        .layer(from_fn(rate_limit::add_headers))
        .layer(from_fn(wal_position::add_header))
        .layer(compression)
        .layer(cors::layer(settings))
        .layer(from_fn(headers::add))
        .layer(from_fn(access::record))
        .layer(from_fn_with_state(
            settings.trusted_proxies.clone(),
            client_address::resolve,
        ))
        .layer(from_fn_with_state(ids.clone(), request_id::assign))
}

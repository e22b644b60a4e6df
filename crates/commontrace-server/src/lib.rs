//! The HTTP side of the commons: routes, limits, metrics, and the work behind them.
//!
//! Handlers decide nothing about traces that `commontrace-core` could decide, and write no SQL.

pub mod api_key;
pub mod app;
pub mod clock;
mod contribution;
pub mod error;
pub mod extract;
mod idempotency;
pub mod ids;
mod intake;
pub mod lifecycle;
pub mod limiter;
pub mod logging;
mod mcp;
pub mod metrics;
pub mod middleware;
pub mod openapi;
mod present;
pub mod reads;
mod respond;
pub mod routes;
pub mod search;
pub mod seeds;
pub mod serve;
pub mod sessions;
pub mod shared;
pub mod startup;
pub mod store_check;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod usage;
pub mod worker;

pub use app::{App, ServerSettings};
pub use error::{ApiError, ApiResult};
use middleware::Limits;

/// Builds the whole service: the routes, their description, the tools for agents, and the layers around them.
pub fn router(app: &App) -> axum::Router {
    let (routes, description) = openapi::describe(routes::router(&app.settings), &app.settings);
    let pages = Limits::usual(&app.settings).around(openapi::pages(&description));
    let routes = routes.merge(pages).with_state(app.clone());
    let wrap = |routes| middleware::wrap(routes, &app.settings, &app.ids);
    let tools = mcp::routes(app, wrap(routes.clone()));
    wrap(routes.merge(tools))
}

/// Builds what a worker answers: how it is, and its metrics.
pub fn worker_router(app: &App) -> axum::Router {
    let routes = axum::Router::from(routes::worker()).with_state(app.clone());
    let routes = Limits::usual(&app.settings).around(routes);
    middleware::wrap(routes, &app.settings, &app.ids)
}

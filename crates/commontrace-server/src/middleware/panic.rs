//! Turns a panic of a handler into an answer; the panic hook has written the log line by then.

use std::any::Any;

use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use crate::error::ApiError;

type OnPanic = fn(Box<dyn Any + Send + 'static>) -> Response;

/// Builds the layer.
pub fn layer() -> CatchPanicLayer<OnPanic> {
    CatchPanicLayer::custom(|_| ApiError::panicked().into_response())
}

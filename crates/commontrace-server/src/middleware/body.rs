//! Keeps request bodies within their limit, however they are sent.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

use crate::error::ApiError;

/// How much more than the limit is read and thrown away, so that the client gets to read why.
const DRAIN_FACTOR: usize = 8;
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// Lets a handler read at most so many bytes, counted as they arrive.
///
/// What the handler did not read is thrown away before the answer is sent: closing a connection on
/// a client that is still sending would cost it the answer.
pub async fn limit(State(limit): State<usize>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Such a client waits for a word before it sends, and the answer is that word.
    let waits = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let body = SharedBody(Arc::new(Mutex::new(body)));
    let limited = LimitedBody {
        body: body.clone(),
        left: limit,
        limit,
    };
    let response = next
        .run(Request::from_parts(parts, Body::new(limited)))
        .await;
    if !waits {
        body.drain(limit.saturating_mul(DRAIN_FACTOR)).await;
    }
    response
}

/// Returns the refusal when a body could not be read because it is too large.
pub fn as_too_large(err: axum::Error) -> Option<ApiError> {
    let err = err.into_inner();
    err.downcast_ref()
        .map(|TooLarge { limit }| ApiError::too_large(*limit))
}

#[derive(Debug, thiserror::Error)]
#[error("the body has more than {limit} bytes")]
struct TooLarge {
    limit: usize,
}

/// A body that the handler reads and that this middleware can finish reading.
#[derive(Debug, Clone)]
struct SharedBody(Arc<Mutex<Body>>);

impl SharedBody {
    fn lock(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn drain(self, at_most: usize) {
        // Something still reads the body, such as a task that outlives the handler.
        let Some(body) = Arc::into_inner(self.0) else {
            return;
        };
        let mut body = body.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut left = at_most;
        let all = async {
            while let Some(Ok(frame)) = body.frame().await {
                let read = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(read) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        };
        // Too slow or too much: the connection is closed, which is all that can be done.
        let _ = tokio::time::timeout(DRAIN_WITHIN, all).await;
    }
}

#[derive(Debug)]
struct LimitedBody {
    body: SharedBody,
    left: usize,
    limit: usize,
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if self.body.lock().size_hint().lower() > self.left as u64 {
            // It says so itself: there is no need to wait for it.
            return Poll::Ready(Some(Err(TooLarge { limit: self.limit }.into())));
        }
        let polled = Pin::new(&mut *self.body.lock()).poll_frame(cx);
        polled.map(|frame| {
            Some(frame?.map_err(Into::into).and_then(|frame| {
                let read = frame.data_ref().map_or(0, Buf::remaining);
                match self.left.checked_sub(read) {
                    Some(left) => self.left = left,
                    None => return Err(TooLarge { limit: self.limit }.into()),
                }
                Ok(frame)
            }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().size_hint()
    }
}

//! The one error that handlers and extractors return.
//!
//! An answer names what was wrong with the request and never what went on inside: causes are for
//! the log, which the access log writes once, with the request's id.

mod answer;
mod problem;
mod wrong;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use axum::http::StatusCode;
pub use commontrace_core::error::chain;
use commontrace_session::posted::Wrong;

pub use answer::{FailureCause, FieldError, ProblemBody};
pub use problem::{Problem, Row};
pub use wrong::WrongParts;

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

/// A request that was not answered with a success.
#[derive(Debug)]
pub struct ApiError {
    problem: Problem,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    wrong: Vec<Wrong>,
    retry_after: Option<Duration>,
    cause: Option<String>,
}

/// How long a client should wait for a server that is starting.
const STARTING: Duration = Duration::from_secs(1);
/// How long a client should wait when nobody knows how long it will take.
const RETRY_LATER: Duration = Duration::from_secs(5);
/// Details quote what a client sent; answers and logs must not grow with it.
const MAX_DETAIL_CHARS: usize = 600;

impl ApiError {
    fn new(problem: Problem, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            problem,
            detail: bounded(detail.into()),
            errors: Vec::new(),
            wrong: Vec::new(),
            retry_after: None,
            cause: None,
        }
    }

    /// 400: it is not a request.
    pub fn malformed() -> Self {
        Self::new(
            Problem::Malformed,
            "this is not a valid HTTP/1.1 request: its first line or one of its headers cannot be read",
        )
    }

    /// 400: it asks for something that is never done, which `detail` names.
    pub fn refused(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Problem::Refused, detail)
    }

    /// 401: no key in `header`.
    pub fn not_authenticated(header: &str) -> Self {
        let detail = format!("Not authenticated: send your API key in the {header} header");
        Self::new(Problem::NotAuthenticated, detail)
    }

    /// 401: a key that no account has.
    pub fn invalid_key() -> Self {
        Self::new(Problem::InvalidKey, "Invalid API key")
    }

    /// 403: the account lacks what `detail` says.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Problem::Forbidden, detail)
    }

    /// 404: `detail` says what was not found, as "no trace has this id".
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Problem::NotFound, detail)
    }

    /// 405, for the router's fallback.
    pub fn method_not_allowed() -> Self {
        Self::new(Problem::MethodNotAllowed, "Method Not Allowed")
    }

    /// 408: the body stopped arriving.
    pub fn slow_request() -> Self {
        Self::new(
            Problem::SlowRequest,
            "the request body did not arrive in time",
        )
    }

    /// 409: it clashes with what `detail` names.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Problem::Conflict, detail)
    }

    /// 413: more than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            Problem::TooLarge,
            format!("the request body is larger than {limit} bytes"),
        )
    }

    /// 413: the account's sessions take up as much as they may.
    pub fn no_room() -> Self {
        Self::new(
            Problem::NoRoom,
            "your sessions take up all the room that they may; delete some with DELETE /traces/{id}, or ask \
             the operator to prune old ones (`commontrace sessions prune`) or to raise \
             COMMONTRACE_MAX_ACCOUNT_SESSION_BYTES",
        )
    }

    /// 414: the address is longer than hyper reads.
    pub fn uri_too_long() -> Self {
        Self::new(
            Problem::UriTooLong,
            "the path and query of the request are too long",
        )
    }

    /// 415: the body is compressed with `encoding`.
    pub fn compressed(encoding: &str) -> Self {
        Self::new(
            Problem::Compressed,
            format!(
                "request bodies must not be compressed: send the JSON as it is, \
                 without Content-Encoding: {encoding}"
            ),
        )
    }

    /// 422 for the request as a whole, without a field to point at.
    pub fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Problem::Invalid, detail)
    }

    /// 422: `field` is wrong, and `detail` says what it must be, as "must have 1 to 200 characters".
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let (field, detail) = (field.into(), detail.into());
        Self::invalid_fields(vec![FieldError { field, detail }])
    }

    /// 422: several fields are wrong.
    pub fn invalid_fields(mut errors: Vec<FieldError>) -> Self {
        let mut detail = String::new();
        for error in &mut errors {
            error.field = bounded(std::mem::take(&mut error.field).into()).into_owned();
            error.detail = bounded(std::mem::take(&mut error.detail).into()).into_owned();
            let separator = if detail.is_empty() { "" } else { "; " };
            write!(detail, "{separator}{}: {}", error.field, error.detail)
                .expect("writing to a string cannot fail");
        }
        Self {
            errors,
            ..Self::new(Problem::Invalid, detail)
        }
    }

    /// 422: these parts of a session are wrong. Here `detail` is the list, as clients that record sessions
    /// know it.
    pub fn wrong(wrong: Vec<Wrong>) -> Self {
        let sentence = self::wrong::sentence(&wrong);
        Self {
            wrong,
            ..Self::new(Problem::Invalid, sentence)
        }
    }

    /// 429: wait for `retry_after`.
    pub fn rate_limited(retry_after: Duration) -> Self {
        let seconds = whole_seconds(retry_after);
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                Problem::RateLimited,
                format!("too many requests; try again in {seconds} s"),
            )
        }
    }

    /// 431: more headers, or larger ones, than hyper reads.
    pub fn headers_too_large() -> Self {
        Self::new(
            Problem::HeadersTooLarge,
            "the request has more than 100 headers, or headers that are too large",
        )
    }

    /// Returns what went on inside, for who runs the program himself and has no log to look into.
    pub fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.detail)
    }

    /// 500; the cause goes to the log, not to the client.
    pub fn internal(cause: impl Into<String>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(
                Problem::Internal,
                "something went wrong on the server; its log has the cause under this request's id",
            )
        }
    }

    /// 500 after a panic, which the panic hook has reported already.
    pub(crate) fn panicked() -> Self {
        Self::internal("the handler panicked")
    }

    /// 503: the store cannot serve now; the cause goes to the log.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_LATER),
            cause: Some(cause.into()),
            ..Self::new(
                Problem::Unavailable,
                "the server cannot reach its storage right now; nothing was written, try again shortly",
            )
        }
    }

    /// 503: the server is not ready yet.
    pub fn starting() -> Self {
        Self {
            retry_after: Some(STARTING),
            ..Self::new(
                Problem::Unavailable,
                "the server is starting; nothing was written, try again shortly",
            )
        }
    }

    /// 503: the store was lost while it committed; the cause goes to the log.
    pub fn unsettled(cause: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_LATER),
            cause: Some(cause.into()),
            ..Self::new(
                Problem::Unsettled,
                "the server lost its storage while writing; the write may or may not have been done",
            )
        }
    }

    /// 503: the handler took longer than `limit`.
    pub fn timeout(limit: Duration) -> Self {
        Self {
            retry_after: Some(RETRY_LATER),
            cause: Some(format!("no answer within {} s", limit.as_secs_f32())),
            ..Self::new(
                Problem::Timeout,
                "the answer took too long; a write may or may not have been done",
            )
        }
    }

    /// Returns the status the client will see.
    pub fn status(&self) -> StatusCode {
        self.problem.row().status
    }
}

impl From<commontrace_store::Error> for ApiError {
    fn from(err: commontrace_store::Error) -> Self {
        if let commontrace_store::Error::Unsettled(_) = err {
            Self::unsettled(chain(&err))
        } else if err.is_unavailable() {
            Self::unavailable(chain(&err))
        } else {
            Self::internal(chain(&err))
        }
    }
}

/// Returns `wait` in whole seconds, rounded up and at least one: never too early for a retry.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    let partial = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + partial).max(1)
}

fn bounded(text: Cow<'static, str>) -> Cow<'static, str> {
    match text.char_indices().nth(MAX_DETAIL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::header;
    use axum::response::IntoResponse as _;
    use insta::assert_json_snapshot;
    use serde_json::Value;

    use super::*;

    async fn body(error: ApiError) -> Value {
        let response = error.into_response();
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn one_wrong_field_is_named_in_the_sentence_and_beside_it() {
        let error = ApiError::invalid("title", "must have 1 to 200 characters");
        assert_json_snapshot!(body(error).await, @r#"
        {
          "detail": "title: must have 1 to 200 characters",
          "field": "title",
          "status": 422,
          "title": "Invalid request",
          "type": "/docs/errors#invalid"
        }
        "#);
    }

    #[tokio::test]
    async fn several_wrong_fields_are_listed() {
        let error = |field: &str, detail: &str| FieldError {
            field: field.into(),
            detail: detail.into(),
        };
        let errors = vec![
            error("title", "is required"),
            error("tags[3]", "must not be empty"),
        ];
        assert_json_snapshot!(body(ApiError::invalid_fields(errors)).await, @r#"
        {
          "detail": "title: is required; tags[3]: must not be empty",
          "errors": [
            {
              "detail": "is required",
              "field": "title"
            },
            {
              "detail": "must not be empty",
              "field": "tags[3]"
            }
          ],
          "status": 422,
          "title": "Invalid request",
          "type": "/docs/errors#invalid"
        }
        "#);
    }

    #[tokio::test]
    async fn a_cause_stays_inside_and_a_long_detail_is_cut() {
        let answer = body(ApiError::internal("password=hunter2"))
            .await
            .to_string();
        assert!(!answer.contains("hunter2"), "{answer}");
        let answer = body(ApiError::not_found("é".repeat(1_000_000)))
            .await
            .to_string();
        assert!(answer.len() < 2_000);
    }

    #[test]
    fn a_retry_is_never_announced_too_early() {
        let header = |error: ApiError| error.into_response().headers()[header::RETRY_AFTER].clone();
        assert_eq!(
            header(ApiError::rate_limited(Duration::from_millis(1))),
            "1"
        );
        assert_eq!(
            header(ApiError::rate_limited(Duration::from_millis(2_001))),
            "3"
        );
        assert_eq!(header(ApiError::unavailable("disk full")), "5");
    }

    #[test]
    fn a_401_says_how_to_authenticate() {
        let response = ApiError::invalid_key().into_response();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "APIKey");
    }
}

//! How an error looks on the wire (RFC 9457), and in the documentation of the API.

use std::borrow::Cow;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, Operation};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::wrong::WrongBody;
use super::{ApiError, whole_seconds};
use crate::middleware::request_id;
use crate::openapi::problem_response;

/// What was wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// The part, as `title`, `tags[3]` or `limit`.
    pub field: String,
    /// What it must be.
    pub detail: String,
}

/// The body of an answer that is not a success (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemBody {
    /// Identifies the kind of problem: a reference to its description, relative to the server.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same few words for every problem of this kind.
    pub title: Cow<'static, str>,
    /// The status of the answer, repeated.
    pub status: u16,
    /// What was wrong this time, as one sentence to show to a person.
    pub detail: Cow<'static, str>,
    /// Under which the server's log has this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The part of the request that was wrong, when it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Every part that was wrong, when there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<FieldError>>,
}

/// The chain of causes behind a 5xx, carried beside the answer to the access log.
#[derive(Debug, Clone)]
pub struct FailureCause(pub String);

impl ApiError {
    /// Returns the body of the answer.
    pub(crate) fn into_json(mut self) -> Vec<u8> {
        self.json()
    }

    fn json(&mut self) -> Vec<u8> {
        let wrong = std::mem::take(&mut self.wrong);
        let body = self.body();
        if wrong.is_empty() {
            return serde_json::to_vec(&body).expect("a problem has only string keys");
        }
        let body = WrongBody::new(body, wrong);
        serde_json::to_vec(&body).expect("a problem has only string keys")
    }

    fn body(&mut self) -> ProblemBody {
        let row = self.problem.row();
        let errors = std::mem::take(&mut self.errors);
        ProblemBody {
            kind: format!("/docs/errors#{}", row.slug),
            title: row.title.into(),
            status: row.status.as_u16(),
            detail: std::mem::take(&mut self.detail),
            request_id: request_id::current(),
            field: match &errors[..] {
                [one] => Some(one.field.clone()),
                _ => None,
            },
            errors: (errors.len() > 1).then_some(errors),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(mut self) -> Response {
        let body = self.json();
        let problem_json = HeaderValue::from_static("application/problem+json");
        let mut response =
            (self.status(), [(header::CONTENT_TYPE, problem_json)], body).into_response();
        let headers = response.headers_mut();
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("APIKey"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, whole_seconds(wait).into());
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(FailureCause(cause));
        }
        response
    }
}

/// Any handler may fail, or find the store away; the other problems are documented by the
/// extractors and handlers that cause them.
impl OperationOutput for ApiError {
    type Inner = ProblemBody;

    fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        Some(problem_response(ctx))
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<openapi::StatusCode>, openapi::Response)> {
        [500, 503]
            .map(|code| (Some(openapi::StatusCode::Code(code)), problem_response(ctx)))
            .into()
    }
}

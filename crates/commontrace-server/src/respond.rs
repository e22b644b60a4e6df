//! Answers with a status other than 200, so that a handler's signature says which.

use std::marker::PhantomData;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, Operation};
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use schemars::JsonSchema;
use serde::Serialize;

/// 201 with a body.
#[derive(Debug)]
pub struct Created<T>(pub T);

/// 202 with a body.
#[derive(Debug)]
pub struct Accepted<T>(pub T);

/// 204.
#[derive(Debug)]
pub struct NoContent;

macro_rules! with_body {
    ($name:ident, $status:expr) => {
        impl<T: Serialize> IntoResponse for $name<T> {
            fn into_response(self) -> Response {
                ($status, Json(self.0)).into_response()
            }
        }

        impl<T: JsonSchema> OperationOutput for $name<T> {
            type Inner = T;

            fn operation_response(
                ctx: &mut GenContext,
                operation: &mut Operation,
            ) -> Option<openapi::Response> {
                Json::<T>::operation_response(ctx, operation)
            }

            fn inferred_responses(
                ctx: &mut GenContext,
                operation: &mut Operation,
            ) -> Vec<(Option<openapi::StatusCode>, openapi::Response)> {
                let status = openapi::StatusCode::Code($status.as_u16());
                Self::operation_response(ctx, operation)
                    .map(|response| (Some(status), response))
                    .into_iter()
                    .collect()
            }
        }
    };
}

with_body!(Created, StatusCode::CREATED);
with_body!(Accepted, StatusCode::ACCEPTED);

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl OperationOutput for NoContent {
    type Inner = ();

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        Some(openapi::Response {
            description: "done".to_owned(),
            ..Default::default()
        })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<openapi::StatusCode>, openapi::Response)> {
        let status = openapi::StatusCode::Code(StatusCode::NO_CONTENT.as_u16());
        Self::operation_response(ctx, operation)
            .map(|response| (Some(status), response))
            .into_iter()
            .collect()
    }
}

/// 200 with a body that is sent while it is made; `T` says what it is.
#[derive(Debug)]
pub struct Streamed<T>(Body, PhantomData<T>);

impl<T> Streamed<T> {
    /// Sends chunks of JSON.
    pub fn json(
        chunks: impl Stream<Item = Result<Bytes, axum::BoxError>> + Send + 'static,
    ) -> Self {
        Self(Body::from_stream(chunks), PhantomData)
    }
}

impl<T> IntoResponse for Streamed<T> {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], self.0).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for Streamed<T> {
    type Inner = T;

    fn operation_response(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Option<openapi::Response> {
        Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<openapi::StatusCode>, openapi::Response)> {
        Json::<T>::inferred_responses(ctx, operation)
    }
}

/// 200 with bytes as they are kept, for programs and not for browsers to show; 304 for who has them.
#[derive(Debug)]
pub struct Download {
    /// The bytes and what a file with them is called; nothing for who has them.
    content: Option<(Vec<u8>, String)>,
    /// What tells them from others.
    tag: String,
}

impl Download {
    /// Sends bytes. `name` and `tag` have only letters, digits, dots and hyphens.
    pub fn new(bytes: Vec<u8>, name: String, tag: String) -> Self {
        Self {
            content: Some((bytes, name)),
            tag,
        }
    }

    /// Says that the client has them.
    pub fn not_modified(tag: String) -> Self {
        Self { content: None, tag }
    }

    /// Returns whether the client says that it has what this tag is of.
    pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
        let quoted = format!("\"{tag}\"");
        headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|part| part == "*" || part.strip_prefix("W/").unwrap_or(part) == quoted)
    }
}

impl IntoResponse for Download {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.tag)) {
            headers.insert(header::ETAG, tag);
        }
        let Some((bytes, name)) = self.content else {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        };
        let kind = HeaderValue::from_static(OCTETS);
        headers.insert(header::CONTENT_TYPE, kind);
        let disposition = format!("attachment; filename=\"{name}\"");
        if let Ok(disposition) = HeaderValue::from_str(&disposition) {
            headers.insert(header::CONTENT_DISPOSITION, disposition);
        }
        (headers, bytes).into_response()
    }
}

/// How bytes are called where content is described.
const OCTETS: &str = "application/octet-stream";

impl OperationOutput for Download {
    type Inner = Self;

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        let content = openapi::MediaType::default();
        Some(openapi::Response {
            description: "The bytes, as they are kept.".to_owned(),
            content: [(OCTETS.to_owned(), content)].into_iter().collect(),
            ..Default::default()
        })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<openapi::StatusCode>, openapi::Response)> {
        let unchanged = openapi::Response {
            description: "The client has them, by its `If-None-Match`.".to_owned(),
            ..Default::default()
        };
        Self::operation_response(ctx, operation)
            .map(|response| (Some(openapi::StatusCode::Code(200)), response))
            .into_iter()
            .chain([(Some(openapi::StatusCode::Code(304)), unchanged)])
            .collect()
    }
}

/// 200 with server-sent events; `T` says what one of them is.
#[derive(Debug)]
pub struct EventStream<T>(Body, PhantomData<T>);

/// How they are called where content is described.
const EVENT_STREAM: &str = "text/event-stream";

impl<T> EventStream<T> {
    /// Sends events, each of which is whole.
    pub fn new(events: impl Stream<Item = Result<Bytes, axum::BoxError>> + Send + 'static) -> Self {
        Self(Body::from_stream(events), PhantomData)
    }
}

impl<T> IntoResponse for EventStream<T> {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        (headers, self.0).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for EventStream<T> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        let schema = openapi::SchemaObject {
            json_schema: ctx.schema.subschema_for::<T>(),
            example: None,
            external_docs: None,
        };
        let content = openapi::MediaType {
            schema: Some(schema),
            ..Default::default()
        };
        Some(openapi::Response {
            description: "Events, until the last one.".to_owned(),
            content: [(EVENT_STREAM.to_owned(), content)].into_iter().collect(),
            ..Default::default()
        })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<openapi::StatusCode>, openapi::Response)> {
        Self::operation_response(ctx, operation)
            .map(|response| (Some(openapi::StatusCode::Code(200)), response))
            .into_iter()
            .collect()
    }
}

/// 200 or 503 with the same kind of body.
#[derive(Debug)]
pub struct MaybeUnavailable<T> {
    /// Whether it is 200.
    pub available: bool,
    /// The body in either case.
    pub body: T,
}

impl<T: Serialize> IntoResponse for MaybeUnavailable<T> {
    fn into_response(self) -> Response {
        let status = if self.available {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, Json(self.body)).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for MaybeUnavailable<T> {
    type Inner = T;

    fn operation_response(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Option<openapi::Response> {
        Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<openapi::StatusCode>, openapi::Response)> {
        [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE]
            .into_iter()
            .filter_map(|status| {
                let status = openapi::StatusCode::Code(status.as_u16());
                Some((Some(status), Self::operation_response(ctx, operation)?))
            })
            .collect()
    }
}

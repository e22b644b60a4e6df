//! JSON in and out. A body is an object; one that is not what it must be is answered with 422 and the field's name.

use std::marker::PhantomData;
use std::time::Duration;

use aide::generate::GenContext;
use aide::openapi::{Operation, ReferenceOr, Response, StatusCode};
use aide::{OperationInput, OperationOutput};
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::describe;
use crate::error::ApiError;
use crate::middleware::body::as_too_large;
use crate::openapi::problem_responses;

/// Time in which a whole body must have arrived.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// A JSON body: of the request as an argument, of the answer as a result.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = receive(request).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body as text, for handlers that keep it as it was sent. `T` is what it should be.
#[derive(Debug)]
pub struct JsonText<T> {
    /// The body.
    pub text: String,
    kind: PhantomData<T>,
}

impl<T, S: Send + Sync> FromRequest<S> for JsonText<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = receive(request).await?;
        if bytes.trim_ascii().is_empty() {
            return Err(ApiError::unprocessable(
                "a JSON body is required, and it is empty",
            ));
        }
        match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(Self {
                text,
                kind: PhantomData,
            }),
            Err(_) => Err(ApiError::unprocessable("the body is not UTF-8")),
        }
    }
}

impl<T: JsonSchema> OperationInput for JsonText<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::Json::<T>::operation_input(ctx, operation);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<StatusCode>, Response)> {
        problem_responses(ctx, &[408, 413, 415])
    }
}

/// A JSON body as text, or none: a request without a body need not say that it is JSON.
#[derive(Debug)]
pub struct OptionalJsonText<T> {
    /// The body, if there is one.
    pub text: Option<String>,
    kind: PhantomData<T>,
}

impl<T, S: Send + Sync> FromRequest<S> for OptionalJsonText<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let bytes = read(request.into_body()).await?;
        let text = if bytes.trim_ascii().is_empty() {
            None
        } else {
            check_kind(&headers)?;
            let text = String::from_utf8(bytes.into());
            Some(text.map_err(|_| ApiError::unprocessable("the body is not UTF-8"))?)
        };
        Ok(Self {
            text,
            kind: PhantomData,
        })
    }
}

impl<T: JsonSchema> OperationInput for OptionalJsonText<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::Json::<T>::operation_input(ctx, operation);
        if let Some(ReferenceOr::Item(body)) = &mut operation.request_body {
            body.required = false;
        }
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<StatusCode>, Response)> {
        problem_responses(ctx, &[408, 413, 415])
    }
}

/// Receives a body that says it is JSON.
async fn receive(request: Request) -> Result<Bytes, ApiError> {
    check_kind(request.headers())?;
    read(request.into_body()).await
}

fn check_kind(headers: &HeaderMap) -> Result<(), ApiError> {
    if !is_json(headers) {
        return Err(ApiError::unprocessable(
            "the body must be JSON and say so: Content-Type: application/json",
        ));
    }
    match encoding(headers) {
        Some(encoding) => Err(ApiError::compressed(&encoding)),
        None => Ok(()),
    }
}

/// Returns whether the content type is `application/json` or ends in `+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let Some(value) = value.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("application", "json")) => true,
        Some((_, subtype)) => subtype.ends_with("+json"),
        None => false,
    }
}

/// Returns how the body is compressed, if it is.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_ENCODING)?;
    let value = String::from_utf8_lossy(value.as_bytes());
    let plain = ["", "identity"]
        .iter()
        .any(|plain| value.trim().eq_ignore_ascii_case(plain));
    (!plain).then(|| value.into_owned())
}

/// Receives a body, whatever it is, in the time that one may take.
pub(crate) async fn read(body: Body) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(READ_WITHIN, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(err)) => Err(as_too_large(err)
            .unwrap_or_else(|| ApiError::unprocessable("the body ended before it was complete"))),
        Err(_) => Err(ApiError::slow_request()),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    match bytes.trim_ascii_start().first() {
        None => {
            return Err(ApiError::unprocessable(
                "a JSON body is required, and it is empty",
            ));
        }
        Some(b'{') => {}
        // Deserialising would take an array for a struct, its elements for the fields.
        Some(_) => {
            return Err(match serde_json::from_slice::<IgnoredAny>(bytes) {
                Ok(_) => ApiError::unprocessable("the body must be a JSON object"),
                Err(err) => refusal(".", &err),
            });
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|err| {
        let path = err.path().to_string();
        let err = err.into_inner();
        // A value of the wrong type for an enumeration is reported as a fault of syntax.
        let no_variant = err.is_syntax() && err.to_string().starts_with("expected value");
        if no_variant && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
            return ApiError::invalid(path, "is not of the type that is asked for");
        }
        refusal(&path, &err)
    })?;
    deserializer.end().map_err(|err| refusal(".", &err))?;
    Ok(value)
}

fn refusal(path: &str, err: &serde_json::Error) -> ApiError {
    let position = format!(" at line {} column {}", err.line(), err.column());
    let text = err.to_string();
    let message = text.strip_suffix(&position).unwrap_or(&text);
    match err.classify() {
        Category::Data => {
            let wrong = describe::refusal(path, message);
            match wrong.field {
                Some(field) => ApiError::invalid(field, wrong.detail),
                None => ApiError::unprocessable(format!("the body: {}", wrong.detail)),
            }
        }
        Category::Syntax | Category::Eof | Category::Io => {
            ApiError::unprocessable(format!("the body is not valid JSON: {message}{position}"))
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: JsonSchema> OperationInput for Json<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::Json::<T>::operation_input(ctx, operation);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<StatusCode>, Response)> {
        problem_responses(ctx, &[408, 413, 415, 422])
    }
}

impl<T: JsonSchema> OperationOutput for Json<T> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<Response> {
        axum::Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<StatusCode>, Response)> {
        axum::Json::<T>::inferred_responses(ctx, operation)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::Request;
    use axum::routing::post as route;
    use rstest::rstest;
    use serde::Deserialize;

    use super::*;
    use crate::testing::{post, send};

    #[derive(Debug, Deserialize)]
    struct Note {
        title: String,
    }

    fn router() -> Router {
        Router::new().route("/", route(async |Json(note): Json<Note>| note.title))
    }

    #[rstest]
    #[case("application/json", 200)]
    #[case("application/json; charset=utf-8", 200)]
    #[case("Application/Problem+JSON", 200)]
    #[case("text/plain", 422)]
    #[case("application/jsonp", 422)]
    #[case("json", 422)]
    #[tokio::test]
    async fn only_a_body_that_says_it_is_json_is_read_as_json(
        #[case] content_type: &str,
        #[case] status: u16,
    ) {
        let request = Request::post("/").header("content-type", content_type);
        let request = request.body(Body::from(r#"{"title": "a"}"#)).unwrap();
        assert_eq!(send(&router(), request).await.status, status);
    }

    #[rstest]
    #[case("gzip", 415)]
    #[case("GZIP, br", 415)]
    #[case("identity", 200)]
    #[case("", 200)]
    #[tokio::test]
    async fn a_compressed_body_is_refused_for_being_compressed(
        #[case] encoding: &str,
        #[case] status: u16,
    ) {
        let request = Request::post("/")
            .header("content-type", "application/json")
            .header("content-encoding", encoding);
        let request = request.body(Body::from(r#"{"title": "a"}"#)).unwrap();
        let answer = send(&router(), request).await;
        assert_eq!(answer.status, status);
        if status == 415 {
            let detail = answer.detail();
            assert!(
                detail.contains("must not be compressed") && detail.contains(encoding),
                "{detail}"
            );
        }
    }

    #[rstest]
    #[case("", "a JSON body is required, and it is empty")]
    #[case(" \n", "a JSON body is required, and it is empty")]
    #[case("[\"a\"]", "the body must be a JSON object")]
    #[case("null", "the body must be a JSON object")]
    #[case(
        "nul",
        "the body is not valid JSON: EOF while parsing a value at line 1 column 3"
    )]
    #[case(
        "{\"title\": \"a\"}}",
        "the body is not valid JSON: trailing characters at line 1 column 15"
    )]
    #[case(
        "{\n\"title\": \"a",
        "the body is not valid JSON: EOF while parsing a string at line 2 column 11"
    )]
    #[case(
        r#"{"title": "\ud800"}"#,
        "the body is not valid JSON: unexpected end of hex escape at line 1 column 18"
    )]
    #[case("{}", "title: is required")]
    #[tokio::test]
    async fn a_bad_body_is_answered_with_422_and_the_reason(
        #[case] body: &'static str,
        #[case] detail: &str,
    ) {
        let answer = post(&router(), "/", body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.detail().as_str()),
            (422, detail)
        );
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_and_deep_nesting_are_422_too() {
        for body in [
            vec![b'{', 0xff, b'}'],
            b"{\"title\": \"\xff\"}".to_vec(),
            vec![b'['; 100_000],
        ] {
            assert_eq!(post(&router(), "/", body).await.status, 422);
        }
    }

    #[tokio::test]
    async fn unknown_members_are_ignored() {
        let answer = post(&router(), "/", r#"{"title": "a", "colour": {"deep": [1]}}"#).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "a"));
    }
}

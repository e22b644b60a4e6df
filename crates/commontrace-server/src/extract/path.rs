//! Path parameters. One that does not parse is answered with 422 and its name.

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response, StatusCode};
use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::openapi::{note_path_schema, problem_responses};

/// The parameters in the path: one value, a tuple of them in their order, or a struct.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(err)) => Err(refusal(err.into_kind())),
            Err(other) => Err(ApiError::internal(format!("path parameters: {other}"))),
        }
    }
}

fn refusal(kind: ErrorKind) -> ApiError {
    match kind {
        ErrorKind::InvalidUtf8InPathParam { key } => ApiError::invalid(key, "must be UTF-8"),
        ErrorKind::DeserializeError { key, message, .. } => ApiError::invalid(key, plain(&message)),
        ErrorKind::ParseErrorAtKey {
            key, expected_type, ..
        } => ApiError::invalid(key, format!("must be of type {expected_type}")),
        ErrorKind::ParseErrorAtIndex { expected_type, .. }
        | ErrorKind::ParseError { expected_type, .. } => {
            ApiError::invalid("path", format!("must be of type {expected_type}"))
        }
        ErrorKind::Message(message) => ApiError::invalid("path", plain(&message)),
        // The handler asks for other parameters than its route has.
        other => ApiError::internal(format!("path parameters: {other}")),
    }
}

/// The parser of UUIDs counts groups and characters; a client only needs to know what is wanted.
fn plain(message: &str) -> &str {
    if message.starts_with("UUID parsing failed") {
        "must be a UUID"
    } else {
        message
    }
}

impl<T: JsonSchema> OperationInput for Path<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        note_path_schema::<T>(ctx, operation);
    }

    /// Whatever an id names may not exist.
    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<StatusCode>, Response)> {
        problem_responses(ctx, &[404, 422])
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get as route;
    use commontrace_core::{AmendmentId, TraceId};

    use super::*;
    use crate::testing::get;

    const ID: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";

    fn router() -> Router {
        let pair = async |Path((trace, amendment)): Path<(TraceId, AmendmentId)>| {
            format!("{trace} {amendment}")
        };
        Router::new()
            .route(
                "/traces/{id}",
                route(async |Path(id): Path<TraceId>| id.to_string()),
            )
            .route("/traces/{id}/amendments/{amendment}", route(pair))
    }

    #[tokio::test]
    async fn ids_are_read_in_their_order() {
        assert_eq!(get(&router(), &format!("/traces/{ID}")).await.body, ID);
        let answer = get(
            &router(),
            &format!("/traces/{ID}/amendments/{}", ID.replace('3', "4")),
        )
        .await;
        assert_eq!(answer.body, format!("{ID} {}", ID.replace('3', "4")));
    }

    #[tokio::test]
    async fn an_id_that_is_none_is_answered_with_422_and_its_name() {
        for path in [
            "/traces/42",
            "/traces/%00",
            "/traces/%F0%9F%98%80",
            &format!("/traces/{ID}0"),
        ] {
            let answer = get(&router(), path).await;
            assert_eq!(
                (answer.status.as_u16(), answer.detail().as_str()),
                (422, "id: must be a UUID")
            );
        }
        let answer = get(&router(), &format!("/traces/{ID}/amendments/x")).await;
        assert_eq!(answer.detail(), "amendment: must be a UUID");
        let answer = get(&router(), "/traces/%ff").await;
        assert_eq!(answer.detail(), "id: must be UTF-8");
    }
}

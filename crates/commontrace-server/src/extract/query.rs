//! Query parameters. One that does not parse is answered with 422 and its name; unknown ones are
//! ignored.

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response, StatusCode};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::describe;
use crate::error::ApiError;
use crate::openapi::problem_responses;

/// The parameters after the `?`, as a struct.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let deserializer = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(deserializer).map_err(|err| {
        let path = err.path().to_string();
        let wrong = describe::refusal(&path, &err.into_inner().to_string());
        ApiError::invalid(wrong.field.unwrap_or_else(|| "query".into()), wrong.detail)
    })
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::extract::Query::<T>::operation_input(ctx, operation);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<StatusCode>, Response)> {
        problem_responses(ctx, &[422])
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct List {
        limit: Option<u8>,
        tag: Option<String>,
        mine: Option<bool>,
    }

    #[test]
    fn known_parameters_are_read_and_unknown_ones_ignored() {
        let list: List = parse("limit=5&tag=c%2B%2B+20&mine=true&utm_source=x&%ff=%00").unwrap();
        assert_eq!(
            (list.limit, list.tag.as_deref(), list.mine),
            (Some(5), Some("c++ 20"), Some(true))
        );
    }

    #[rstest]
    #[case("limit=five", ("limit", "must be a whole number"))]
    #[case("limit=", ("limit", "must be a whole number, not empty"))]
    #[case("limit=256", ("limit", "is too large"))]
    #[case("mine=maybe", ("mine", "must be `true` or `false`"))]
    #[case("limit=1&limit=2", ("limit", "is given more than once"))]
    fn a_parameter_that_does_not_parse_is_named(
        #[case] query: &str,
        #[case] expected: (&str, &str),
    ) {
        let expected = ApiError::invalid(expected.0, expected.1);
        assert_eq!(
            format!("{:?}", parse::<List>(query).unwrap_err()),
            format!("{expected:?}")
        );
    }
}

//! What is answered where no route is.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;

/// Sends a path with a slash at its end to the same path without, and answers 404 to the rest.
pub async fn unknown_path(uri: Uri) -> Response {
    match without_trailing_slash(&uri) {
        Some(bare) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, bare)]).into_response(),
        None => ApiError::not_found("Not Found").into_response(),
    }
}

/// Answers 405; the router adds `Allow`.
pub async fn method_not_allowed() -> ApiError {
    ApiError::method_not_allowed()
}

fn without_trailing_slash(uri: &Uri) -> Option<String> {
    let bare = uri.path().strip_suffix('/')?;
    // A browser reads a second slash, or a backslash, as the beginning of another host's name.
    let mut chars = bare.chars();
    if chars.next() != Some('/') || chars.next().is_none_or(|c| c == '/' || c == '\\') {
        return None;
    }
    Some(match uri.query() {
        Some(query) => format!("{bare}?{query}"),
        None => bare.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/api/v1/tags/", Some("/api/v1/tags"))]
    #[case(
        "/api/v1/tags/?prefix=py&limit=2",
        Some("/api/v1/tags?prefix=py&limit=2")
    )]
    #[case("/api/v1/tags", None)]
    #[case("/", None)]
    #[case("//", None)]
    #[case("//evil.example/", None)]
    #[case("/\\evil.example/", None)]
    fn only_a_path_of_this_host_is_redirected(#[case] from: &str, #[case] to: Option<&str>) {
        match from.parse() {
            Ok(uri) => assert_eq!(without_trailing_slash(&uri).as_deref(), to),
            Err(_) => assert_eq!(to, None, "{from} is no request target"),
        }
    }
}

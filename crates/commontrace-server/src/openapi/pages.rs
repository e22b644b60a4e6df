//! The pages for people: the API's reference and the list of its errors. Everything they need comes
//! from this binary.

use std::fmt::Write as _;

use aide::redoc::Redoc;
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use serde_json::Value;

use crate::error::Problem;

/// The page runs one script of ours and talks to nobody else.
const REFERENCE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
    style-src 'unsafe-inline'; img-src 'self' data:; font-src data:; connect-src 'self'; \
    worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const ERRORS_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
/// The only thing the bundled viewer would fetch from elsewhere, and what it shows instead: nothing.
const REMOTE_LOGO: &str = "https://cdn.redoc.ly/redoc/logo-mini.svg";
const NO_LOGO: &str = "data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22/%3E";

/// Routes of the description and of the pages that show it.
pub fn routes<S>(document: &Value) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route(
            "/openapi.json",
            page("application/json", "", document.to_string()),
        )
        .route(
            "/docs",
            page("text/html; charset=utf-8", REFERENCE_POLICY, reference()),
        )
        .route(
            "/docs/errors",
            page("text/html; charset=utf-8", ERRORS_POLICY, errors()),
        )
}

fn page<S>(content_type: &'static str, policy: &'static str, body: String) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let body = Bytes::from(body);
    get(async move || {
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        (headers, body).into_response()
    })
}

fn reference() -> String {
    let redoc = Redoc::new("/openapi.json").with_title("CommonTrace API");
    redoc.html().replace(REMOTE_LOGO, NO_LOGO)
}

fn errors() -> String {
    let mut list = String::new();
    for problem in Problem::ALL {
        let row = problem.row();
        write!(
            list,
            "<h2 id=\"{slug}\">{status} {title}</h2>\n<p>{advice}</p>\n",
            slug = row.slug,
            status = row.status.as_u16(),
            title = row.title,
            advice = row.advice,
        )
        .expect("writing to a string cannot fail");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"UTF-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Errors of the CommonTrace API</title>\n\
         <style>body {{ font: 1rem/1.5 sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem }} \
         :target {{ background: #fe9 }}</style>\n</head>\n<body>\n\
         <h1>Errors of the CommonTrace API</h1>\n\
         <p>An answer that is not a success is a JSON object with a sentence in <code>detail</code> \
         and a <code>type</code> that points here.</p>\n{list}</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_loads_nothing_from_elsewhere() {
        let html = reference();
        assert!(!html.contains("cdn.redoc.ly"));
        assert!(!html.contains("<link") && !html.contains("src=\"http"));
        assert!(html.contains("Redoc.init(\"/openapi.json\""));
    }

    #[test]
    fn every_problem_has_its_anchor() {
        let html = errors();
        for problem in Problem::ALL {
            assert!(html.contains(&format!("id=\"{}\"", problem.row().slug)));
        }
    }
}

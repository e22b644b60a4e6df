//! Headers that handlers read.

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema};
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use schemars::JsonSchema;

use crate::app::App;
use crate::error::ApiError;

const BEARER: &[u8] = b"Bearer ";

/// The key that the request was made with, as sent. Only together with a caller that checked it.
#[derive(Clone)]
pub struct RawKey(pub Vec<u8>);

impl FromRequestParts<App> for RawKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let header = &app.settings.api_key_header;
        let key =
            sent_key(&parts.headers, header).ok_or_else(|| ApiError::not_authenticated(header))?;
        Ok(Self(key.to_vec()))
    }
}

/// Returns the key that was sent: in `header`, or as `Authorization: Bearer`.
pub fn sent_key<'h>(headers: &'h HeaderMap, header: &str) -> Option<&'h [u8]> {
    let own = headers.get(header).map(HeaderValue::as_bytes);
    let bearer = || {
        let (scheme, key) = headers
            .get(AUTHORIZATION)?
            .as_bytes()
            .split_at_checked(BEARER.len())?;
        scheme
            .eq_ignore_ascii_case(BEARER)
            .then(|| key.trim_ascii())
    };
    own.filter(|key| !key.is_empty())
        .or_else(bearer)
        .filter(|key| !key.is_empty())
}

impl OperationInput for RawKey {}

/// The client's name for a request that may come twice and must act once.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub Option<String>);

/// How the header is described.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct IdempotencyHeader {
    /// Any word of 1 to 255 visible ASCII characters. A request repeated with the same key within
    /// 48 hours is answered as the first time and not carried out again.
    #[serde(rename = "Idempotency-Key")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[!-~]+$"))]
    key: Option<String>,
}

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        match value.to_str() {
            Ok(key)
                if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                Ok(Self(Some(key.to_owned())))
            }
            _ => Err(ApiError::invalid(
                "Idempotency-Key",
                "must have 1 to 255 visible ASCII characters",
            )),
        }
    }
}

impl OperationInput for IdempotencyKey {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = ctx.schema.subschema_for::<IdempotencyHeader>();
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Header);
        add_parameters(ctx, operation, parameters);
    }
}

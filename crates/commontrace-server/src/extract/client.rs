//! The network address a request came from, and the limits that go by it.

use std::net::{IpAddr, Ipv4Addr};

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response, StatusCode};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use commontrace_core::token_bucket::Decision;

use crate::app::App;
use crate::error::ApiError;
use crate::limiter::{Class, ClientAddress, Subject};
use crate::middleware::client_address::ClientIp;
use crate::middleware::rate_limit;
use crate::openapi::problem_responses;

/// The address of the client, or of its proxy if that is not trusted.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub ClientAddress);

impl Client {
    fn of(parts: &Parts) -> Self {
        // Absent only where a test leaves the layers out.
        let ip = parts.extensions.get::<ClientIp>();
        let ip = ip.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |client| client.0);
        Self(ip.into())
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self::of(parts))
    }
}

impl OperationInput for Client {}

/// Somebody who registers: no key, one token of the address's registrations.
#[derive(Debug, Clone, Copy)]
pub struct Registrant(pub ClientAddress);

impl FromRequestParts<App> for Registrant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Client(address) = Client::of(parts);
        take(app, parts, Subject::Address(address), Class::Register).await?;
        Ok(Self(address))
    }
}

impl OperationInput for Registrant {
    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<StatusCode>, Response)> {
        problem_responses(ctx, &[429])
    }
}

/// Takes a token and notes the decision for the `RateLimit` headers of the answer.
pub(super) async fn take(
    app: &App,
    parts: &Parts,
    subject: Subject,
    class: Class,
) -> Result<(), ApiError> {
    let limit = app.settings.limit(class);
    let decision: Decision = app
        .limiter
        .take(subject, class, limit, app.clock.now())
        .await;
    rate_limit::note(&parts.extensions, class, limit, decision);
    if decision.allowed {
        Ok(())
    } else {
        Err(ApiError::rate_limited(decision.retry_after))
    }
}

/// Takes a token of the address for a key that no account has, and returns what to answer.
pub(super) async fn refuse_key(app: &App, parts: &Parts) -> ApiError {
    let Client(address) = Client::of(parts);
    match take(app, parts, Subject::Address(address), Class::FailedKey).await {
        Ok(()) => ApiError::invalid_key(),
        Err(too_many) => too_many,
    }
}

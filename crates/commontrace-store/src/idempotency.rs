//! Requests that may come twice and must act once.

use chrono::{DateTime, Utc};
use commontrace_core::UserId;
use serde_json::Value;
use sqlx::types::Json;

use crate::tx::{Tx, on_tx};
use crate::{Error, Result};

/// A request that may come twice and must act once.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The client's key for the request.
    pub key: String,
    /// A hash of the request's content.
    pub request_hash: Vec<u8>,
    /// The answer to give again when the request comes again.
    pub response: Value,
}

/// What was asked under a key before.
pub(crate) enum Earlier {
    /// The same; this was its answer.
    Answered(Value),
    /// Something else.
    Other,
}

/// Notes the request and its answer, unless one with its key was noted before, which is returned. Of
/// two at the same time the later one waits for the earlier one.
pub(crate) async fn remember(
    tx: &mut Tx<'_>,
    user: UserId,
    request: &Idempotency,
    now: DateTime<Utc>,
) -> Result<Option<Earlier>> {
    let noted = on_tx!(tx, |db| sqlx::query(
        "INSERT INTO idempotency_keys (user_id, key, request_hash, response, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, key) DO NOTHING",
    )
    .bind(user)
    .bind(&request.key)
    .bind(&request.request_hash)
    .bind(Json(&request.response))
    .bind(now)
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0))?;
    if noted {
        return Ok(None);
    }
    let earlier = recall(tx, user, request).await?;
    Ok(Some(earlier.unwrap_or(Earlier::Other)))
}

/// Notes a request that was carried out, and its answer. If one with its key was noted meanwhile, the
/// transaction is undone and runs again, and then [`recall`]s that one.
pub(crate) async fn remember_done(
    tx: &mut Tx<'_>,
    user: UserId,
    request: &Idempotency,
    now: DateTime<Utc>,
) -> Result<()> {
    match remember(tx, user, request, now).await? {
        None => Ok(()),
        Some(_) => Err(Error::Undone(
            "another request with the same Idempotency-Key came first".to_owned(),
        )),
    }
}

/// Returns what was asked earlier under this request's key, if anything was.
pub(crate) async fn recall(
    tx: &mut Tx<'_>,
    user: UserId,
    request: &Idempotency,
) -> Result<Option<Earlier>> {
    let noted: Option<(Vec<u8>, Json<Value>)> = on_tx!(tx, |db| sqlx::query_as(
        "SELECT request_hash, response FROM idempotency_keys WHERE user_id = $1 AND key = $2"
    )
    .bind(user)
    .bind(&request.key)
    .fetch_optional(db)
    .await)?;
    Ok(noted.map(|(hash, Json(response))| {
        if hash == request.request_hash {
            Earlier::Answered(response)
        } else {
            Earlier::Other
        }
    }))
}

//! Registering and API keys.

use axum::Json as JsonBody;
use axum::extract::State;
use commontrace_api::keys::{Register, Registered, Rotated, Verified};
use commontrace_core::text::clean_line;
use commontrace_core::{UserId, email};
use commontrace_store::{CreateAccount, NewAccount};

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Json, Keyed, RawKey, Registrant};
use crate::intake::Redactor;
use crate::respond::{Created, NoContent};

/// Creates an account and its key.
pub async fn register(
    State(app): State<App>,
    _registrant: Registrant,
    Json(body): Json<Register>,
) -> ApiResult<Created<Registered>> {
    let email = body
        .email
        .map(|email| email::normalize(&email))
        .transpose()
        .map_err(|fault| ApiError::invalid("email", fault))?;
    let display_name = body
        .display_name
        .map(|name| clean_line(&Redactor::default().text("display_name", &name)))
        .filter(|name| !name.is_empty());
    let key = app.api_keys.generate(&app.ids);
    let can_contribute = app.settings.open_publishing;
    let new = NewAccount {
        id: app.ids.id(),
        email,
        display_name,
        can_contribute,
        is_moderator: false,
        is_seed: false,
        key_hash: Some(app.api_keys.hash(key.as_bytes()).to_vec()),
    };
    let user_id: UserId = new.id;
    // Its first reads are to find it, too.
    let store = app.store.for_writes_of(user_id);
    match store.create_account(new, app.clock.now()).await? {
        CreateAccount::EmailTaken => Err(ApiError::conflict(
            "an account with this e-mail address exists already; use its key, or register without an address",
        )),
        CreateAccount::Created => Ok(Created(Registered {
            message: format!(
                "Keep this key: it is shown only now. Send it in the {} header.",
                app.settings.api_key_header
            ),
            api_key: key,
            user_id,
            can_contribute,
        })),
    }
}

/// Says whose key the request carries.
pub async fn verify(caller: Keyed) -> JsonBody<Verified> {
    JsonBody(Verified {
        valid: true,
        user_id: caller.id,
    })
}

/// Replaces the request's key by a new one.
pub async fn rotate(
    State(app): State<App>,
    caller: Keyed,
    RawKey(old): RawKey,
) -> ApiResult<JsonBody<Rotated>> {
    let key = app.api_keys.generate(&app.ids);
    let (old, new) = (
        app.api_keys.hash(&old).to_vec(),
        app.api_keys.hash(key.as_bytes()).to_vec(),
    );
    // Revoked between the check and now: the same answer as a moment later.
    if !caller
        .store()
        .rotate_key(caller.id, old, new, app.clock.now())
        .await?
    {
        return Err(ApiError::invalid_key());
    }
    Ok(JsonBody(Rotated {
        api_key: key,
        user_id: caller.id,
    }))
}

/// Revokes the request's key.
pub async fn revoke(
    State(app): State<App>,
    caller: Keyed,
    RawKey(key): RawKey,
) -> ApiResult<NoContent> {
    caller
        .store()
        .revoke_key(app.api_keys.hash(&key).to_vec(), app.clock.now())
        .await?;
    Ok(NoContent)
}

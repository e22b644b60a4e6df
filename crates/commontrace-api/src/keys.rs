//! Registering and API keys.

use commontrace_core::UserId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Line;

/// Asks for an account and its key. Everything is optional.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Register {
    /// An e-mail address nobody else has registered; no mail is sent to it.
    #[schemars(email)]
    pub email: Option<Line<3, 254>>,
    /// The name to show beside contributions.
    pub display_name: Option<Line<0, 100>>,
    /// Accepted for old clients and ignored; there are no invitations.
    pub invitation_code: Option<Line<0, 128>>,
}

/// A new account.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Registered {
    /// The API key. It is shown this once; only a keyed hash of it is stored.
    pub api_key: String,
    /// The account's id.
    pub user_id: UserId,
    /// Whether the account may publish right now.
    pub can_contribute: bool,
    /// What to do next, for a person.
    pub message: String,
}

/// Says that a key is good.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Verified {
    /// Always true; a key that is not good gets 401.
    pub valid: bool,
    /// The account it belongs to.
    pub user_id: UserId,
}

/// A key that replaces the one the request was made with.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Rotated {
    /// The new API key, shown this once. The old one no longer works.
    pub api_key: String,
    /// The account it belongs to.
    pub user_id: UserId,
}

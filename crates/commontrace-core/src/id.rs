//! Identifiers, one type per thing, so that a user's id cannot be passed where a trace's belongs.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// Identifies a trace: a version 4 UUID, written in lower case with hyphens.
    TraceId
}
id! {
    /// Identifies an account.
    UserId
}
id! {
    /// Identifies a vote.
    VoteId
}
id! {
    /// Identifies a proposed amendment.
    AmendmentId
}
id! {
    /// Identifies a background job.
    JobId
}
id! {
    /// Identifies one run that finds out what a session is worth.
    RunId
}
id! {
    /// Identifies a recorded session inside the store; clients know it by the id that it has within its
    /// account.
    SessionKey
}

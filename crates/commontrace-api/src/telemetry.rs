//! What clients report about themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Bounded, Line, Object};

/// Where a client is installed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Install {
    /// The operating system or host.
    pub platform: Option<Line<0, 50>>,
    /// The client's version.
    pub skill_version: Option<Line<0, 20>>,
    /// How it came there.
    pub install_source: Option<Line<0, 50>>,
}

/// A count that may be left out.
type Count = Option<Bounded<0, 1_000_000_000>>;

/// What a session's triggers did.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Triggers {
    /// The client's name for the session; a second report of it replaces the first.
    pub session_id: Line<1, 200>,
    /// Per trigger: how often it fired, was consumed, and the rate.
    pub trigger_stats: Object<20_000>,
    /// Searches that triggers made.
    #[serde(default)]
    pub searches_fired: Count,
    /// Traces that were used.
    #[serde(default)]
    pub traces_consumed: Count,
    /// Problems that were solved.
    #[serde(default)]
    pub resolutions_total: Count,
    /// Of these, with the help of a trace.
    #[serde(default)]
    pub resolutions_assisted: Count,
}

/// Says that a report was taken in.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Accepted {
    /// Always `ok`.
    pub status: &'static str,
}

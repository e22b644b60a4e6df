//! Whether the server can do its work.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// The server's health.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Health {
    /// `healthy`, or `degraded` when a part that requests need is away.
    pub status: &'static str,
    /// Each part and how it is. `error`, or `error: ` and a few words, makes the whole degraded,
    /// except of `redis`, which requests can do without.
    pub checks: BTreeMap<&'static str, String>,
    /// The program's version.
    pub version: &'static str,
}

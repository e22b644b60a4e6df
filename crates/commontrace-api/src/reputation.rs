//! A contributor's reputation.

use commontrace_core::UserId;
use schemars::JsonSchema;
use serde::Serialize;

/// What votes say about a contributor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReputationBody {
    /// The contributor.
    pub user_id: UserId,
    /// The Wilson lower bound (z = 1.96) over all votes on their traces, each counted once.
    pub overall_wilson_score: f64,
    /// Up-votes received.
    pub upvote_count: i64,
    /// Down-votes received.
    pub downvote_count: i64,
    /// The same per tag, best first.
    pub domains: Vec<Domain>,
}

/// What votes on traces with one tag say.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Domain {
    /// The tag.
    pub domain_tag: String,
    /// The Wilson lower bound.
    pub wilson_score: f64,
    /// Up-votes received.
    pub upvote_count: i64,
    /// Down-votes received.
    pub downvote_count: i64,
}

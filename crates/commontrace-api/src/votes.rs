//! Voting.

use chrono::{DateTime, Utc};
use commontrace_core::trace::METADATA_MAX;
use commontrace_core::vote::{DOWN_REASONS, VoteType};
use commontrace_core::{OutcomeCounts, Status, TraceId, UserId, VoteId};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Bounded, Line, Object, Text};

/// No trace is rewritten more often than this.
pub(crate) const REVISION_MAX: i64 = 1_000_000_000;

/// A vote on somebody else's trace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(transform = reason_for_down_votes)]
pub struct CastVote {
    /// For or against.
    pub vote_type: VoteType,
    /// The revision that was read. A vote on a text that was replaced since is refused.
    #[serde(default)]
    pub revision: Option<Bounded<1, REVISION_MAX>>,
    /// Required for a down-vote: outdated, wrong, security_concern or spam.
    #[serde(default)]
    pub feedback_tag: Option<Line<0, 50>>,
    /// Why, in words.
    #[serde(default)]
    pub feedback_text: Option<Text<0, 5000>>,
    /// The environment it was tried in.
    #[serde(default)]
    pub voter_context: Option<Object<METADATA_MAX>>,
}

/// Says in the schema that a down-vote needs one of the known reasons.
fn reason_for_down_votes(schema: &mut Schema) {
    let down =
        json!({ "required": ["vote_type"], "properties": { "vote_type": { "const": "down" } } });
    let reason = json!({ "required": ["feedback_tag"], "properties": { "feedback_tag": { "enum": DOWN_REASONS } } });
    schema.insert("if".to_owned(), down);
    schema.insert("then".to_owned(), reason);
}

/// A vote that counts.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VoteBody {
    /// The vote's id.
    pub id: VoteId,
    /// The trace.
    pub trace_id: TraceId,
    /// Who voted.
    pub voter_id: UserId,
    /// For or against.
    pub vote_type: VoteType,
    /// The revision that it is about; it counts for as long as the text of that revision stands.
    pub revision: i64,
    /// The reason.
    pub feedback_tag: Option<String>,
    /// Why, in words.
    pub feedback_text: Option<String>,
    /// The environment it was tried in.
    pub voter_context: Option<Map<String, Value>>,
    /// When it was cast.
    pub created_at: DateTime<Utc>,
    /// The trace's standing with this vote.
    pub standing: Standing,
}

/// Where a trace stands with its votes and with what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Standing {
    /// Whether enough others have confirmed it.
    pub status: Status,
    /// The Wilson lower bound of its votes, of what came of it and of what its tests proved, 0 to 1.
    pub trust_score: f64,
    /// Up-votes.
    pub up_votes: i64,
    /// Down-votes.
    pub down_votes: i64,
    /// Accounts by what they reported came of it.
    pub outcomes: OutcomeCounts,
}

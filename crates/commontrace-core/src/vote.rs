//! A vote and its rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// For or against a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(
    feature = "sqlx",
    derive(sqlx::Type),
    sqlx(type_name = "text", rename_all = "snake_case")
)]
#[serde(rename_all = "snake_case")]
pub enum VoteType {
    /// It helped.
    Up,
    /// It did not, for the reason that the vote's tag gives.
    Down,
}

/// The reasons that a down-vote may give.
pub const DOWN_REASONS: [&str; 4] = ["outdated", "wrong", "security_concern", "spam"];

/// Returns what is wrong with a vote's reason, if anything: a down-vote needs one of
/// [`DOWN_REASONS`], an up-vote may carry any tag or none.
pub fn reason_fault(vote: VoteType, feedback_tag: Option<&str>) -> Option<String> {
    let fault = match (vote, feedback_tag) {
        (VoteType::Up, _) => return None,
        (VoteType::Down, Some(tag)) if DOWN_REASONS.contains(&tag) => return None,
        (VoteType::Down, Some(_)) => "is not a reason for a down-vote",
        (VoteType::Down, None) => "is required for a down-vote",
    };
    Some(format!("{fault}; give one of {}", DOWN_REASONS.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_down_vote_needs_a_known_reason() {
        assert!(reason_fault(VoteType::Down, None).is_some());
        assert!(reason_fault(VoteType::Down, Some("boring")).is_some());
        assert_eq!(reason_fault(VoteType::Down, Some("wrong")), None);
        assert_eq!(reason_fault(VoteType::Up, None), None);
        assert_eq!(reason_fault(VoteType::Up, Some("anything")), None);
    }
}

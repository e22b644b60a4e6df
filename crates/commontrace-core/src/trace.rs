//! A trace's limits and its standing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest title, in characters.
pub const TITLE_MAX: usize = 200;
/// Longest context or solution, in characters.
pub const TEXT_MAX: usize = 50_000;
/// Most tags a trace may carry.
pub const TAGS_MAX: usize = 20;
/// Longest metadata object, in characters of its JSON.
pub const METADATA_MAX: usize = 10_000;

/// Whether enough others have confirmed a trace.
///
/// Being hidden, expired or superseded are separate facts, never further values of this one:
/// clients print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(
    feature = "sqlx",
    derive(sqlx::Type),
    sqlx(type_name = "text", rename_all = "snake_case")
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not confirmed yet, but findable.
    Pending,
    /// Confirmed by independent up-votes.
    Validated,
}

/// Where an amendment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(
    feature = "sqlx",
    derive(sqlx::Type),
    sqlx(type_name = "text", rename_all = "snake_case")
)]
#[serde(rename_all = "snake_case")]
pub enum AmendmentStatus {
    /// Waits for the trace's owner or a moderator.
    Proposed,
    /// Became a revision of the trace.
    Accepted,
    /// Was turned down.
    Rejected,
}

/// What a flag says is wrong with a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(
    feature = "sqlx",
    derive(sqlx::Type),
    sqlx(type_name = "text", rename_all = "snake_case")
)]
#[serde(rename_all = "snake_case")]
pub enum FlagCategory {
    /// Following it does damage.
    Harmful,
    /// Advertising or noise.
    Spam,
    /// It does not solve the problem.
    Incorrect,
    /// Another trace says the same.
    Duplicate,
}

/// Returns how complete a trace's text looks, 0 to 4: one point each for a literal error, a named
/// environment, a solution of 200 characters or more, and a version number. A hint for the
/// contributor; no ranking reads it.
pub fn depth_score(context: &str, solution: &str, has_environment: bool) -> u8 {
    let lower = context.to_lowercase();
    let error = [
        "error",
        "exception",
        "traceback",
        "panic",
        "fatal",
        "failed",
        "cannot",
    ]
    .iter()
    .any(|word| lower.contains(word));
    let version = [context, solution].iter().any(|text| has_version(text));
    u8::from(error)
        + u8::from(has_environment)
        + u8::from(solution.chars().count() >= 200)
        + u8::from(version)
}

/// Returns whether the text holds something like `3.11` or `v2.0.1`.
fn has_version(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|w| w[0].is_ascii_digit() && w[1] == b'.' && w[2].is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_a_reader_needs() {
        assert_eq!(depth_score("how to sort a list", "use sorted()", false), 0);
        assert_eq!(
            depth_score("TypeError: x on Python 3.12", &"long ".repeat(60), true),
            4
        );
    }
}

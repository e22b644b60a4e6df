//! What came of a trace for somebody who has read it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Environments that one account may report from on one trace.
pub const ENVIRONMENTS_MAX: usize = 20;

/// What came of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(
    feature = "sqlx",
    derive(sqlx::Type),
    sqlx(type_name = "text", rename_all = "snake_case")
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The solution worked as it is written.
    Worked,
    /// It worked after changes.
    WorkedWithChanges,
    /// It was tried and did not work.
    DidNotWork,
    /// The trace is about another problem, which says nothing of its worth.
    NotRelevant,
}

impl Outcome {
    /// Returns whether the solution was tried, so that this says something of its worth.
    pub fn was_tried(self) -> bool {
        self != Self::NotRelevant
    }
}

/// How often each outcome was reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::FromRow))]
pub struct OutcomeCounts {
    /// The solution worked as it is written.
    pub worked: i64,
    /// It worked after changes.
    pub worked_with_changes: i64,
    /// It was tried and did not work.
    pub did_not_work: i64,
    /// The trace is about another problem.
    pub not_relevant: i64,
}

impl OutcomeCounts {
    /// Returns how many these are together.
    pub fn total(self) -> i64 {
        self.worked + self.worked_with_changes + self.did_not_work + self.not_relevant
    }

    /// Adds `by` to the count of one outcome.
    pub fn add(&mut self, outcome: Outcome, by: i64) {
        *match outcome {
            Outcome::Worked => &mut self.worked,
            Outcome::WorkedWithChanges => &mut self.worked_with_changes,
            Outcome::DidNotWork => &mut self.did_not_work,
            Outcome::NotRelevant => &mut self.not_relevant,
        } += by;
    }
}

/// Returns which of an account's reports on one trace, from the first to the last, counts for the account:
/// the last from where the solution was tried, or else the last.
///
/// So a report that the trace was not what one needed takes nothing back that it was worth elsewhere.
pub fn counting(reports: impl IntoIterator<Item = Outcome>) -> Option<Outcome> {
    reports.into_iter().reduce(|counts, next| {
        if next.was_tried() || !counts.was_tried() {
            next
        } else {
            counts
        }
    })
}

#[cfg(test)]
mod tests {
    use Outcome::{DidNotWork, NotRelevant, Worked};

    use super::*;

    #[test]
    fn an_account_counts_by_the_last_that_it_tried() {
        assert_eq!(counting([]), None);
        assert_eq!(counting([NotRelevant]), Some(NotRelevant));
        assert_eq!(counting([NotRelevant, Worked]), Some(Worked));
        assert_eq!(counting([Worked, NotRelevant]), Some(Worked));
        assert_eq!(counting([Worked, DidNotWork]), Some(DidNotWork));
    }
}

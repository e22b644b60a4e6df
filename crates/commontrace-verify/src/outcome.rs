//! What one test did in one run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a test ended, from best to worst: of several results with one id, the greatest counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran and passed. A test that was expected to fail and did is a pass too.
    Pass,
    /// It did not run.
    Skip,
    /// It broke outside of its assertions: a set-up, a collection, a build.
    Error,
    /// It ran and failed.
    Fail,
}

impl Outcome {
    /// Whether this is a pass. A skipped test has not passed.
    #[must_use]
    pub fn passed(self) -> bool {
        self == Self::Pass
    }

    /// Whether this is a failure or an error.
    #[must_use]
    pub fn failed(self) -> bool {
        matches!(self, Self::Fail | Self::Error)
    }
}

/// One test's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// Which test: unique within a run, the same in every run of the same tests. At most
    /// [`MAX_ID_BYTES`](crate::report::MAX_ID_BYTES) bytes, without surrounding white space.
    pub id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The message of a failure, cut to [`MAX_DETAIL_BYTES`](crate::report::MAX_DETAIL_BYTES).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that broke outside of their assertions.
    pub errors: u64,
    /// Tests that did not run.
    pub skipped: u64,
}

impl Totals {
    /// Counts results.
    #[must_use]
    pub fn of(results: &[TestResult]) -> Self {
        let mut totals = Self::default();
        for result in results {
            *match result.outcome {
                Outcome::Pass => &mut totals.passed,
                Outcome::Skip => &mut totals.skipped,
                Outcome::Error => &mut totals.errors,
                Outcome::Fail => &mut totals.failed,
            } += 1;
        }
        totals
    }

    /// Tests that were really run: everything but what was skipped.
    #[must_use]
    pub fn executed(&self) -> u64 {
        self.passed + self.failed + self.errors
    }

    /// Failures and errors.
    #[must_use]
    pub fn not_passed(&self) -> u64 {
        self.failed + self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_two_outcomes_is_the_greater() {
        assert!(Outcome::Fail > Outcome::Error);
        assert!(Outcome::Error > Outcome::Skip);
        assert!(Outcome::Skip > Outcome::Pass);
    }

    #[test]
    fn a_skipped_test_was_not_executed() {
        let results = [
            ("a", Outcome::Skip),
            ("b", Outcome::Pass),
            ("c", Outcome::Error),
        ]
        .map(|(id, outcome)| TestResult {
            id: id.into(),
            outcome,
            detail: None,
        });
        let totals = Totals::of(&results);
        assert_eq!((totals.executed(), totals.not_passed()), (2, 1));
    }
}

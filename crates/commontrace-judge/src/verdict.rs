//! What a session comes to: the tests gate, the reasoning is the axis, and what was not run or not
//! judged stays visible.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checks::{Check, Name, Status};
use crate::deterministic::{Computed, Reason};
use crate::judged::Judged;
use crate::rubric::{DIMENSIONS, Dimension, HIGHEST};

/// The version of [`score`].
const FORMULA: &str = "1";
/// The weight of the tests in [`score`].
const TESTS_WEIGHT: f64 = 0.6;
/// The weight of the reasoning in [`score`].
const REASONING_WEIGHT: f64 = 0.4;
/// The most characters of the output of the tests that the verdict shows.
const SNIPPET_CHARS: usize = 2_000;
/// The most characters of [`QaResults::reasoning_feedback`].
const FEEDBACK_CHARS: usize = 4_000;

/// What came of running the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerificationStatus {
    /// Tests turned green and none broke.
    Verified,
    /// A test broke, or one that was to turn green did not.
    Refuted,
    /// No test turned green.
    NoEvidence,
    /// What turned green does so by chance.
    Unstable,
    /// A run proves nothing.
    InvalidRun,
    /// The tests could not be run, for a reason that is not theirs.
    Infrastructure,
    /// Nothing was run.
    NotRun,
}

/// The verification of a session, as far as the verdict needs to know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// What was found.
    pub status: VerificationStatus,
    /// Whether a test that passed before does not pass any more.
    pub regressed: bool,
    /// Whether the run after the change was valid, ended with 0, and nothing failed; `None` if not run.
    pub tests_passed: Option<bool>,
    /// The exit code of that run.
    pub test_exit_code: Option<i64>,
    /// What that run printed, its end if it is long.
    pub test_output: Option<String>,
    /// Everything else, as the verifier says it.
    pub detail: Value,
}

/// The results of a session as its record carries them: five members that clients have always known,
/// then ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QaResults {
    /// Whether the tests passed with the change; `None` if they were not run.
    pub tests_passed: Option<bool>,
    /// The exit code of the tests with the change.
    pub test_exit_code: Option<i64>,
    /// What the tests printed, 2,000 characters at most.
    pub test_output_snippet: Option<String>,
    /// 1 plus the mean of the medians by the model, from 1 to 5; `None` without a model.
    pub reasoning_score: Option<f64>,
    /// What the model says, or what the checks found.
    pub reasoning_feedback: Option<String>,
    /// The verification in full, with its `status`.
    pub verification: Value,
    /// The model's scores and the levels that follow from the checks.
    pub judge: Judge,
    /// Every check.
    pub checks: Vec<Check>,
    /// What a reader should know before any score.
    pub flags: Vec<Flag>,
    /// From 0 to 1; see [`score`].
    pub score: Option<f64>,
    /// The version of the formula of `score`.
    pub score_formula: String,
    /// What was not run or not judged.
    pub coverage: Coverage,
    /// The sequence number of the last event that this is about.
    pub events_through_seq: Option<i64>,
    /// Whether events were added since. That is told whenever a verdict is shown; in one that is signed it is always
    /// false, and the signature does not cover it.
    pub stale: bool,
    /// Which change of which repository; not said by verdicts that were signed before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
}

/// The change that was verified, as the session or the request for its run names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The repository's URL, or its path on the machine that verified.
    pub repository: String,
    /// The commit with the bug.
    pub commit_before: String,
    /// The commit with the fix; empty if there is none.
    pub commit_after: String,
    /// What was taken for the fix.
    pub fix: Fix,
}

/// What was taken for the fix of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fix {
    /// `commit_after`.
    Commit,
    /// The session's own edits.
    Edits,
}

/// The reasoning, judged by a model and by rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    /// By a model.
    #[serde(flatten)]
    pub judged: Judged,
    /// By rules, for the dimensions where deeds tell.
    pub computed: Vec<Computed>,
}

/// Something to know besides the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// The agent claims a success that its last run does not show.
    UnverifiedSuccessClaim,
    /// Tests were made easier to pass.
    TestsWeakened,
    /// A file was edited that nothing points to.
    OutOfScopeEdit,
    /// A secret stood in the record.
    SecretExposed,
    /// Something in the record speaks to a reader or judge, or hides.
    InjectionAttempt,
}

/// What the score rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// What came of running the tests.
    pub tests: VerificationStatus,
    /// How many dimensions have a score by the model.
    pub dimensions_judged: usize,
    /// Of how many.
    pub dimensions: usize,
    /// Those without, each with the reason.
    pub not_judged: Vec<NotJudged>,
    /// How many checks came to an answer.
    pub checks_decided: usize,
    /// Those that did not.
    pub checks_unknown: Vec<Name>,
    /// How many valid samples the model gave.
    pub samples_valid: usize,
    /// How many were wanted.
    pub samples_wanted: usize,
}

/// A dimension without a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotJudged {
    /// Which.
    pub dimension: Dimension,
    /// Why.
    pub reason: Reason,
}

/// The one number of a session, version 1: 0 if the tests refute it or broke; else, where the tests
/// verify it and the model judged it, `0.6 + 0.4 × mean / 4`, rounded to four digits. Nothing if either
/// half is missing: a number would claim what nobody found out.
fn score(status: VerificationStatus, regressed: bool, mean: Option<f64>) -> Option<f64> {
    if status == VerificationStatus::Refuted || regressed {
        return Some(0.0);
    }
    let mean = mean.filter(|mean| (0.0..=f64::from(HIGHEST)).contains(mean))?;
    let value = TESTS_WEIGHT + REASONING_WEIGHT * mean / f64::from(HIGHEST);
    (status == VerificationStatus::Verified).then_some(rounded(value))
}

/// 1 plus the mean, on the scale from 1 to 5 that clients know.
fn reasoning_score(mean: Option<f64>) -> Option<f64> {
    mean.filter(|mean| (0.0..=f64::from(HIGHEST)).contains(mean))
        .map(|mean| rounded(1.0 + mean))
}

/// The flags that follow from checks.
fn flags(checks: &[Check]) -> Vec<Flag> {
    let failed = |check: &&Check| check.status == Status::Fail;
    let flag = |check: &Check| match check.name {
        Name::ClaimVOutcome => Some(Flag::UnverifiedSuccessClaim),
        Name::TestsWeakened => Some(Flag::TestsWeakened),
        Name::Scope => Some(Flag::OutOfScopeEdit),
        Name::SecretExposed => Some(Flag::SecretExposed),
        Name::InjectionAttempt => Some(Flag::InjectionAttempt),
        _ => None,
    };
    checks.iter().filter(failed).filter_map(flag).collect()
}

/// Puts a verdict together. Nothing in it is taken from the session or from a model but what the
/// parts have made sure of.
pub fn qa_results(
    verification: Verification,
    judged: Judged,
    computed: Vec<Computed>,
    checks: Vec<Check>,
    events_through_seq: Option<i64>,
) -> QaResults {
    let coverage = coverage(verification.status, &judged, &checks);
    let mut detail = match verification.detail {
        Value::Object(members) => members,
        Value::Null => serde_json::Map::new(),
        other => serde_json::Map::from_iter([("detail".to_owned(), other)]),
    };
    detail.insert("status".to_owned(), serde_json::json!(verification.status));
    QaResults {
        tests_passed: verification.tests_passed,
        test_exit_code: verification.test_exit_code,
        test_output_snippet: verification
            .test_output
            .as_deref()
            .map(|text| snippet(text, SNIPPET_CHARS)),
        reasoning_score: reasoning_score(judged.mean),
        reasoning_feedback: feedback(&judged, &checks),
        verification: Value::Object(detail),
        flags: flags(&checks),
        score: score(verification.status, verification.regressed, judged.mean),
        score_formula: FORMULA.to_owned(),
        coverage,
        judge: Judge { judged, computed },
        checks,
        events_through_seq,
        stale: false,
        about: None,
    }
}

fn coverage(tests: VerificationStatus, judged: &Judged, checks: &[Check]) -> Coverage {
    let not_judged = judged
        .dimensions
        .iter()
        .filter(|score| score.median.is_none());
    let unknown = checks
        .iter()
        .filter(|check| check.status == Status::Unknown);
    let checks_unknown: Vec<Name> = unknown.map(|check| check.name).collect();
    Coverage {
        tests,
        dimensions_judged: judged.scored().count(),
        dimensions: DIMENSIONS,
        not_judged: not_judged
            .map(|score| NotJudged {
                dimension: score.dimension,
                reason: score.reason.unwrap_or(Reason::NotApplicable),
            })
            .collect(),
        checks_decided: checks.len() - checks_unknown.len(),
        checks_unknown,
        samples_valid: judged.asked.as_ref().map_or(0, |asked| asked.samples_valid),
        samples_wanted: judged
            .asked
            .as_ref()
            .map_or(0, |asked| asked.samples_wanted),
    }
}

/// What the model says of each dimension; without a model, what the checks found.
fn feedback(judged: &Judged, checks: &[Check]) -> Option<String> {
    let mut lines: Vec<String> = judged
        .scored()
        .map(|score| {
            let median = score.median.unwrap_or_default();
            format!(
                "{} {median} of {HIGHEST}: {}",
                score.dimension.name(),
                score.why.trim()
            )
        })
        .collect();
    let failed = checks.iter().filter(|check| check.status == Status::Fail);
    lines.extend(failed.map(|check| format!("{}.", check.message)));
    (!lines.is_empty()).then(|| snippet(&lines.join("\n"), FEEDBACK_CHARS))
}

/// A text of so many characters at most: its head, and its tail, which is larger because that is where
/// test runners say what failed.
fn snippet(text: &str, chars: usize) -> String {
    const GAP: &str = "\n[…]\n";
    let count = text.chars().count();
    if count <= chars {
        return text.to_owned();
    }
    let room = chars.saturating_sub(GAP.chars().count());
    let head = room / 4;
    let tail = room - head;
    let head_end = text.char_indices().nth(head).map_or(0, |(at, _)| at);
    let tail_start = text
        .char_indices()
        .nth(count - tail)
        .map_or(text.len(), |(at, _)| at);
    format!("{}{GAP}{}", &text[..head_end], &text[tail_start..])
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::checks;
    use crate::deterministic;
    use crate::facts::Facts;
    use crate::sample::good;

    fn verification(status: VerificationStatus) -> Verification {
        Verification {
            status,
            regressed: false,
            tests_passed: None,
            test_exit_code: None,
            test_output: None,
            detail: Value::Null,
        }
    }

    #[test]
    fn the_score_is_the_one_computed_by_hand() {
        use VerificationStatus::{Infrastructure, NoEvidence, NotRun, Refuted, Verified};
        assert_eq!(score(Verified, false, Some(4.0)), Some(1.0));
        assert_eq!(score(Verified, false, Some(0.0)), Some(0.6));
        assert_eq!(score(Verified, false, Some(3.0)), Some(0.9));
        assert_eq!(score(Refuted, false, None), Some(0.0));
        assert_eq!(score(Verified, true, Some(4.0)), Some(0.0));
        assert_eq!(score(NoEvidence, true, None), Some(0.0));
        assert_eq!(score(Verified, false, None), None);
        for status in [NotRun, NoEvidence, Infrastructure] {
            assert_eq!(score(status, false, Some(4.0)), None);
        }
        assert_eq!(reasoning_score(Some(2.5)), Some(3.5));
        assert_eq!(reasoning_score(None), None);
    }

    proptest! {
        #[test]
        fn no_input_gives_a_score_outside_of_its_range(mean in any::<f64>(), regressed: bool) {
            for status in [VerificationStatus::Verified, VerificationStatus::Refuted] {
                let score = score(status, regressed, Some(mean));
                prop_assert!(score.is_none_or(|score| (0.0..=1.0).contains(&score)));
            }
            prop_assert!(reasoning_score(Some(mean)).is_none_or(|score| (1.0..=5.0).contains(&score)));
        }

        #[test]
        fn a_snippet_keeps_head_and_tail_within_its_length(text in ".{0,400}", chars in 10_usize..200) {
            let cut = snippet(&text, chars);
            prop_assert!(cut.chars().count() <= chars.max(text.chars().count().min(chars)));
            let end: String = text.chars().rev().take(3).collect();
            prop_assert!(cut.chars().rev().collect::<String>().starts_with(&end));
        }
    }

    #[test]
    fn without_a_model_and_without_tests_there_is_no_number_but_all_the_rest() {
        let events = good();
        let facts = Facts::read(&events, "");
        let checks = checks::all(&facts);
        let computed = deterministic::levels(&facts, &checks);
        let judged = Judged::absent(Reason::NotConfigured);
        let results = qa_results(
            verification(VerificationStatus::NotRun),
            judged,
            computed,
            checks,
            Some(8),
        );
        let written = serde_json::to_value(&results).expect("JSON");
        for member in ["tests_passed", "test_exit_code", "reasoning_score", "score"] {
            assert_eq!(written[member], Value::Null, "{member}");
        }
        assert_eq!(written["verification"], json!({"status": "not_run"}));
        assert_eq!(written["coverage"]["dimensions_judged"], 0);
        assert_eq!(
            written["coverage"]["not_judged"][0]["reason"],
            "not_configured"
        );
        assert_eq!(written["judge"]["computed"][0]["level"], 4);
        assert_eq!(written["checks"].as_array().map(Vec::len), Some(13));
        assert_eq!(written["flags"], json!([]));
        let again: QaResults = serde_json::from_value(written).expect("the same results");
        assert_eq!(again, results);
    }
}

//! A verdict as the exporters of sessions take it.

use std::collections::BTreeMap;

use commontrace_judge::judged::Score;
use commontrace_judge::sign::SignedVerdict;
use commontrace_session::export::{Dimension, Verdict};
use serde::Serialize;
use serde_json::Value;

use crate::error::{ApiError, ApiResult};

/// Reads a signed verdict as it is kept. Its signature is not looked at.
pub fn verdict(signed: &str) -> ApiResult<Verdict> {
    let signed: SignedVerdict = serde_json::from_str(signed).map_err(unreadable)?;
    let results = signed.results().map_err(unreadable)?;
    let dimensions: BTreeMap<String, Dimension> = results
        .judge
        .judged
        .dimensions
        .iter()
        .map(|score| (score.dimension.name().to_owned(), dimension(score)))
        .collect();
    Ok(Verdict {
        tests_passed: results.tests_passed,
        test_exit_code: results.test_exit_code,
        test_output_snippet: results.test_output_snippet,
        reasoning_score: results.reasoning_score,
        reasoning_feedback: results.reasoning_feedback,
        status: name(&results.coverage.tests),
        combined: results.score,
        dimensions,
    })
}

fn dimension(score: &Score) -> Dimension {
    // Where some samples failed and others are valid there is a score, and nothing is wrong with it.
    let missing = score.reason.filter(|_| score.median.is_none());
    Dimension {
        score: score.median,
        label: None,
        explanation: (!score.why.is_empty()).then(|| score.why.clone()),
        error_type: missing.and_then(|reason| name(&reason)),
    }
}

/// The name of a value in JSON.
fn name(value: &impl Serialize) -> Option<String> {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => Some(name),
        _ => None,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "map_err hands the error over"
)]
fn unreadable(err: serde_json::Error) -> ApiError {
    ApiError::internal(format!("a kept verdict is unreadable: {err}"))
}

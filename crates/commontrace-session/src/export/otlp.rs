//! OTLP/JSON logs with the results of the evaluation, by the semantic conventions for generative AI.
//!
//! One record for each dimension of the judge, one for the whole and one for the verification. A dimension
//! that could not be judged has `error.type` and no score. The conventions are still being developed; the
//! schema that is meant is named.

use std::io::{self, Write};

use commontrace_core::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Dimension, Export};
use crate::Event;

/// The conventions that the attributes follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.38.0";

const NAME: &str = "gen_ai.evaluation.result";

/// Writes the evaluation of a session. Of the events only the last time is of use.
pub(super) fn write(
    export: &Export<'_>,
    events: &mut impl Iterator<Item = Event>,
    out: &mut impl Write,
) -> io::Result<()> {
    let last = events.filter_map(|event| event.timestamp).max();
    let time = export
        .session
        .end_time
        .or(last)
        .or(export.session.start_time);
    let nanoseconds = time
        .and_then(|time| time.timestamp_nanos_opt())
        .and_then(|time| u64::try_from(time).ok())
        .unwrap_or(0);
    let records: Vec<Value> = results(export)
        .into_iter()
        .map(|attributes| record(export, nanoseconds, attributes))
        .collect();
    let document = json!({
        "resourceLogs": [{
            "resource": {"attributes": resource(export)},
            "scopeLogs": [{
                "scope": {"name": "commontrace", "version": env!("CARGO_PKG_VERSION")},
                "logRecords": records,
                "schemaUrl": SCHEMA,
            }],
            "schemaUrl": SCHEMA,
        }],
    });
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

fn resource(export: &Export<'_>) -> Vec<Value> {
    let mut attributes = vec![text("service.name", "commontrace")];
    let repo = &export.session.repo;
    for (name, value) in [
        ("vcs.repository.url.full", &repo.url),
        ("vcs.ref.head.name", &repo.branch),
        ("vcs.ref.head.revision", &repo.commit_after),
        ("vcs.ref.base.revision", &repo.commit_before),
    ] {
        if !value.is_empty() {
            attributes.push(text(name, value));
        }
    }
    attributes
}

/// The attributes of each result.
fn results(export: &Export<'_>) -> Vec<Vec<Value>> {
    let Some(verdict) = export.verdict else {
        return Vec::new();
    };
    let mut results: Vec<Vec<Value>> = verdict
        .dimensions
        .iter()
        .map(|(name, dimension)| evaluation(name, dimension))
        .collect();
    let whole = Dimension {
        score: verdict.combined.or(verdict.reasoning_score),
        label: None,
        explanation: verdict.reasoning_feedback.clone(),
        error_type: None,
    };
    let name = if verdict.combined.is_some() {
        "combined"
    } else {
        "reasoning"
    };
    results.push(evaluation(name, &whole));
    let status = verdict.status.clone().unwrap_or_else(|| {
        match verdict.tests_passed {
            Some(true) => "passed",
            Some(false) => "failed",
            None => "not_run",
        }
        .to_owned()
    });
    let verification = Dimension {
        score: verdict
            .tests_passed
            .map(|passed| if passed { 1.0 } else { 0.0 }),
        error_type: verdict.tests_passed.is_none().then(|| status.clone()),
        label: Some(status),
        explanation: None,
    };
    results.push(evaluation("verification", &verification));
    results
}

fn evaluation(name: &str, dimension: &Dimension) -> Vec<Value> {
    let mut attributes = vec![text("gen_ai.evaluation.name", name)];
    let score = dimension.score.filter(|score| score.is_finite());
    match (score, &dimension.error_type) {
        (Some(score), None) => {
            attributes.push(
                json!({"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": score}}),
            );
        }
        (_, Some(error)) => attributes.push(text("error.type", error)),
        (None, None) => attributes.push(text("error.type", "not_judged")),
    }
    if let Some(label) = &dimension.label {
        attributes.push(text("gen_ai.evaluation.score.label", label));
    }
    if let Some(explanation) = &dimension.explanation {
        attributes.push(text("gen_ai.evaluation.explanation", explanation));
    }
    attributes
}

fn record(export: &Export<'_>, nanoseconds: u64, mut attributes: Vec<Value>) -> Value {
    attributes.push(text("gen_ai.conversation.id", export.id));
    // The ids follow from the session's, so that the same session is the same trace each time.
    let digest = Sha256::digest(export.id.as_bytes());
    let hex = hex::encode(&digest);
    json!({
        "timeUnixNano": nanoseconds.to_string(),
        "observedTimeUnixNano": nanoseconds.to_string(),
        "severityNumber": 9,
        "severityText": "INFO",
        "eventName": NAME,
        "traceId": &hex[..32],
        "spanId": &hex[32..48],
        "attributes": attributes,
    })
}

fn text(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

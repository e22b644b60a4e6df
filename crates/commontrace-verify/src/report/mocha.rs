//! mocha's `--reporter json`.
//!
//! An id is the file, if it is given, and the full title.

use serde::Deserialize;

use super::json::{Capped, document};
use super::{Collector, Parsed, Source};
use crate::outcome::Outcome;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    stats: Stats,
    #[serde(default)]
    passes: Capped<Case>,
    #[serde(default)]
    failures: Capped<Case>,
    #[serde(default)]
    pending: Capped<Case>,
}

#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    tests: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    full_title: Box<str>,
    #[serde(default)]
    file: Option<Box<str>>,
    #[serde(default)]
    err: Problem,
}

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    message: Option<Box<str>>,
}

/// Reads a report of mocha.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let report: Report = match serde_json::from_slice(document(bytes)) {
        Ok(report) => report,
        Err(error) => {
            return Parsed::invalid(Source::MochaJson, format!("not a mocha report: {error}"));
        }
    };
    let mut collector = Collector::default();
    let mut found = 0_u64;
    for (cases, outcome) in [
        (&report.passes, Outcome::Pass),
        (&report.failures, Outcome::Fail),
        (&report.pending, Outcome::Skip),
    ] {
        if cases.cut {
            collector.incomplete("the report is too long");
        }
        for case in &cases.items {
            // A failing hook is reported among the failures and is not counted as a test.
            found += u64::from(!case.full_title.contains(" hook"));
            let id = match case.file.as_deref() {
                Some(file) => format!("{} > {}", file.trim(), case.full_title.trim()),
                None => case.full_title.to_string(),
            };
            collector.add(&id, outcome, case.err.message.as_deref());
        }
    }
    if let Some(declared) = report.stats.tests.filter(|declared| *declared > found) {
        // Tests behind a failing hook are counted and not run.
        collector.warn(format!("mocha counted {declared} tests, {found} were run"));
    }
    collector.into_report(Source::MochaJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_failures_and_pending() {
        let json = r#"{"stats":{"tests":3},"tests":[],"passes":[{"fullTitle":"a b","file":"/t/x.js","err":{}}],
            "failures":[{"fullTitle":"a c","file":"/t/x.js","err":{"message":"boom"}}],"pending":[{"fullTitle":"a d"}]}"#;
        let parsed = parse(json.as_bytes());
        let ids: Vec<_> = parsed
            .results
            .iter()
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        assert_eq!(
            ids,
            [
                ("/t/x.js > a b", Outcome::Pass),
                ("/t/x.js > a c", Outcome::Fail),
                ("a d", Outcome::Skip)
            ]
        );
    }
}

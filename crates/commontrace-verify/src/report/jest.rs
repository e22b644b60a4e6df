//! jest's `--json` and vitest's `--reporter=json`.
//!
//! An id is the file, the titles around the test and its title, joined by ` > `. A suite that failed
//! without a failing test (a file that could not be loaded) is an error with the file as its id.

use serde::Deserialize;

use super::json::{Capped, document};
use super::{Collector, Parsed, Source};
use crate::outcome::Outcome;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    test_results: Capped<Suite>,
    #[serde(default)]
    num_total_tests: Option<u64>,
    #[serde(default)]
    was_interrupted: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Suite {
    name: Box<str>,
    #[serde(default)]
    status: Box<str>,
    #[serde(default)]
    message: Option<Box<str>>,
    #[serde(default)]
    assertion_results: Capped<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    title: Box<str>,
    status: Box<str>,
    #[serde(default)]
    ancestor_titles: Capped<Box<str>>,
    #[serde(default)]
    failure_messages: Capped<Box<str>>,
}

/// Reads a report of jest or vitest.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let report: Report = match serde_json::from_slice(document(bytes)) {
        Ok(report) => report,
        Err(error) => {
            return Parsed::invalid(Source::JestJson, format!("not a jest report: {error}"));
        }
    };
    let mut collector = Collector::default();
    let mut cut = report.test_results.cut;
    let mut found = 0_u64;
    for suite in &report.test_results.items {
        cut |= suite.assertion_results.cut;
        let mut failed = false;
        for case in &suite.assertion_results.items {
            found += 1;
            let outcome = match &*case.status {
                "passed" => Outcome::Pass,
                "failed" => Outcome::Fail,
                // pending, skipped, todo, disabled, focused
                _ => Outcome::Skip,
            };
            failed |= outcome.failed();
            let titles = case.ancestor_titles.items.iter().map(|title| title.trim());
            let mut id: Vec<&str> = vec![suite.name.trim()];
            id.extend(titles.filter(|title| !title.is_empty()));
            id.push(case.title.trim());
            let detail = case.failure_messages.items.first().map(|text| &**text);
            collector.add(&id.join(" > "), outcome, detail);
        }
        if &*suite.status == "failed" && !failed {
            collector.add(&suite.name, Outcome::Error, suite.message.as_deref());
        }
    }
    if cut {
        collector.incomplete("the report is too long");
    }
    if report.was_interrupted {
        collector.incomplete("jest was interrupted");
    }
    if let Some(declared) = report.num_total_tests {
        collector.declare("tests", declared, found);
    }
    collector.into_report(Source::JestJson)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Confidence;

    #[test]
    fn titles_make_the_id_and_a_suite_that_does_not_load_is_an_error() {
        let json = r#"{"numTotalTests":2,"testResults":[
            {"name":"/src/a.test.js","status":"failed","message":"", "assertionResults":[
                {"ancestorTitles":["sum"," "],"title":"adds","status":"passed","failureMessages":[]},
                {"ancestorTitles":[],"title":"later","status":"todo"}]},
            {"name":"/src/b.test.js","status":"failed","message":"Cannot find module","assertionResults":[]}]}"#;
        let parsed = parse(json.as_bytes());
        let ids: Vec<_> = parsed
            .results
            .iter()
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        assert_eq!(
            ids,
            [
                ("/src/a.test.js", Outcome::Error),
                ("/src/a.test.js > later", Outcome::Skip),
                ("/src/a.test.js > sum > adds", Outcome::Pass),
                ("/src/b.test.js", Outcome::Error),
            ]
        );
        assert_eq!(parsed.confidence, Confidence::High);
    }

    #[test]
    fn a_cut_report_is_invalid() {
        let parsed = parse(br#"{"testResults":[{"name":"a","assertionResults":[{"title""#);
        assert!(!parsed.complete && parsed.results.is_empty());
    }
}

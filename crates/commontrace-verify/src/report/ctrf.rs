//! Common Test Report Format.
//!
//! An id is the suite (a string or a list) and the name, joined by ` > `.

use serde::Deserialize;

use super::json::{Capped, document};
use super::{Collector, Parsed, Source};
use crate::outcome::Outcome;

#[derive(Deserialize)]
struct Report {
    results: Results,
}

#[derive(Deserialize)]
struct Results {
    tests: Capped<Case>,
    #[serde(default)]
    summary: Summary,
}

#[derive(Deserialize, Default)]
struct Summary {
    #[serde(default)]
    tests: Option<u64>,
}

#[derive(Deserialize)]
struct Case {
    name: Box<str>,
    status: Box<str>,
    #[serde(default)]
    suite: Option<Suite>,
    #[serde(default)]
    flaky: bool,
    #[serde(default)]
    message: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Suite {
    Name(Box<str>),
    Path(Vec<Box<str>>),
}

/// Reads a CTRF report.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let report: Report = match serde_json::from_slice(document(bytes)) {
        Ok(report) => report,
        Err(error) => return Parsed::invalid(Source::Ctrf, format!("not a CTRF report: {error}")),
    };
    let mut collector = Collector::default();
    let tests = &report.results.tests;
    for case in &tests.items {
        let outcome = match &*case.status {
            "passed" => Outcome::Pass,
            "failed" => Outcome::Fail,
            // skipped, pending, other
            _ => Outcome::Skip,
        };
        let suite = match &case.suite {
            None => String::new(),
            Some(Suite::Name(name)) => name.to_string(),
            Some(Suite::Path(names)) => names.join(" > "),
        };
        let id = if suite.is_empty() {
            case.name.to_string()
        } else {
            format!("{suite} > {}", case.name)
        };
        collector.add(&id, outcome, case.message.as_deref());
        if case.flaky {
            collector.flaky(&id);
        }
    }
    if tests.cut {
        collector.incomplete("the report is too long");
    } else if let Some(declared) = report.results.summary.tests {
        collector.declare("tests", declared, tests.items.len() as u64);
    }
    collector.into_report(Source::Ctrf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Confidence;

    #[test]
    fn a_suite_may_be_a_string_or_a_list() {
        let json = r#"{"reportFormat":"CTRF","results":{"tool":{"name":"x"},"summary":{"tests":4},"tests":[
            {"name":"a","status":"passed","suite":"s"},{"name":"b","status":"failed","suite":["s","t"],"message":"no"},
            {"name":"c","status":"pending"},{"name":"d","status":"passed","flaky":true,"retries":1}]}}"#;
        let parsed = parse(json.as_bytes());
        let ids: Vec<_> = parsed
            .results
            .iter()
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        assert_eq!(
            ids,
            [
                ("c", Outcome::Skip),
                ("d", Outcome::Pass),
                ("s > a", Outcome::Pass),
                ("s > t > b", Outcome::Fail)
            ]
        );
        assert_eq!(
            (parsed.flaky.len(), parsed.confidence),
            (1, Confidence::High)
        );
    }

    #[test]
    fn a_summary_of_another_number_of_tests_is_a_disagreement() {
        let json =
            r#"{"results":{"summary":{"tests":9},"tests":[{"name":"a","status":"passed"}]}}"#;
        assert!(parse(json.as_bytes()).disagrees);
    }
}

//! Which format a report file has, told by its content, and several files as one result.

use super::{
    Collector, Confidence, Parsed, Source, ctrf, go_json, jest, junit, libtest_json, mocha, tap,
};

/// Reads one report, whatever format it has.
#[must_use]
pub fn parse_file(bytes: &[u8]) -> Parsed {
    match kind(bytes) {
        Source::JunitXml => junit::parse(bytes),
        Source::JestJson => jest::parse(bytes),
        Source::MochaJson => mocha::parse(bytes),
        Source::Ctrf => ctrf::parse(bytes),
        Source::GoJson => go_json::parse(bytes),
        Source::LibtestJson => libtest_json::parse(bytes),
        Source::Tap => tap::parse(bytes),
        _ if bytes.trim_ascii().is_empty() => Parsed::invalid(Source::None, "a report is empty"),
        _ => Parsed::nothing(),
    }
}

/// Reads the reports of one run as one. JUnit files see each other, so that a test that two of them name
/// keeps its suite.
#[must_use]
pub fn parse_files<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Parsed {
    let mut junit: Option<junit::Report> = None;
    let mut parsed = Vec::new();
    for bytes in files {
        if kind(bytes) == Source::JunitXml {
            junit.get_or_insert_default().read(bytes);
        } else {
            let report = parse_file(bytes);
            if report.source != Source::None || !report.complete {
                parsed.push(report);
            }
        }
    }
    parsed.extend(junit.map(junit::Report::finish));
    merge(parsed)
}

/// Several reports as one: the worst result of an id, the least confidence.
pub(crate) fn merge(mut reports: Vec<Parsed>) -> Parsed {
    if reports.len() < 2 {
        return reports.pop().unwrap_or_else(Parsed::nothing);
    }
    let mut collector = Collector::default();
    let source = reports
        .iter()
        .map(|report| report.source)
        .min()
        .unwrap_or(Source::None);
    let mut confidence = Confidence::High;
    let (mut complete, mut disagrees, mut outside) = (true, false, 0);
    for report in reports {
        for result in &report.results {
            collector.add(&result.id, result.outcome, result.detail.as_deref());
        }
        for id in &report.flaky {
            collector.flaky(id);
        }
        if report.build_failed {
            collector.build_failed();
        }
        for warning in report.warnings {
            collector.warn(warning);
        }
        outside += report.failures_outside_tests;
        confidence = confidence.min(report.confidence);
        complete &= report.complete;
        disagrees |= report.disagrees;
    }
    let merged = collector.into_report(source);
    Parsed {
        failures_outside_tests: outside,
        complete: complete && merged.complete,
        confidence: confidence.min(merged.confidence),
        disagrees,
        ..merged
    }
}

/// The format, by what the content begins with and by the keys that only this format has.
fn kind(bytes: &[u8]) -> Source {
    let start = bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(bytes)
        .trim_ascii_start();
    let start = &start[..start.len().min(4 << 10)];
    let has = |key: &str| {
        start
            .windows(key.len())
            .any(|window| window == key.as_bytes())
    };
    if start.starts_with(b"<") {
        return Source::JunitXml;
    }
    if start.starts_with(b"{") {
        return if has("\"Action\"") {
            Source::GoJson
        } else if has("\"event\"") && has("\"type\"") {
            Source::LibtestJson
        } else if has("\"testResults\"") || has("\"numTotalTests\"") {
            Source::JestJson
        } else if has("\"CTRF\"") || has("\"results\"") {
            Source::Ctrf
        } else if has("\"stats\"") {
            Source::MochaJson
        } else {
            Source::None
        };
    }
    if [
        "TAP version",
        "1..",
        "ok",
        "not ok",
        "# Subtest",
        "Bail out!",
    ]
    .iter()
    .any(|word| start.starts_with(word.as_bytes()))
    {
        return Source::Tap;
    }
    Source::None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::Outcome;

    proptest! {
        #[test]
        fn no_report_makes_a_parser_panic(
            start in proptest::sample::select(vec!["", "<", "{\"Action\":", "{\"testResults\":", "{\"results\":", "{\"stats\":", "TAP version 13\n", "1..2\n", "{\"type\":\"suite\",\"event\":"]),
            rest in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = parse_file(&[start.as_bytes(), &rest].concat());
        }

        #[test]
        fn a_report_that_is_cut_anywhere_does_not_panic_and_is_never_whole(at in 0_usize..250) {
            let whole = br#"<testsuites><testsuite name="s" tests="2"><testcase classname="c" name="a"/><testcase classname="c" name="b"><failure message="m">text</failure></testcase></testsuite></testsuites>"#;
            let at = at.min(whole.len() - 1);
            prop_assert!(!parse_files([&whole[..at]]).complete);
        }
    }

    #[test]
    fn files_of_one_run_are_one_result() {
        let a = br#"<testsuite name="one"><testcase classname="m" name="t"/></testsuite>"#;
        let b = br#"<testsuite name="two"><testcase classname="m" name="t"><failure/></testcase></testsuite>"#;
        let parsed = parse_files([&a[..], &b[..]]);
        let ids: Vec<_> = parsed
            .results
            .iter()
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        assert_eq!(
            ids,
            [("one::m::t", Outcome::Pass), ("two::m::t", Outcome::Fail)]
        );
    }

    #[test]
    fn one_empty_file_among_others_makes_the_run_incomplete() {
        let a = br#"<testsuite name="one"><testcase name="t"/></testsuite>"#;
        assert!(!parse_files([&a[..], &b""[..]]).complete);
    }
}

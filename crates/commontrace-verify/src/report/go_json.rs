//! `go test -json`: one JSON object a line.
//!
//! An id is `Package/Test`. A package that does not build has no tests: that is a failure outside of
//! them. Lines that are no JSON (what `go` itself prints) are passed over.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Collector, Parsed, Source};
use crate::outcome::Outcome;

const MAX_LINE_BYTES: usize = 1 << 20;
const MAX_OPEN: usize = 100_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    action: Box<str>,
    #[serde(default)]
    package: Option<Box<str>>,
    #[serde(default)]
    import_path: Option<Box<str>>,
    #[serde(default)]
    test: Option<Box<str>>,
    #[serde(default)]
    failed_build: Option<Box<str>>,
}

/// Reads the output of `go test -json`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut collector = Collector::default();
    let mut running: BTreeSet<String> = BTreeSet::new();
    let mut packages: BTreeSet<String> = BTreeSet::new();
    let mut failing: BTreeSet<String> = BTreeSet::new();
    let mut events = 0_u64;
    for line in bytes.split(|byte| *byte == b'\n') {
        if !line.starts_with(b"{") || line.len() > MAX_LINE_BYTES {
            continue;
        }
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            continue;
        };
        events += 1;
        let package = line.package.as_deref().unwrap_or_default();
        let outcome = match &*line.action {
            "pass" | "bench" => Outcome::Pass,
            "fail" => Outcome::Fail,
            "skip" => Outcome::Skip,
            "build-fail" => {
                let what = line.import_path.as_deref().unwrap_or(package);
                collector.build_failed();
                collector.failure_outside_tests(&format!("{what} does not build"));
                continue;
            }
            "start" if packages.len() < MAX_OPEN => {
                packages.insert(package.to_owned());
                continue;
            }
            "run" if running.len() < MAX_OPEN => {
                if let Some(test) = &line.test {
                    running.insert(format!("{package}/{test}"));
                }
                continue;
            }
            _ => continue,
        };
        let Some(test) = &line.test else {
            packages.remove(package);
            let without_a_test = outcome == Outcome::Fail && !failing.contains(package);
            if line.failed_build.is_some() {
                collector.build_failed();
            } else if without_a_test {
                collector.failure_outside_tests(&format!("{package} failed outside of its tests"));
            }
            continue;
        };
        let id = format!("{package}/{test}");
        running.remove(&id);
        if outcome == Outcome::Fail && failing.len() < MAX_OPEN {
            failing.insert(package.to_owned());
        }
        collector.add(&id, outcome, None);
    }
    // A test that began and did not end was running when its process died.
    for id in &running {
        collector.add(id, Outcome::Fail, Some("it did not end"));
    }
    if events == 0 {
        return Parsed::nothing();
    }
    if !packages.is_empty() {
        collector.incomplete("the end of a package is missing");
    }
    collector.into_report(Source::GoJson)
}

/// What the tests and `go` itself printed, without the events around it.
#[must_use]
pub fn output(bytes: &[u8]) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Printed {
        #[serde(rename = "Output", default)]
        output: String,
    }
    let mut out = Vec::with_capacity(bytes.len() / 2);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match serde_json::from_slice::<Printed>(line) {
            Ok(printed) if line.starts_with(b"{") => {
                out.extend_from_slice(printed.output.as_bytes());
            }
            _ => out.extend_from_slice(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_subtests_and_packages() {
        let log = r#"{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestX"}
{"Action":"output","Package":"m/a","Test":"TestX","Output":"--- PASS: TestFake\n"}
{"Action":"run","Package":"m/a","Test":"TestX/sub"}
{"Action":"fail","Package":"m/a","Test":"TestX/sub","Elapsed":0}
{"Action":"fail","Package":"m/a","Test":"TestX","Elapsed":0}
{"Action":"skip","Package":"m/a","Test":"TestY"}
{"Action":"fail","Package":"m/a","Elapsed":0.1}
"#;
        let parsed = parse(log.as_bytes());
        let ids: Vec<_> = parsed
            .results
            .iter()
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        assert_eq!(
            ids,
            [
                ("m/a/TestX", Outcome::Fail),
                ("m/a/TestX/sub", Outcome::Fail),
                ("m/a/TestY", Outcome::Skip)
            ]
        );
        assert_eq!((parsed.failures_outside_tests, parsed.complete), (0, true));
    }

    #[test]
    fn a_package_that_does_not_build_is_named_by_its_import_path() {
        let log = r#"{"ImportPath":"m/b [m/b.test]","Action":"build-output","Output":"x.go:1: bad\n"}
{"ImportPath":"m/b [m/b.test]","Action":"build-fail"}
{"Action":"start","Package":"m/b"}
{"Action":"fail","Package":"m/b","Elapsed":0,"FailedBuild":"m/b [m/b.test]"}
"#;
        let parsed = parse(log.as_bytes());
        assert!(parsed.build_failed && parsed.results.is_empty());
        assert_eq!(parsed.warnings, ["m/b [m/b.test] does not build"]);
    }

    #[test]
    fn the_output_is_what_was_printed() {
        let log = "{\"Action\":\"start\",\"Package\":\"m\"}\n{\"Action\":\"output\",\"Output\":\"--- FAIL: T\\n\"}\nexit status 1\n";
        assert_eq!(output(log.as_bytes()), b"--- FAIL: T\nexit status 1\n");
    }

    #[test]
    fn a_test_that_never_ended_has_failed() {
        let log = "{\"Action\":\"start\",\"Package\":\"m\"}\n{\"Action\":\"run\",\"Package\":\"m\",\"Test\":\"T\"}\n";
        let parsed = parse(log.as_bytes());
        assert_eq!(parsed.results[0].outcome, Outcome::Fail);
        assert!(!parsed.complete);
    }
}

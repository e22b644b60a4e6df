//! `go test -v`.
//!
//! An id is `package/Test`; the package's line comes after those of its tests.

use crate::outcome::Outcome;
use crate::report::lines::lines;
use crate::report::{Collector, MAX_RESULTS, Parsed, Source};

/// Reads the output of `go test -v`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut collector = Collector::default();
    let mut tests: Vec<(String, Outcome)> = Vec::new();
    let mut packages = 0_u64;
    for line in lines(bytes) {
        let text = line.trim();
        if let Some((name, outcome)) = test_line(text) {
            if tests.len() < MAX_RESULTS {
                tests.push((crate::report::collect::bounded(name), outcome));
            }
            continue;
        }
        let Some((failed, package, note)) = package_line(&line) else {
            continue;
        };
        packages += 1;
        let build = note.contains("[build failed]") || note.contains("[setup failed]");
        if build {
            collector.build_failed();
            collector.failure_outside_tests(&format!("{package} does not build"));
        } else if failed && !tests.iter().any(|(_, outcome)| outcome.failed()) {
            collector.failure_outside_tests(&format!("{package} failed outside of its tests"));
        }
        for (name, outcome) in tests.drain(..) {
            collector.add(&format!("{package}/{name}"), outcome, None);
        }
    }
    if !tests.is_empty() {
        collector.incomplete("the end of a package is missing");
        for (name, outcome) in tests {
            collector.add(&name, outcome, None);
        }
    } else if packages > 0 && !collector.is_empty() {
        collector.declare("packages", packages, packages);
    }
    collector.into_text(Source::GoText)
}

/// `--- FAIL: TestX/sub (0.00s)`
fn test_line(text: &str) -> Option<(&str, Outcome)> {
    let rest = text.strip_prefix("--- ")?;
    let (word, rest) = rest.split_once(": ")?;
    let outcome = match word {
        "PASS" => Outcome::Pass,
        "FAIL" => Outcome::Fail,
        "SKIP" => Outcome::Skip,
        _ => return None,
    };
    Some((
        rest.split_once(" (").map_or(rest, |(name, _)| name),
        outcome,
    ))
}

/// `ok  \tpackage\t0.1s`, `FAIL\tpackage\t0.1s`, `FAIL\tpackage [build failed]`
fn package_line(line: &str) -> Option<(bool, &str, &str)> {
    let (word, rest) = line.split_once('\t')?;
    let failed = match word.trim_end() {
        "ok" => false,
        "FAIL" => true,
        _ => return None,
    };
    let end = rest.find(['\t', ' ']).unwrap_or(rest.len());
    Some((failed, &rest[..end], &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_get_the_package_that_follows_them() {
        let log = "=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\nok  \tm/a\t0.002s\n=== RUN   TestA\n    --- FAIL: TestA/sub (0.00s)\n--- FAIL: TestA (0.00s)\nFAIL\nFAIL\tm/b\t0.003s\nFAIL\tm/c [build failed]\n";
        let parsed = parse(log.as_bytes());
        let ids: Vec<_> = parsed
            .results
            .iter()
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        assert_eq!(
            ids,
            [
                ("m/a/TestA", Outcome::Pass),
                ("m/b/TestA", Outcome::Fail),
                ("m/b/TestA/sub", Outcome::Fail)
            ]
        );
        assert!(parsed.build_failed);
        assert_eq!(parsed.failures_outside_tests, 1);
    }
}

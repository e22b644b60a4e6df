//! The JSON lines of Rust's libtest (`--format json`), and of nextest in that format.
//!
//! libtest does not name its binary, so two binaries that share a test's name share its id, and the
//! worse result counts. nextest puts `package::binary$` before the name, which keeps them apart.

use serde::Deserialize;

use super::{Collector, Parsed, Source};
use crate::outcome::Outcome;

const MAX_LINE_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: Box<str>,
    event: Box<str>,
    #[serde(default)]
    name: Option<Box<str>>,
    #[serde(default)]
    stdout: Option<Box<str>>,
    #[serde(default)]
    test_count: Option<u64>,
}

/// Reads libtest's JSON lines.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut collector = Collector::default();
    let (mut declared, mut found, mut open, mut events) = (0_u64, 0_u64, 0_i64, 0_u64);
    for line in bytes.split(|byte| *byte == b'\n') {
        if !line.starts_with(b"{") || line.len() > MAX_LINE_BYTES {
            continue;
        }
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            continue;
        };
        match (&*line.kind, &*line.event) {
            ("suite", "started") => {
                declared = declared.saturating_add(line.test_count.unwrap_or_default());
                open += 1;
            }
            ("suite", "ok" | "failed") => open -= 1,
            ("test", event @ ("ok" | "failed" | "ignored" | "timeout")) => {
                let outcome = match event {
                    "ok" => Outcome::Pass,
                    "ignored" => Outcome::Skip,
                    // "timeout" only says that a test is slow; its result follows.
                    "timeout" => continue,
                    _ => Outcome::Fail,
                };
                found += 1;
                let name = line.name.as_deref().unwrap_or_default();
                collector.add(name, outcome, line.stdout.as_deref());
            }
            _ => continue,
        }
        events += 1;
    }
    if events == 0 {
        return Parsed::nothing();
    }
    if open > 0 {
        collector.incomplete("the end of a suite is missing");
    } else {
        collector.declare("tests", declared, found);
    }
    collector.into_report(Source::LibtestJson)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Confidence;

    #[test]
    fn tests_of_a_suite() {
        let log = r#"{ "type": "suite", "event": "started", "test_count": 3 }
{ "type": "test", "event": "started", "name": "a::x" }
{ "type": "test", "name": "a::x", "event": "ok" }
{ "type": "test", "name": "a::y", "event": "failed", "stdout": "thread panicked\n" }
{ "type": "test", "name": "a::z", "event": "ignored" }
{ "type": "suite", "event": "failed", "passed": 1, "failed": 1, "ignored": 1 }
"#;
        let parsed = parse(log.as_bytes());
        assert_eq!(parsed.confidence, Confidence::High);
        let totals = parsed.totals();
        assert_eq!((totals.passed, totals.failed, totals.skipped), (1, 1, 1));
    }

    #[test]
    fn a_suite_without_an_end_is_cut() {
        let log = r#"{ "type": "suite", "event": "started", "test_count": 2 }
{ "type": "test", "name": "a", "event": "ok" }"#;
        assert!(!parse(log.as_bytes()).complete);
    }
}

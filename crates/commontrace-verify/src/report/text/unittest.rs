//! `python -m unittest -v`, and Django's runner, which prints the same.
//!
//! An id is `module.Class.method`. What a test logs may stand between its name and its result. Without
//! `-v` only failures are named.

use crate::outcome::Outcome;
use crate::report::lines::lines;
use crate::report::{Collector, Parsed, Source};

/// Reads the output of unittest.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut collector = Collector::default();
    let mut pending: Option<String> = None;
    // A test with a docstring: its name stands alone, the docstring's first line has the result.
    let mut named: Option<String> = None;
    let (mut ran, mut summaries, mut counted) = (0_u64, 0_u64, 0_u64);
    for line in lines(bytes) {
        let text = line.trim();
        if let Some((outcome, name)) = failure_heading(text) {
            if let Some(id) = id(name) {
                collector.add(&id, outcome, None);
            }
            (pending, named) = (None, None);
        } else if let Some(number) = ran_line(text) {
            ran = ran.saturating_add(number);
            summaries += 1;
            (pending, named) = (None, None);
        } else if let Some((name, result)) = text
            .split_once(" ... ")
            .or_else(|| text.strip_suffix(" ...").map(|name| (name, "")))
        {
            let Some(id) = id(name).or_else(|| named.take()) else {
                continue;
            };
            named = None;
            match outcome(result) {
                Some(outcome) => {
                    counted += 1;
                    collector.add(&id, outcome, None);
                    pending = None;
                }
                None => pending = Some(id),
            }
        } else if let Some((id, outcome)) = pending.as_ref().zip(outcome(text)) {
            counted += 1;
            collector.add(id, outcome, None);
            pending = None;
        } else if let Some(id) = id(text) {
            named = Some(id);
        }
    }
    if let Some(id) = pending {
        collector.add(&id, Outcome::Fail, Some("it did not end"));
    }
    if summaries > 0 {
        collector.declare("tests", ran, counted);
    }
    collector.into_text(Source::UnittestText)
}

/// `FAIL: test_x (m.C.test_x) (i=3)`
fn failure_heading(text: &str) -> Option<(Outcome, &str)> {
    if let Some(rest) = text.strip_prefix("FAIL: ") {
        return Some((Outcome::Fail, rest));
    }
    Some((Outcome::Error, text.strip_prefix("ERROR: ")?))
}

/// `Ran 3 tests in 0.001s`
fn ran_line(text: &str) -> Option<u64> {
    let (number, rest) = text.strip_prefix("Ran ")?.split_once(' ')?;
    rest.starts_with("test").then(|| number.parse().ok())?
}

/// `test_x (m.C.test_x)`, or before Python 3.11 `test_x (m.C)`, as `m.C.test_x`.
fn id(text: &str) -> Option<String> {
    let (method, rest) = text.split_once(" (")?;
    let (place, _) = rest.split_once(')')?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
    };
    if !is_name(method) || method.contains('.') || !is_name(place) || !place.contains('.') {
        return None;
    }
    let whole = place
        .rsplit_once('.')
        .is_some_and(|(_, last)| last == method);
    Some(if whole {
        place.to_owned()
    } else {
        format!("{place}.{method}")
    })
}

fn outcome(text: &str) -> Option<Outcome> {
    match text.trim() {
        "ok" | "expected failure" => Some(Outcome::Pass),
        "FAIL" | "unexpected success" => Some(Outcome::Fail),
        "ERROR" => Some(Outcome::Error),
        text if text == "skipped" || text.starts_with("skipped ") => Some(Outcome::Skip),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Confidence;

    #[test]
    fn names_docstrings_logs_and_failures() {
        let log = "test_a (m.C.test_a) ... ok
test_b (m.C.test_b)
Says what it does. ... FAIL
test_c (m.C) ... WARNING: something was logged
ok
test_d (m.C.test_d) ... skipped 'no'
test_e (m.C.test_e) ... expected failure
n (unittest.loader._FailedTest.n) ... ERROR

======================================================================
FAIL: test_b (m.C.test_b)
Says what it does.
----------------------------------------------------------------------
Ran 6 tests in 0.001s

FAILED (failures=1, errors=1, skipped=1, expected failures=1)
";
        let parsed = parse(log.as_bytes());
        let ids: Vec<_> = parsed
            .results
            .iter()
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        assert_eq!(
            ids,
            [
                ("m.C.test_a", Outcome::Pass),
                ("m.C.test_b", Outcome::Fail),
                ("m.C.test_c", Outcome::Pass),
                ("m.C.test_d", Outcome::Skip),
                ("m.C.test_e", Outcome::Pass),
                ("unittest.loader._FailedTest.n", Outcome::Error),
            ]
        );
        assert_eq!(parsed.confidence, Confidence::Medium);
    }

    #[test]
    fn a_printed_pass_does_not_outweigh_the_failure() {
        let log = "test_a (m.C.test_a) ... FAIL\ntest_a (m.C.test_a) ... ok\nRan 1 test in 0.0s\n";
        let parsed = parse(log.as_bytes());
        assert_eq!(parsed.results[0].outcome, Outcome::Fail);
        assert!(parsed.disagrees);
    }
}

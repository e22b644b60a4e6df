//! `cargo nextest run`.
//!
//! An id is `binary::path`. A test that passed when it was tried again is flaky.

use crate::outcome::Outcome;
use crate::report::lines::lines;
use crate::report::{Collector, Parsed, Source};

/// Reads the output of `cargo nextest run`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut collector = Collector::default();
    let mut summary = None;
    for line in lines(bytes) {
        let text = line.trim();
        if text.starts_with("error: could not compile") {
            collector.build_failed();
            collector.warn(text.to_owned());
        } else if let Some(rest) = text.strip_prefix("Summary [") {
            summary = summary.or_else(|| counts(rest));
        } else if let Some((status, id)) = test_line(text) {
            match status {
                "PASS" | "LEAK" => collector.add(&id, Outcome::Pass, None),
                "SKIP" => collector.add(&id, Outcome::Skip, None),
                _ if status.starts_with("FLAKY") => {
                    collector.add(&id, Outcome::Pass, None);
                    collector.flaky(&id);
                }
                // One of several tries; the line with the result follows.
                _ if status.starts_with("TRY") && !status.ends_with("PASS") => {}
                _ if status.starts_with("TRY") => collector.add(&id, Outcome::Pass, None),
                "FAIL" | "TIMEOUT" | "ABORT" | "XFAIL" => collector.add(&id, Outcome::Fail, None),
                _ if status.starts_with("SIG") => collector.add(&id, Outcome::Fail, Some(status)),
                _ => {}
            }
        }
    }
    if let Some((passed, failed)) = summary {
        let totals = collector.totals();
        collector.declare("passed tests", passed, totals.passed);
        collector.declare("failed tests", failed, totals.not_passed());
    }
    collector.into_text(Source::NextestText)
}

/// `PASS [   0.005s] (1/2) crate::bin tests::a` as status and id.
fn test_line(text: &str) -> Option<(&str, String)> {
    let (status, rest) = text.split_once(" [")?;
    if !status.starts_with(|c: char| c.is_ascii_uppercase()) || status.len() > 20 {
        return None;
    }
    let (time, rest) = rest.split_once("] ")?;
    time.trim()
        .trim_start_matches('>')
        .ends_with('s')
        .then_some(())?;
    let rest = rest.trim_start();
    let rest = match rest
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(") "))
    {
        Some((_, rest)) => rest.trim_start(),
        None => rest,
    };
    let (binary, test) = rest.split_once(' ')?;
    Some((status.trim(), format!("{binary}::{}", test.trim())))
}

/// `   0.010s] 3 tests run: 2 passed (1 flaky), 1 failed, 0 skipped` as passed and failed.
fn counts(text: &str) -> Option<(u64, u64)> {
    let (_, text) = text.split_once("run:")?;
    let (mut passed, mut failed) = (0_u64, 0_u64);
    for part in text.split(',') {
        let Some((number, what)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        let what = what.split(' ').next().unwrap_or(what);
        match what {
            "passed" => passed = number,
            "failed" | "timed" | "exec" => failed = failed.saturating_add(number),
            _ => {}
        }
    }
    Some((passed, failed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Confidence;

    #[test]
    fn results_tries_and_the_list_of_failures_after_the_summary() {
        let log = "
        PASS [   0.005s] (1/4) foo tests::a
        FAIL [   0.006s] (2/4) foo::it tests::b
  TRY 1 FAIL [   0.002s] (3/4) foo tests::c
  FLAKY 2/2 [   0.003s] (3/4) foo tests::c
     SIGABRT [   0.002s] (4/4) foo tests::d
------------
     Summary [   0.010s] 4 tests run: 2 passed (1 flaky), 2 failed, 0 skipped
        FAIL [   0.006s] foo::it tests::b
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
                ("foo::it::tests::b", Outcome::Fail),
                ("foo::tests::a", Outcome::Pass),
                ("foo::tests::c", Outcome::Pass),
                ("foo::tests::d", Outcome::Fail),
            ]
        );
        assert_eq!(parsed.flaky, ["foo::tests::c"]);
        assert_eq!(parsed.confidence, Confidence::Medium);
    }
}

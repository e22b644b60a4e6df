//! pytest: the lines of `-v`, the short summary (`-rA`), and the counts at the end.
//!
//! An id is the one that pytest's JUnit report gives the test, `tests.test_a.TestX::test_y[param]`, so that a
//! run that was stopped before it wrote a report can be compared with one that was not. An expected failure is a pass, and so is
//! an unexpected pass unless pytest calls it failed.

use crate::outcome::Outcome;
use crate::report::lines::lines;
use crate::report::{Collector, Parsed, Source};

const WORDS: [(&str, Outcome); 6] = [
    ("PASSED", Outcome::Pass),
    ("FAILED", Outcome::Fail),
    ("ERROR", Outcome::Error),
    ("SKIPPED", Outcome::Skip),
    ("XFAIL", Outcome::Pass),
    ("XPASS", Outcome::Pass),
];

/// Reads the output of pytest.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut collector = Collector::default();
    let mut counts = None;
    for line in lines(bytes) {
        let text = line.trim();
        if let Some(found) = Counts::of(text) {
            counts = Some(found);
        } else if let Some((id, outcome, detail)) =
            summary_line(text).or_else(|| verbose_line(text))
        {
            collector.add(&junit_id(id), outcome, detail);
        }
    }
    if let Some(counts) = counts {
        let totals = collector.totals();
        collector.declare("passed tests", counts.passed, totals.passed);
        collector.declare("failed tests", counts.failed, totals.failed);
        if counts.errors > totals.errors {
            collector.failure_outside_tests("pytest counts more errors than it names tests");
        }
    }
    collector.into_text(Source::PytestText)
}

/// `FAILED tests/test_a.py::test_x - AssertionError`, `PASSED …`, `ERROR tests/test_a.py`
fn summary_line(text: &str) -> Option<(&str, Outcome, Option<&str>)> {
    let (outcome, rest) = WORDS.iter().find_map(|(word, outcome)| {
        Some((*outcome, text.strip_prefix(word)?.strip_prefix(' ')?))
    })?;
    // `SKIPPED [1] tests/test_a.py:3: why` has no id.
    let (id, detail) = match split_reason(rest) {
        Some((id, detail)) => (id, Some(detail)),
        None => (rest, None),
    };
    let is_id = id.contains("::") || (outcome == Outcome::Error && is_file(id));
    (is_id && !id.starts_with('[')).then_some((id, outcome, detail))
}

/// The reason follows the first ` - ` that is not within a parameter's brackets.
fn split_reason(text: &str) -> Option<(&str, &str)> {
    let from = match (text.find('['), text.find(" - ")) {
        (Some(open), Some(dash)) if open < dash => text.find("] - ").map_or(dash, |at| at + 1),
        (_, dash) => dash?,
    };
    Some((&text[..from], &text[from + 3..]))
}

fn is_file(text: &str) -> bool {
    text.ends_with(".py") && !text.contains(' ')
}

/// `tests/test_a.py::test_x PASSED   [ 50%]`, also as pytest-xdist prints it
fn verbose_line(text: &str) -> Option<(&str, Outcome, Option<&str>)> {
    if let Some(rest) = text.strip_prefix("[gw") {
        let (_, rest) = rest.split_once(']')?;
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?.1.trim_start(),
            None => rest,
        };
        return summary_line(rest);
    }
    let rest = match text.rsplit_once('[') {
        Some((rest, percent)) if percent.ends_with("%]") => rest.trim_end(),
        _ => text,
    };
    // `SKIPPED (why)`
    let (rest, detail) = match rest.rsplit_once(" (") {
        Some((before, why)) if why.ends_with(')') && ends_with_word(before).is_some() => {
            (before, Some(why.trim_end_matches(')')))
        }
        _ => (rest, None),
    };
    let (id, outcome) = ends_with_word(rest)?;
    id.contains("::").then_some((id, outcome, detail))
}

fn ends_with_word(text: &str) -> Option<(&str, Outcome)> {
    WORDS.iter().find_map(|(word, outcome)| {
        let id = text.strip_suffix(word)?.strip_suffix(' ')?;
        Some((id.trim_end(), *outcome))
    })
}

/// `tests/test_a.py::TestX::test_y[a::b]` as `tests.test_a.TestX::test_y[a::b]`. A file that could not be
/// loaded stands in the suite itself.
fn junit_id(node: &str) -> String {
    let (file, rest) = node.split_once("::").unwrap_or((node, ""));
    let module = file.strip_suffix(".py").unwrap_or(file).replace('/', ".");
    if rest.is_empty() {
        return format!("pytest::{module}");
    }
    let end = rest.find('[').unwrap_or(rest.len());
    match rest[..end].rfind("::") {
        Some(at) => format!(
            "{module}.{}::{}",
            rest[..at].replace("::", "."),
            &rest[at + 2..]
        ),
        None => format!("{module}::{rest}"),
    }
}

#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    errors: u64,
}

impl Counts {
    /// `=== 1 failed, 2 passed, 1 skipped in 0.05s ===`; with `-q` without the frame
    fn of(text: &str) -> Option<Self> {
        let text = text.trim_matches('=').trim();
        let (list, time) = text.rsplit_once(" in ")?;
        time.starts_with(|c: char| c.is_ascii_digit())
            .then_some(())?;
        let mut counts = Self::default();
        for part in list.split(", ") {
            let (number, what) = part.split_once(' ')?;
            let number = number.parse::<u64>().ok()?;
            match what {
                "passed" | "xfailed" | "xpassed" => {
                    counts.passed = counts.passed.saturating_add(number);
                }
                "failed" => counts.failed = number,
                "error" | "errors" => counts.errors = number,
                "skipped" | "deselected" | "warning" | "warnings" | "rerun" | "subtests passed" => {
                }
                _ => return None,
            }
        }
        Some(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Confidence;

    fn outcomes(parsed: &Parsed) -> Vec<(&str, Outcome)> {
        parsed
            .results
            .iter()
            .map(|result| (result.id.as_str(), result.outcome))
            .collect()
    }

    #[test]
    fn verbose_lines_and_counts() {
        let log = "tests/test_a.py::test_ok PASSED                    [ 25%]
tests/test_a.py::test_p[a b - c] FAILED     [ 50%]
tests/test_a.py::test_s SKIPPED (no network)   [ 75%]
tests/test_a.py::test_x XFAIL (known)   [100%]
=========================== short test summary info ============================
FAILED tests/test_a.py::test_p[a b - c] - AssertionError: assert 1 == 2
==================== 1 failed, 1 passed, 1 skipped, 1 xfailed in 0.05s ====================
";
        let parsed = parse(log.as_bytes());
        assert_eq!(
            outcomes(&parsed),
            [
                ("tests.test_a::test_ok", Outcome::Pass),
                ("tests.test_a::test_p[a b - c]", Outcome::Fail),
                ("tests.test_a::test_s", Outcome::Skip),
                ("tests.test_a::test_x", Outcome::Pass),
            ]
        );
        assert_eq!(parsed.confidence, Confidence::Medium);
    }

    #[test]
    fn the_short_summary_and_a_file_that_does_not_load() {
        let log = "PASSED tests/test_a.py::test_ok\nERROR tests/test_b.py - ImportError: x\n1 passed, 1 error in 0.1s\n";
        let parsed = parse(log.as_bytes());
        assert_eq!(
            outcomes(&parsed),
            [
                ("pytest::tests.test_b", Outcome::Error),
                ("tests.test_a::test_ok", Outcome::Pass)
            ]
        );
        assert_eq!(parsed.confidence, Confidence::Medium);
    }

    #[test]
    fn a_summary_of_failures_alone_does_not_show_what_passed() {
        let parsed =
            parse(b"FAILED tests/test_a.py::test_b - x\n=== 1 failed, 30 passed in 1.2s ===\n");
        assert!(parsed.disagrees);
    }

    #[test]
    fn lines_of_several_workers() {
        let parsed = parse(b"[gw0] [ 50%] PASSED tests/a.py::t \n[gw1] FAILED tests/a.py::C::u \n");
        assert_eq!(
            outcomes(&parsed),
            [
                ("tests.a.C::u", Outcome::Fail),
                ("tests.a::t", Outcome::Pass)
            ]
        );
    }
}

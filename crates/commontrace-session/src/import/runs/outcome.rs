//! What the output of a test run tells: whether tests failed, and which.

/// At most this many failed tests are named.
const MOST_FAILED: usize = 1000;

/// What was read from an output.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whether all passed; `None` if the output has no sign of it.
    pub(super) passed: Option<bool>,
    /// Those that failed, by name, each once.
    pub(super) failed: Vec<String>,
    /// The runners' own summaries, else the last lines.
    pub(super) summary: String,
}

/// Reads an output line by line; the forms of several runners may stand in one.
pub(super) fn read(output: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let mut summaries: Vec<String> = Vec::new();
    for line in output.lines() {
        let line = plain(line);
        let line = line.trim();
        if let Some(name) = failed_test(line)
            && outcome.failed.len() < MOST_FAILED
            && !outcome.failed.iter().any(|known| known == name)
        {
            outcome.failed.push(name.to_owned());
        }
        if let Some(passed) = verdict(line) {
            outcome.passed = Some(outcome.passed.unwrap_or(true) && passed);
            if summaries.len() < 20 {
                summaries.push(line.to_owned());
            }
        }
    }
    if !outcome.failed.is_empty() {
        outcome.passed = Some(false);
    }
    if summaries.is_empty() {
        let mut last: Vec<&str> = output
            .lines()
            .rev()
            .filter(|line| !line.trim().is_empty())
            .take(3)
            .collect();
        last.reverse();
        summaries = last
            .into_iter()
            .map(|line| plain(line).trim().to_owned())
            .collect();
    }
    outcome.summary = summaries.join("\n");
    outcome
}

/// Whether a line is a runner's summary, and of success.
fn verdict(line: &str) -> Option<bool> {
    if let Some(rest) = line.strip_prefix("test result: ") {
        return Some(rest.starts_with("ok"));
    }
    // pytest, with and without its frame: `== 1 failed, 2 passed in 0.12s ==`.
    let bare = line.trim_matches('=').trim();
    if bare.contains(" in ") && bare.ends_with('s') | bare.ends_with(')') {
        let counts = counts(bare.split(" in ").next().unwrap_or(bare));
        if !counts.is_empty() {
            return Some(
                !counts
                    .iter()
                    .any(|(count, what)| *count > 0 && is_failure(what)),
            );
        }
    }
    if bare.starts_with("no tests ran") {
        return None;
    }
    // jest, vitest: `Tests:  1 failed, 2 passed, 3 total`, `Tests  2 passed (2)`.
    if let Some(rest) = line.strip_prefix("Tests") {
        let rest = rest.trim_start_matches(':').replace('|', ",");
        let counts = counts(&rest);
        if !counts.is_empty() {
            return Some(
                !counts
                    .iter()
                    .any(|(count, what)| *count > 0 && is_failure(what)),
            );
        }
    }
    // nextest: `Summary [ 0.1s] 3 tests run: 2 passed, 1 failed, 0 skipped`.
    if line.starts_with("Summary [")
        && let Some((_, rest)) = line.split_once("run: ")
    {
        return Some(
            !counts(rest)
                .iter()
                .any(|(count, what)| *count > 0 && is_failure(what)),
        );
    }
    // go: one line for each package.
    if line.starts_with("ok  \t") || line.starts_with("ok \t") || line == "PASS" {
        return Some(true);
    }
    if line.starts_with("FAIL\t") || line == "FAIL" {
        return Some(false);
    }
    // unittest ends with a line of its own.
    if line == "OK" || line.starts_with("OK (") {
        return Some(true);
    }
    if line.starts_with("FAILED (") {
        return Some(false);
    }
    // mocha: `3 passing (12ms)`, `1 failing`; rspec: `3 examples, 1 failure`.
    let counts = counts(line);
    match counts.as_slice() {
        [(_, "passing"), ..] => Some(true),
        [(count, "failing")] => Some(*count == 0),
        [
            (_, "examples" | "example"),
            (count, "failures" | "failure"),
            ..,
        ] => Some(*count == 0),
        _ => None,
    }
}

/// The counts of a summary: `1 failed, 2 passed` gives `(1, failed), (2, passed)`.
fn counts(text: &str) -> Vec<(u64, &str)> {
    text.split(',')
        .map_while(|part| {
            let mut words = part.split_whitespace();
            let count = words.next()?.parse().ok()?;
            Some((count, words.next()?))
        })
        .collect()
}

fn is_failure(what: &str) -> bool {
    what.starts_with("fail") || what.starts_with("error") || what.starts_with("timed")
}

/// The name of the test that a line says has failed.
fn failed_test(line: &str) -> Option<&str> {
    // cargo: `test name ... FAILED`.
    if let Some(name) = line
        .strip_prefix("test ")
        .and_then(|rest| rest.strip_suffix(" ... FAILED"))
    {
        return Some(name);
    }
    // go: `--- FAIL: TestName (0.00s)`.
    if let Some(rest) = line.strip_prefix("--- FAIL: ") {
        return rest.split_whitespace().next();
    }
    // pytest: `FAILED tests/test_x.py::test_y - assert 1 == 2`, `ERROR tests/test_x.py`.
    for mark in ["FAILED ", "ERROR "] {
        if let Some(rest) = line.strip_prefix(mark) {
            let name = rest.split(" - ").next().unwrap_or(rest).trim();
            let is_test = name.contains("::") || (name.ends_with(".py") && !name.contains(' '));
            return is_test.then_some(name);
        }
    }
    // unittest: `FAIL: test_x (module.Case)`; vitest: ` FAIL  file > name`.
    for mark in ["FAIL: ", "ERROR: "] {
        if let Some(rest) = line.strip_prefix(mark) {
            return (rest.contains(" (") && rest.ends_with(')')).then_some(rest);
        }
    }
    if let Some(rest) = line.strip_prefix("FAIL ") {
        let rest = rest.trim();
        return rest.contains(" > ").then_some(rest);
    }
    // jest: `● suite › name`.
    if let Some(rest) = line.strip_prefix("● ") {
        return rest.contains(" › ").then_some(rest);
    }
    // TAP: `not ok 2 - name`.
    if let Some(rest) = line.strip_prefix("not ok ") {
        let name = rest
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .trim_start_matches([' ', '-']);
        return (!name.is_empty() && !name.contains("# TODO") && !name.contains("# SKIP"))
            .then_some(name);
    }
    None
}

/// A line without the escapes that colour it.
fn plain(line: &str) -> std::borrow::Cow<'_, str> {
    crate::text::without_ansi(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, passed: Option<bool>, failed: &[&str], summary: &str) {
        let outcome = read(output);
        assert_eq!(outcome.passed, passed, "{output}");
        assert_eq!(outcome.failed, failed, "{output}");
        assert_eq!(outcome.summary, summary, "{output}");
    }

    #[test]
    fn each_runner_is_read() {
        check(
            "running 2 tests\ntest a::x ... ok\ntest a::y ... FAILED\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored",
            Some(false),
            &["a::y"],
            "test result: FAILED. 1 passed; 1 failed; 0 ignored",
        );
        check(
            "FAILED tests/test_a.py::test_b - assert 1 == 2\n\u{1b}[31m=== \u{1b}[1m1 failed\u{1b}[0m, 2 passed in 0.12s ===\u{1b}[0m",
            Some(false),
            &["tests/test_a.py::test_b"],
            "=== 1 failed, 2 passed in 0.12s ===",
        );
        check(
            "3 passed, 1 warning in 0.5s",
            Some(true),
            &[],
            "3 passed, 1 warning in 0.5s",
        );
        check(
            "--- FAIL: TestA (0.00s)\nFAIL\tacme.org/x\t0.01s\nok  \tacme.org/y\t0.1s",
            Some(false),
            &["TestA"],
            "FAIL\tacme.org/x\t0.01s\nok  \tacme.org/y\t0.1s",
        );
        check(
            "● math › adds\nTests:       1 failed, 4 passed, 5 total",
            Some(false),
            &["math › adds"],
            "Tests:       1 failed, 4 passed, 5 total",
        );
        check(
            "      Tests  5 passed (5)",
            Some(true),
            &[],
            "Tests  5 passed (5)",
        );
        check("Ran 2 tests in 0.1s\n\nOK", Some(true), &[], "OK");
        check(
            "FAIL: test_x (m.Case)\nRan 2 tests in 0.1s\nFAILED (failures=1)",
            Some(false),
            &["test_x (m.Case)"],
            "FAILED (failures=1)",
        );
        check(
            "  3 passing (12ms)\n  1 failing",
            Some(false),
            &[],
            "3 passing (12ms)\n1 failing",
        );
        check(
            "ok 1 - a\nnot ok 2 - b",
            Some(false),
            &["b"],
            "ok 1 - a\nnot ok 2 - b",
        );
        check(
            "Summary [   0.1s] 2 tests run: 2 passed, 0 skipped",
            Some(true),
            &[],
            "Summary [   0.1s] 2 tests run: 2 passed, 0 skipped",
        );
    }

    #[test]
    fn output_without_a_verdict_says_nothing() {
        check(
            "compiling\nerror: no such file",
            None,
            &[],
            "compiling\nerror: no such file",
        );
        check("", None, &[], "");
        check(
            "collected 0 items\n=== no tests ran in 0.01s ===",
            None,
            &[],
            "collected 0 items\n=== no tests ran in 0.01s ===",
        );
    }
}

//! What the output of a run of tests tells: what came of them, and which failed.

use crate::text::without_ansi;

/// At most this many failed tests are named.
const MOST_FAILED: usize = 1000;

/// What came of a run of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Tests ran and none failed.
    Passed,
    /// A test failed, or they could not be built or collected.
    Failed,
    /// It says that no test ran.
    NothingRan,
}

/// What an output tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TestOutput {
    /// What came of the tests; `None` if there is no sign of it.
    pub outcome: Option<Outcome>,
    /// Those that failed, by name, each once.
    pub failed: Vec<String>,
    /// The runners' own summaries, else the last lines.
    pub summary: String,
}

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Some passed and none failed.
    Passed,
    Failed,
    /// None of them ran.
    Nothing,
    /// All is well, which a runner says of no tests too.
    Well,
}

/// Reads an output line by line; the forms of several runners may stand in one.
pub fn read(output: &str) -> TestOutput {
    let mut read = TestOutput::default();
    let mut summaries: Vec<String> = Vec::new();
    let mut signs: Vec<Sign> = Vec::new();
    for line in output.lines() {
        let line = without_ansi(line);
        let line = line.trim();
        if let Some(name) = failed_test(line)
            && read.failed.len() < MOST_FAILED
            && !read.failed.iter().any(|known| known == name)
        {
            read.failed.push(name.to_owned());
        }
        let summary = summary(line);
        if let Some(sign) = summary.or_else(|| remark(line))
            && !signs.contains(&sign)
        {
            signs.push(sign);
        }
        if summary.is_some() && summaries.len() < 20 {
            summaries.push(line.to_owned());
        }
    }
    let seen = |sign| signs.contains(&sign);
    read.outcome = if !read.failed.is_empty() || seen(Sign::Failed) {
        Some(Outcome::Failed)
    } else if seen(Sign::Passed) {
        Some(Outcome::Passed)
    } else if seen(Sign::Nothing) {
        Some(Outcome::NothingRan)
    } else {
        seen(Sign::Well).then_some(Outcome::Passed)
    };
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
            .map(|line| without_ansi(line).trim().to_owned())
            .collect();
    }
    read.summary = summaries.join("\n");
    read
}

/// What a line tells that is a runner's summary.
fn summary(line: &str) -> Option<Sign> {
    if let Some(rest) = line.strip_prefix("test result: ") {
        return Some(match rest {
            _ if !rest.starts_with("ok") => Sign::Failed,
            _ if rest.starts_with("ok. 0 passed") => Sign::Nothing,
            _ => Sign::Passed,
        });
    }
    // pytest, with and without its frame: `== 1 failed, 2 passed in 0.12s ==`.
    let bare = line.trim_matches('=').trim();
    if bare.contains(" in ") && bare.ends_with('s') | bare.ends_with(')') {
        let counts = counts(bare.split(" in ").next().unwrap_or(bare));
        // `3 files in 2 folders` counts no tests.
        if counts.iter().any(|(_, what)| PYTEST.contains(what)) {
            return Some(counted(&counts));
        }
    }
    // jest, vitest: `Tests:  1 failed, 2 passed, 3 total`, `Tests  2 passed (2)`.
    if let Some(rest) = line.strip_prefix("Tests") {
        let rest = rest.trim_start_matches(':').replace('|', ",");
        let counts = counts(&rest);
        if !counts.is_empty() {
            return Some(counted(&counts));
        }
    }
    // nextest: `Summary [ 0.1s] 3 tests run: 2 passed, 1 failed, 0 skipped`.
    if line.starts_with("Summary [")
        && let Some((_, rest)) = line.split_once("run: ")
    {
        return Some(counted(&counts(rest)));
    }
    // Maven, PHPUnit: `Tests run: 3, Failures: 1, Errors: 0`, `Tests: 3, Assertions: 4, Failures: 1.`
    let named = named_counts(line);
    if !named.is_empty() {
        return Some(counted(&named));
    }
    // go: one line for each package.
    if line.starts_with("ok  \t") || line.starts_with("ok \t") {
        let is_empty = line.ends_with("[no tests to run]");
        return Some(if is_empty {
            Sign::Nothing
        } else {
            Sign::Passed
        });
    }
    // unittest ends with a line of its own.
    if line == "FAIL" || line.starts_with("FAIL\t") || line.starts_with("FAILED (") {
        return Some(Sign::Failed);
    }
    if line == "PASS" || line == "OK" || line.starts_with("OK (") {
        return Some(Sign::Well);
    }
    // mocha: `3 passing (12ms)`, `1 failing`; rspec: `3 examples, 1 failure`; Playwright: `2 passed (1s)`.
    let counts = counts(bare);
    let is_summary = match counts.as_slice() {
        [(_, "passing" | "failing"), ..] => true,
        [(_, "passed" | "failed"), ..] => bare.split(',').all(is_count),
        [
            (_, "examples" | "example" | "tests" | "test"),
            (_, second),
            ..,
        ] => second.starts_with("failure"),
        _ => false,
    };
    is_summary.then(|| counted(&counts))
}

/// Whether a text is a number and what it counts, and at most a remark in brackets.
fn is_count(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words
        .next()
        .is_some_and(|count| count.bytes().all(|b| b.is_ascii_digit()))
        && words.next().is_some()
        && words.next().is_none_or(|remark| remark.starts_with('('))
}

/// What a line tells beside the summaries.
fn remark(line: &str) -> Option<Sign> {
    const FAILS: &[&str] = &[
        "FAILURES!",
        "Bail out!",
        "ERROR collecting",
        "error: could not compile",
        "error: test failed",
    ];
    if FAILS.iter().any(|start| line.starts_with(start)) {
        return Some(Sign::Failed);
    }
    if NOTHING.iter().any(|words| contains_uncased(line, words)) {
        return Some(Sign::Nothing);
    }
    // TAP: `ok 2 - name`; what failed is known by its name.
    let number = line.strip_prefix("ok ")?;
    number
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(Sign::Passed)
}

/// What pytest counts.
const PYTEST: &[&str] = &[
    "passed",
    "failed",
    "error",
    "errors",
    "skipped",
    "deselected",
    "xfailed",
    "xpassed",
];

/// What runners say when there was nothing to run.
const NOTHING: &[&str] = &[
    "no tests ran",
    "no tests to run",
    "no tests found",
    "no test found",
    "no tests were found",
    "no test files",
    "no tests executed",
    "collected 0 items",
    "ran 0 tests",
    "running 0 tests",
    "0 tests executed",
];

fn contains_uncased(line: &str, words: &str) -> bool {
    line.as_bytes()
        .windows(words.len())
        .any(|window| window.eq_ignore_ascii_case(words.as_bytes()))
}

/// What the counts of a summary tell.
fn counted(counts: &[(u64, &str)]) -> Sign {
    // What was not run, and what is no test or counted elsewhere.
    const NOT_RUN: &[&str] = &[
        "skip",
        "deselected",
        "warning",
        "pending",
        "todo",
        "ignored",
        "filtered",
        "total",
        "assertion",
        "fail",
        "error",
        "timed",
    ];
    let some =
        |is: &dyn Fn(&str) -> bool| counts.iter().any(|(count, what)| *count > 0 && is(what));
    if some(&is_failure) {
        Sign::Failed
    } else if some(&|what| !NOT_RUN.iter().any(|word| what.starts_with(word))) {
        Sign::Passed
    } else {
        Sign::Nothing
    }
}

/// The counts of `Tests run: 3, Failures: 1`, by the names in lower case that other summaries have for them.
fn named_counts(line: &str) -> Vec<(u64, &'static str)> {
    let Some(at) = line.find("Tests run: ").or_else(|| line.find("Tests: ")) else {
        return Vec::new();
    };
    line[at..]
        .split(',')
        .filter_map(|part| {
            let (name, count) = part.split_once(": ")?;
            let count = count
                .trim()
                .trim_end_matches('.')
                .split(' ')
                .next()?
                .parse()
                .ok()?;
            let name = match name.trim() {
                "Tests run" | "Tests" => "run",
                "Failures" => "failures",
                "Errors" => "errors",
                "Skipped" => "skipped",
                _ => return None,
            };
            Some((count, name))
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, outcome: Option<Outcome>, failed: &[&str], summary: &str) {
        let read = read(output);
        assert_eq!(read.outcome, outcome, "{output}");
        assert_eq!(read.failed, failed, "{output}");
        assert_eq!(read.summary, summary, "{output}");
    }

    #[test]
    fn each_runner_is_read() {
        check(
            "running 2 tests\ntest a::x ... ok\ntest a::y ... FAILED\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored",
            Some(Outcome::Failed),
            &["a::y"],
            "test result: FAILED. 1 passed; 1 failed; 0 ignored",
        );
        check(
            "FAILED tests/test_a.py::test_b - assert 1 == 2\n\u{1b}[31m=== \u{1b}[1m1 failed\u{1b}[0m, 2 passed in 0.12s ===\u{1b}[0m",
            Some(Outcome::Failed),
            &["tests/test_a.py::test_b"],
            "=== 1 failed, 2 passed in 0.12s ===",
        );
        check(
            "3 passed, 1 warning in 0.5s",
            Some(Outcome::Passed),
            &[],
            "3 passed, 1 warning in 0.5s",
        );
        check(
            "--- FAIL: TestA (0.00s)\nFAIL\tacme.org/x\t0.01s\nok  \tacme.org/y\t0.1s",
            Some(Outcome::Failed),
            &["TestA"],
            "FAIL\tacme.org/x\t0.01s\nok  \tacme.org/y\t0.1s",
        );
        check(
            "● math › adds\nTests:       1 failed, 4 passed, 5 total",
            Some(Outcome::Failed),
            &["math › adds"],
            "Tests:       1 failed, 4 passed, 5 total",
        );
        check(
            "      Tests  5 passed (5)",
            Some(Outcome::Passed),
            &[],
            "Tests  5 passed (5)",
        );
        check(
            "Ran 2 tests in 0.1s\n\nOK",
            Some(Outcome::Passed),
            &[],
            "OK",
        );
        check(
            "FAIL: test_x (m.Case)\nRan 2 tests in 0.1s\nFAILED (failures=1)",
            Some(Outcome::Failed),
            &["test_x (m.Case)"],
            "FAILED (failures=1)",
        );
        check(
            "  3 passing (12ms)\n  1 failing",
            Some(Outcome::Failed),
            &[],
            "3 passing (12ms)\n1 failing",
        );
        check(
            "ok 1 - a\nnot ok 2 - b",
            Some(Outcome::Failed),
            &["b"],
            "ok 1 - a\nnot ok 2 - b",
        );
        check(
            "Summary [   0.1s] 2 tests run: 2 passed, 0 skipped",
            Some(Outcome::Passed),
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
        assert_eq!(read("12 files changed in 3 commits").outcome, None);
        assert_eq!(
            read("3 failed attempts\n2 tests to go, then home").outcome,
            None
        );
        check("", None, &[], "");
        check(
            "collected 0 items\n=== no tests ran in 0.01s ===",
            Some(Outcome::NothingRan),
            &[],
            "collected 0 items\n=== no tests ran in 0.01s ===",
        );
    }

    #[test]
    fn a_run_of_no_tests_is_no_pass() {
        for output in [
            "  0 passing (2ms)",
            "0 examples, 0 failures",
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 12 filtered out",
            "Ran 0 tests in 0.000s\n\nOK",
            "=== 3 skipped in 0.01s ===",
            "=== 4 deselected in 0.01s ===",
            "Tests:       5 skipped, 5 total",
            "Summary [   0.0s] 0 tests run: 0 passed, 3 skipped",
            "testing: warning: no tests to run\nPASS\nok  \tacme.org/x\t0.003s [no tests to run]",
            "?   \tacme.org/x\t[no test files]",
            "No tests found, exiting with code 1",
            "Tests run: 0, Failures: 0, Errors: 0, Skipped: 0",
        ] {
            assert_eq!(read(output).outcome, Some(Outcome::NothingRan), "{output}");
        }
        for output in [
            "test result: ok. 0 passed; 0 failed\ntest result: ok. 3 passed; 0 failed",
            "1 passed, 3 skipped in 0.1s",
            "  2 passed (1.2s)",
            "12 examples, 0 failures, 1 pending",
            "Tests run: 3, Failures: 0, Errors: 0, Skipped: 0",
            "OK (3 tests, 9 assertions)",
            "1..1\nok 1 - a",
        ] {
            assert_eq!(read(output).outcome, Some(Outcome::Passed), "{output}");
        }
        for output in [
            "  0 passing (2ms)\n  1 failing",
            "[ERROR] Tests run: 3, Failures: 1, Errors: 0",
            "Tests: 3, Assertions: 4, Failures: 1.",
            "error: could not compile `x`",
            "1 failed, 2 passed",
        ] {
            assert_eq!(read(output).outcome, Some(Outcome::Failed), "{output}");
        }
    }
}

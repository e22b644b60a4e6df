//! What the output of a test runner says.

use std::sync::LazyLock;

use commontrace_session::test_output::Outcome;
use regex::Regex;

/// What a number in an output counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Tests that passed.
    Passed,
    /// Tests that failed or ended in an error.
    Failed,
    /// Tests, whatever came of them.
    Tests,
}

/// A number of tests that an output tells.
pub type Count = (u64, Counted);

/// The longest end of an output that is read: runners say at the end what came of it.
const READ: usize = 256 << 10;
/// The most names that are taken from one output.
const NAMES: usize = 50;

static COUNT: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?ix)
        \b(?<n>\d{1,9})\ (?:tests?\ )?
            (?<what>passed|passing|failed|failing|failures?|errors?|examples?|tests?)\b
        | \b(?<label>passed|pass|failed|fail|failures|errors|tests\ run|ran)(?::|=|\ )\ {0,3}(?<m>\d{1,9})\b",
    )
});

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?mx)
        ^FAILED\ (?<a>\S+)
        | ^test\ (?<b>\S+)\ \.\.\.\ FAILED
        | ^\s*---\ FAIL:\ (?<c>\S+)
        | ^(?:FAIL|ERROR):\ (?<d>\w+)
        | ^\s*[✕×✗]\ (?<e>[^\n(]{1,200}?)\ *(?:\(\d+\ ?ms\))?$
        | ^not\ ok\ \d+\ -\ (?<f>[^\#\n]{1,200})$",
    )
});

/// Says what came of a run of tests by its output; nothing if that does not tell.
pub fn outcome(output: &str) -> Option<Outcome> {
    commontrace_session::test_output::read(end(output)).outcome
}

/// The numbers of tests that an output tells, in its order.
pub fn counts(output: &str) -> impl Iterator<Item = Count> {
    COUNT.captures_iter(end(output)).filter_map(|found| {
        let number = found
            .name("n")
            .or_else(|| found.name("m"))?
            .as_str()
            .parse()
            .ok()?;
        let word = found.name("what").or_else(|| found.name("label"))?.as_str();
        let what = match word.to_ascii_lowercase().as_bytes() {
            [b'p', ..] => Counted::Passed,
            [b'f', ..] | [b'e', b'r', ..] => Counted::Failed,
            _ => Counted::Tests,
        };
        Some((number, what))
    })
}

/// The tests that failed, by the names that the runner prints.
pub fn failed_names(output: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for found in NAME.captures_iter(end(output)) {
        let name = found
            .iter()
            .skip(1)
            .flatten()
            .next()
            .map(|name| name.as_str().trim());
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
        if names.len() == NAMES {
            break;
        }
    }
    names
}

fn end(output: &str) -> &str {
    &output[output.ceil_char_boundary(output.len().saturating_sub(READ))..]
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that the tests compile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, expected: Option<Outcome>) {
        assert_eq!(outcome(output), expected, "{output}");
    }

    #[test]
    fn the_last_lines_of_every_runner_are_read() {
        use Outcome::{Failed, NothingRan, Passed};
        check("== 1 failed, 12 passed in 0.3s ==", Some(Failed));
        check("12 passed in 0.3s", Some(Passed));
        check(
            "test result: ok. 3 passed; 0 failed; 0 ignored",
            Some(Passed),
        );
        check("test result: FAILED. 2 passed; 1 failed;", Some(Failed));
        check(
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed;",
            Some(NothingRan),
        );
        check("ok  \tgithub.com/x/y\t0.003s\n", Some(Passed));
        check("--- FAIL: TestX (0.00s)\nFAIL\n", Some(Failed));
        check("Ran 4 tests in 0.001s\n\nOK\n", Some(Passed));
        check(
            "Ran 4 tests in 0.001s\n\nFAILED (failures=1)\n",
            Some(Failed),
        );
        check("Tests:       1 failed, 5 passed, 6 total", Some(Failed));
        check("  12 passing (30ms)", Some(Passed));
        check("12 examples, 0 failures", Some(Passed));
        check(
            "Tests run: 3, Failures: 0, Errors: 0, Skipped: 0",
            Some(Passed),
        );
        check("Tests run: 3, Failures: 1, Errors: 0", Some(Failed));
        check("OK (3 tests, 9 assertions)", Some(Passed));
        check("ok 1 - a\nnot ok 2 - b\n", Some(Failed));
        check("collected 0 items", Some(NothingRan));
        check("no tests ran in 0.01s", Some(NothingRan));
        check("hello", None);
    }

    #[test]
    fn failed_tests_are_named() {
        assert_eq!(
            failed_names("FAILED tests/a.py::test_x - E\nFAILED b.py::y"),
            ["tests/a.py::test_x", "b.py::y"]
        );
        assert_eq!(
            failed_names("test a::b ... FAILED\ntest c ... ok"),
            ["a::b"]
        );
        assert_eq!(failed_names("--- FAIL: TestX (0.00s)"), ["TestX"]);
        assert_eq!(failed_names("FAIL: test_x (m.C.test_x)"), ["test_x"]);
        assert_eq!(failed_names("  ✕ adds numbers (3 ms)"), ["adds numbers"]);
    }
}

//! `cargo test`.
//!
//! An id is `binary(file)::path`, the binary without the hash that cargo gives it; for doc tests
//! `doc(crate)::file - item (line n)`.

use crate::outcome::Outcome;
use crate::report::lines::lines;
use crate::report::{Collector, Parsed, Source};

/// Reads the output of `cargo test`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut collector = Collector::default();
    let mut binary = String::new();
    // A test whose result has not been printed yet, because it printed something itself.
    let mut pending: Option<String> = None;
    let mut found = Counts::default();
    let mut declared = Counts::default();
    let (mut started, mut ended) = (0_u64, 0_u64);
    for line in lines(bytes) {
        let text = line.trim();
        if let Some(name) = text.strip_prefix("Running ").and_then(running) {
            binary = name;
        } else if let Some(name) = text.strip_prefix("Doc-tests ") {
            binary = format!("doc({})", name.trim());
        } else if text.starts_with("error: could not compile")
            || text.starts_with("error: could not document")
        {
            collector.build_failed();
            collector.warn(text.to_owned());
        } else if let Some(counts) = text.strip_prefix("test result: ").and_then(Counts::of) {
            declared.add(counts);
            ended += 1;
            pending = None;
        } else if is_start(text) {
            started += 1;
            pending = None;
        } else if let Some((name, result)) = test_line(text) {
            let id = id(&binary, name);
            match outcome(result) {
                Some(outcome) => {
                    found.count(outcome);
                    collector.add(&id, outcome, None);
                }
                None => pending = Some(id),
            }
        } else if let Some((id, outcome)) = pending.as_ref().zip(outcome(text)) {
            found.count(outcome);
            collector.add(id, outcome, None);
            pending = None;
        }
    }
    if started > ended {
        collector.failure_outside_tests("a test binary ended without its summary");
    }
    if ended > 0 {
        collector.declare("passed tests", declared.passed, found.passed);
        collector.declare("failed tests", declared.failed, found.failed);
        collector.declare("ignored tests", declared.ignored, found.ignored);
    }
    collector.into_text(Source::CargoText)
}

#[derive(Clone, Copy, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// `FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s`
    fn of(text: &str) -> Option<Self> {
        let (_, text) = text.split_once(". ")?;
        let mut counts = Self::default();
        for part in text.split(';') {
            let Some((number, what)) = part.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                // A benchmark passes like a test.
                "passed" | "measured" => counts.passed = counts.passed.saturating_add(number),
                "failed" => counts.failed = number,
                "ignored" => counts.ignored = number,
                _ => {}
            }
        }
        Some(counts)
    }

    fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.ignored = self.ignored.saturating_add(other.ignored);
    }

    fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Pass => &mut self.passed,
            Outcome::Skip => &mut self.ignored,
            Outcome::Error | Outcome::Fail => &mut self.failed,
        } += 1;
    }
}

/// `unittests src/lib.rs (target/debug/deps/foo-0123456789abcdef)` as `foo(src/lib.rs)`.
fn running(text: &str) -> Option<String> {
    let (what, path) = text.strip_suffix(')')?.split_once(" (")?;
    let file = what.strip_prefix("unittests ").unwrap_or(what).trim();
    let name = path.rsplit(['/', '\\']).next()?;
    let name = name.strip_suffix(".exe").unwrap_or(name);
    let name = match name.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            name
        }
        _ => name,
    };
    Some(format!("{name}({file})"))
}

/// `running 3 tests`
fn is_start(text: &str) -> bool {
    text.strip_prefix("running ")
        .and_then(|rest| rest.split_once(' '))
        .is_some_and(|(n, what)| n.parse::<u64>().is_ok() && what.starts_with("test"))
}

/// `test a::b ... ok`, parted at the last ` ... `.
fn test_line(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("test ")?;
    if let Some(name) = rest.strip_suffix(" ...") {
        return Some((name, ""));
    }
    let (name, result) = rest.split_once(" ... ")?;
    // A name has spaces only in doc tests, which have ` - ` in them, and before a note.
    let plausible = !name.contains(' ') || name.contains(" - ");
    plausible.then_some((name, result.trim()))
}

fn outcome(text: &str) -> Option<Outcome> {
    // With `--report-time` the time follows.
    let word = text.split_once(" <").map_or(text, |(word, _)| word).trim();
    match word {
        "ok" => Some(Outcome::Pass),
        "FAILED" | "failed" => Some(Outcome::Fail),
        _ if word.starts_with("FAILED (") => Some(Outcome::Fail),
        _ if word == "ignored" || word.starts_with("ignored, ") => Some(Outcome::Skip),
        _ if word.starts_with("bench:") => Some(Outcome::Pass),
        _ => None,
    }
}

fn id(binary: &str, name: &str) -> String {
    let name = name.strip_suffix(" - should panic").unwrap_or(name).trim();
    if binary.is_empty() {
        name.to_owned()
    } else {
        format!("{binary}::{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Confidence;

    const LOG: &str = "   Compiling foo v0.1.0 (/src)
    Finished `test` profile [unoptimized] target(s) in 0.5s
     Running unittests src/lib.rs (target/debug/deps/foo-0123456789abcdef)

running 4 tests
test tests::good ... ok
test tests::bad ... FAILED
test tests::slow ... ignored, takes long
test tests::panics - should panic ... ok

failures:

---- tests::bad stdout ----
assertion failed

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/it.rs (target/debug/deps/it-fedcba9876543210)

running 1 test
test noisy ... hello from the test
ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests foo

running 1 test
test src/lib.rs - add (line 3) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    #[test]
    fn binaries_doc_tests_and_noise() {
        let parsed = parse(LOG.as_bytes());
        let ids: Vec<_> = parsed
            .results
            .iter()
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        assert_eq!(
            ids,
            [
                ("doc(foo)::src/lib.rs - add (line 3)", Outcome::Pass),
                ("foo(src/lib.rs)::tests::bad", Outcome::Fail),
                ("foo(src/lib.rs)::tests::good", Outcome::Pass),
                ("foo(src/lib.rs)::tests::panics", Outcome::Pass),
                ("foo(src/lib.rs)::tests::slow", Outcome::Skip),
                ("it(tests/it.rs)::noisy", Outcome::Pass),
            ]
        );
        assert_eq!(
            (parsed.confidence, parsed.disagrees),
            (Confidence::Medium, false)
        );
    }

    #[test]
    fn a_line_that_something_else_printed_does_not_agree_with_the_summary() {
        let forged = LOG.replace("assertion failed", "test tests::forged ... ok");
        let parsed = parse(forged.as_bytes());
        assert_eq!(
            (parsed.confidence, parsed.disagrees),
            (Confidence::Low, true)
        );
    }

    #[test]
    fn a_build_that_failed_and_a_binary_that_died() {
        assert!(
            parse(b"error: could not compile `foo` (lib test) due to 1 previous error\n")
                .build_failed
        );
        let died =
            parse(b"running 2 tests\ntest a ... ok\nerror: test failed, to rerun pass `--lib`\n");
        assert_eq!(died.failures_outside_tests, 1);
    }
}

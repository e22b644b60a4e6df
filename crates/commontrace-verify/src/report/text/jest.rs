//! The trees of check marks that jest, vitest, mocha and node's `spec` reporter print.
//!
//! An id is the file if one was announced, the titles around the test, told by indentation, and its own.

use std::collections::BTreeMap;

use crate::outcome::Outcome;
use crate::report::collect::bounded;
use crate::report::lines::lines;
use crate::report::{Collector, MAX_RESULTS, Parsed, Source};

/// Titles within titles beyond this are no output of any tool.
const MAX_DEPTH: usize = 32;

/// Reads the output of jest, vitest, mocha or `node --test`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut tree = Tree::default();
    let mut declared: Option<u64> = None;
    let mut suites: Option<u64> = None;
    for line in lines(bytes) {
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let Some(total) = jest_total(text, "Test Suites:") {
            suites = Some(suites.unwrap_or_default().saturating_add(total));
        } else if let Some(total) = total(text) {
            declared = Some(declared.unwrap_or_default().saturating_add(total));
            // What follows a summary repeats the failures.
            tree.in_list = false;
        } else if let Some((name, failed)) = file_line(text) {
            tree.file(name, failed);
        } else if text.starts_with('●') {
            // jest's account of a failure, which may quote anything.
            tree.in_list = false;
        } else if tree.in_list {
            tree.line(indent, text);
        }
    }
    tree.finish(declared, suites)
}

/// What has been read so far, and where in it the next line is.
struct Tree {
    collector: Collector,
    /// Tests that were found, with what repeats an id.
    found: u64,
    file: String,
    titles: Vec<Title>,
    in_list: bool,
    files: BTreeMap<String, File>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            collector: Collector::default(),
            found: 0,
            file: String::new(),
            titles: Vec::new(),
            in_list: true,
            files: BTreeMap::new(),
        }
    }
}

struct Title {
    indent: usize,
    text: String,
    /// Whether node announced it, who closes it with a line like a test's.
    is_suite: bool,
}

#[derive(Default)]
struct File {
    failed: bool,
    tests: u64,
    failed_tests: u64,
}

impl Tree {
    fn file(&mut self, name: &str, failed: bool) {
        self.file = bounded(name);
        self.titles.clear();
        self.in_list = true;
        if self.files.len() < MAX_RESULTS {
            self.files.entry(self.file.clone()).or_default().failed |= failed;
        }
    }

    fn line(&mut self, indent: usize, text: &str) {
        if let Some((outcome, title)) = mark(indent, text) {
            let closes = |top: &Title| top.is_suite && top.indent == indent && top.text == title;
            if self.titles.iter().any(closes) {
                self.titles.retain(|top| top.indent < indent);
                return;
            }
            self.titles.retain(|top| top.indent < indent);
            let mut id: Vec<&str> = Vec::new();
            if !self.file.is_empty() {
                id.push(&self.file);
            }
            id.extend(self.titles.iter().map(|title| title.text.as_str()));
            id.push(title);
            self.collector.add(&id.join(" > "), outcome, None);
            self.found += 1;
            if let Some(file) = self.files.get_mut(&self.file) {
                file.tests += 1;
                file.failed_tests += u64::from(outcome == Outcome::Fail);
            }
        } else if let Some((name, _)) = text.strip_prefix("❯ ").and_then(|t| t.split_once(" (")) {
            // vitest announces a file; its result is told by its tests.
            self.file = bounded(name);
            self.titles.clear();
        } else if is_title(indent, text) && self.titles.len() < MAX_DEPTH {
            self.titles.retain(|top| top.indent < indent);
            let is_suite = text.starts_with("▶ ");
            let title = without_time(text.trim_start_matches("▶ "));
            self.titles.push(Title {
                indent,
                text: bounded(title),
                is_suite,
            });
        }
    }

    /// Files that failed without a failing test could not be loaded. Where no test is shown at all, as
    /// jest does with several files, the files are the tests.
    fn finish(self, declared: Option<u64>, suites: Option<u64>) -> Parsed {
        let Self {
            mut collector,
            found,
            files,
            ..
        } = self;
        for (name, file) in &files {
            if file.failed && file.failed_tests == 0 {
                collector.add(
                    name,
                    Outcome::Error,
                    Some("the file failed outside of its tests"),
                );
            } else if found == 0 {
                collector.add(name, Outcome::Pass, None);
            }
        }
        if found == 0 {
            if let Some(suites) = suites {
                collector.declare("files", suites, files.len() as u64);
            }
        } else if let Some(declared) = declared {
            collector.declare("tests", declared, found);
        }
        collector.into_text(Source::JestText)
    }
}

/// `PASS src/a.test.js (5.1 s)`: the file, and whether it failed
fn file_line(text: &str) -> Option<(&str, bool)> {
    let (rest, failed) = match text.strip_prefix("PASS ") {
        Some(rest) => (rest, false),
        None => (text.strip_prefix("FAIL ")?, true),
    };
    let name = rest.trim().split(' ').next()?;
    (name.contains('.') && !rest.contains(" > ")).then_some((name, failed))
}

/// A line that begins with a check mark, a cross, or mocha's number of a failure.
fn mark(indent: usize, text: &str) -> Option<(Outcome, &str)> {
    let mut chars = text.chars();
    let outcome = match chars.next()? {
        '✓' | '✔' | '√' => Outcome::Pass,
        '✕' | '✖' | '×' | '✗' => Outcome::Fail,
        '○' | '↓' | '✎' | '﹣' => Outcome::Skip,
        // mocha's mark of a pending test.
        '-' if indent > 0 => Outcome::Skip,
        c if c.is_ascii_digit() => {
            let (number, title) = text.split_once(") ")?;
            number.parse::<u32>().ok()?;
            return Some((Outcome::Fail, title.trim()));
        }
        _ => return None,
    };
    let title = chars.as_str().strip_prefix(' ')?.trim();
    let title = title.strip_prefix("skipped ").unwrap_or(title);
    let title = title.strip_prefix("todo ").unwrap_or(title);
    let title = title.split(" # SKIP").next().unwrap_or(title);
    let title = without_time(title);
    // vitest sums up a file's tests on a line of the same look.
    let sums_up =
        title.ends_with(" tests)") || title.ends_with(" test)") || title.contains(" tests | ");
    (!title.is_empty() && !sums_up).then_some((outcome, title))
}

/// A title without the time after it: `(3 ms)`, `(1.2ms)`, `5ms`.
fn without_time(title: &str) -> &str {
    let is_time = |text: &str| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
        let unit = text[digits.len()..].trim();
        !digits.is_empty()
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
            && matches!(unit, "ms" | "s" | "m")
    };
    if let Some((rest, time)) = title.strip_suffix(')').and_then(|t| t.rsplit_once('('))
        && is_time(time)
    {
        return rest.trim_end();
    }
    match title.rsplit_once(' ') {
        Some((rest, time)) if is_time(time) => rest.trim_end(),
        _ => title,
    }
}

/// A line that may name a group of tests.
fn is_title(indent: usize, text: &str) -> bool {
    (indent > 0 || text.starts_with("▶ "))
        && !text.starts_with(['>', '#', '|', '{', '}', '+', '-', '=', 'ℹ', '●'])
        && !text.starts_with("at ")
        && text.len() < 200
}

/// jest: `Tests:       1 failed, 2 passed, 3 total`
fn jest_total(text: &str, what: &str) -> Option<u64> {
    let rest = text.strip_prefix(what)?;
    rest.trim()
        .strip_suffix(" total")?
        .rsplit(' ')
        .next()?
        .parse()
        .ok()
}

/// How many tests the summary counts.
fn total(text: &str) -> Option<u64> {
    if let Some(total) = jest_total(text, "Tests:") {
        return Some(total);
    }
    // vitest: `Tests  1 failed | 2 passed (3)`
    if let Some(rest) = text.strip_prefix("Tests  ") {
        return rest
            .trim_end()
            .strip_suffix(')')?
            .rsplit('(')
            .next()?
            .parse()
            .ok();
    }
    // node: `ℹ tests 3`
    if let Some(rest) = text.strip_prefix("ℹ tests ") {
        return rest.trim().parse().ok();
    }
    // mocha: `2 passing (5ms)`, `1 failing`, `1 pending`
    let (number, rest) = text.split_once(' ')?;
    let word = rest.split(' ').next()?;
    matches!(word, "passing" | "failing" | "pending").then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Confidence;

    fn check(log: &str, expected: &[(&str, Outcome)]) {
        let parsed = parse(log.as_bytes());
        let ids: Vec<_> = parsed
            .results
            .iter()
            .map(|r| (r.id.as_str(), r.outcome))
            .collect();
        assert_eq!(ids, expected);
        assert_eq!(
            parsed.confidence,
            Confidence::Medium,
            "{:?}",
            parsed.warnings
        );
    }

    #[test]
    fn jest() {
        check(
            "PASS src/a.test.js\n  sum\n    ✓ adds (3 ms)\n    ✕ subtracts\n  ○ skipped later\n\nTests:       1 failed, 1 skipped, 1 passed, 3 total\n",
            &[
                ("src/a.test.js > later", Outcome::Skip),
                ("src/a.test.js > sum > adds", Outcome::Pass),
                ("src/a.test.js > sum > subtracts", Outcome::Fail),
            ],
        );
    }

    #[test]
    fn jest_with_several_files_shows_no_tests_and_the_files_stand_for_them() {
        check(
            "npm warn something\nPASS t/a.test.js\nFAIL t/b.test.js\n  ● Test suite failed to run\n\n    ✓ quoted\n\nTest Suites: 1 failed, 1 passed, 2 total\nTests:       4 passed, 4 total\n",
            &[
                ("t/a.test.js", Outcome::Pass),
                ("t/b.test.js", Outcome::Error),
            ],
        );
    }

    #[test]
    fn mocha() {
        check(
            "npm warn x\n\n\n  sum\n    ✔ adds\n    1) subtracts\n    - later\n\n\n  1 passing (5ms)\n  1 pending\n  1 failing\n\n  1) sum\n       subtracts:\n",
            &[
                ("sum > adds", Outcome::Pass),
                ("sum > later", Outcome::Skip),
                ("sum > subtracts", Outcome::Fail),
            ],
        );
    }

    #[test]
    fn node() {
        check(
            "▶ sum\n  ✔ adds (0.5ms)\n✔ sum (0.9ms)\n✖ subtracts (1.2ms)\nℹ tests 2\nℹ pass 1\n\n✖ failing tests:\n\n✖ subtracts (1.2ms)\n",
            &[("subtracts", Outcome::Fail), ("sum > adds", Outcome::Pass)],
        );
    }

    #[test]
    fn vitest() {
        check(
            " ✓ src/a.test.ts > sum > adds 3ms\n × src/a.test.ts > sum > subtracts 5ms\n\n Tests  1 failed | 1 passed (2)\n",
            &[
                ("src/a.test.ts > sum > adds", Outcome::Pass),
                ("src/a.test.ts > sum > subtracts", Outcome::Fail),
            ],
        );
    }
}

//! The trees of check marks that jest, vitest, mocha and node's `spec` reporter print.
//!
//! An id is the file if one was announced, the titles around the test, told by indentation, and its own.

use crate::outcome::Outcome;
use crate::report::lines::lines;
use crate::report::{Collector, Parsed, Source};

/// Titles within titles beyond this are no output of any tool.
const MAX_DEPTH: usize = 32;

/// Reads the output of jest, vitest, mocha or `node --test`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut collector = Collector::default();
    let mut file = String::new();
    let mut titles: Vec<(usize, String)> = Vec::new();
    let mut declared: Option<u64> = None;
    let mut in_list = true;
    for line in lines(bytes) {
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let Some(total) = total(text) {
            declared = Some(declared.unwrap_or_default().saturating_add(total));
            // What follows a summary repeats the failures.
            in_list = false;
        } else if let Some(name) = file_line(text) {
            name.clone_into(&mut file);
            titles.clear();
            in_list = true;
        } else if let Some((outcome, title)) = mark(text).filter(|_| in_list) {
            titles.retain(|(at, _)| *at < indent);
            let mut id: Vec<&str> = Vec::new();
            if !file.is_empty() {
                id.push(&file);
            }
            id.extend(titles.iter().map(|(_, title)| title.as_str()));
            id.push(title);
            collector.add(&id.join(" > "), outcome, None);
        } else if in_list && is_title(text) {
            titles.retain(|(at, _)| *at < indent);
            if titles.len() < MAX_DEPTH {
                let title = text.trim_start_matches("▶ ");
                titles.push((indent, crate::report::collect::bounded(without_time(title))));
            }
        }
    }
    if let Some(declared) = declared.filter(|_| !collector.is_empty()) {
        let found = collector.len() as u64 + collector.duplicates();
        collector.declare("tests", declared, found);
    }
    collector.into_text(Source::JestText)
}

/// `PASS src/a.test.js (5.1 s)`
fn file_line(text: &str) -> Option<&str> {
    let rest = text
        .strip_prefix("PASS ")
        .or_else(|| text.strip_prefix("FAIL "))?;
    let name = rest.trim().split(' ').next()?;
    (name.contains('.') && !rest.contains(" > ")).then_some(name)
}

/// A line that begins with a check mark, a cross, or mocha's number of a failure.
fn mark(text: &str) -> Option<(Outcome, &str)> {
    let mut chars = text.chars();
    let outcome = match chars.next()? {
        '✓' | '✔' | '√' => Outcome::Pass,
        '✕' | '✖' | '×' | '✗' => Outcome::Fail,
        '○' | '↓' | '✎' | '﹣' => Outcome::Skip,
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
fn is_title(text: &str) -> bool {
    !text.starts_with(['>', '#', '|', '{', '}', '+', '-', '=', 'ℹ', '●'])
        && !text.starts_with("at ")
        && text.len() < 200
}

/// How many tests the summary counts.
fn total(text: &str) -> Option<u64> {
    // jest: `Tests:       1 failed, 2 passed, 3 total`
    if let Some(rest) = text.strip_prefix("Tests:") {
        let number = rest.trim().strip_suffix(" total")?.rsplit(' ').next()?;
        return number.parse().ok();
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
    fn mocha() {
        check(
            "\n  sum\n    ✔ adds\n    1) subtracts\n\n\n  1 passing (5ms)\n  1 failing\n\n  1) sum\n       subtracts:\n",
            &[
                ("sum > adds", Outcome::Pass),
                ("sum > subtracts", Outcome::Fail),
            ],
        );
    }

    #[test]
    fn node() {
        check(
            "✔ adds (0.5ms)\n✖ subtracts (1.2ms)\nℹ tests 2\nℹ pass 1\n\n✖ failing tests:\n\n✖ subtracts (1.2ms)\n",
            &[("adds", Outcome::Pass), ("subtracts", Outcome::Fail)],
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

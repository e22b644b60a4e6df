//! Test Anything Protocol, versions 13 and 14, also as `prove -v` and `node --test` print it.
//!
//! An id is the descriptions of the tests around it and its own, joined by ` > `; a test without a
//! description goes by its number. Fewer results than planned and `Bail out!` make it incomplete. A
//! failing test marked TODO is an expected failure, and a pass.

use super::lines::lines;
use super::{Collector, MAX_RESULTS, Parsed, Source};
use crate::outcome::Outcome;

/// Documents within documents beyond this are no output of any tool.
const MAX_DEPTH: usize = 32;
const INDENT: usize = 4;

/// Tests at one depth whose parent has not been named yet.
#[derive(Default)]
struct Level {
    planned: Option<u64>,
    seen: u64,
    tests: Vec<(String, Outcome, Option<String>)>,
}

/// Reads TAP from an output.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut collector = Collector::default();
    let mut levels: Vec<Level> = vec![Level::default()];
    let mut file = String::new();
    let mut held = 0_usize;
    let mut in_yaml = false;
    let mut recognised = false;
    for line in lines(bytes) {
        let text = line.trim();
        if in_yaml {
            in_yaml = text != "...";
            continue;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        if text == "---" && indent % INDENT == 2 {
            in_yaml = true;
            continue;
        }
        let depth = (indent / INDENT).min(MAX_DEPTH);
        if text.starts_with("Bail out!") {
            collector.incomplete(text);
            collector.failure_outside_tests(text);
            recognised = true;
            break;
        }
        if depth == 0 && text.starts_with("TAP version") {
            recognised = true;
            continue;
        }
        if let Some(name) = prove_header(&line) {
            file = name.to_owned();
            continue;
        }
        if let Some(plan) = plan(text) {
            recognised |= depth == 0;
            let level = at(&mut levels, depth);
            level.planned = Some(level.planned.unwrap_or_default().saturating_add(plan));
            continue;
        }
        let Some(point) = point(text) else { continue };
        if depth == 0 && point.is_bare() && levels[0].planned == Some(levels[0].seen) {
            // `prove` closes each file with a line of its own.
            continue;
        }
        let name = point.name(at(&mut levels, depth).seen + 1);
        for level in levels
            .drain((depth + 1).min(levels.len())..)
            .rev()
            .collect::<Vec<_>>()
        {
            check_plan(&mut collector, &level, false);
            for (test, outcome, detail) in level.tests {
                held -= 1;
                let id = format!("{name} > {test}");
                keep(
                    &mut collector,
                    &mut levels,
                    depth,
                    &mut held,
                    &file,
                    (id, outcome, detail),
                );
            }
        }
        at(&mut levels, depth).seen += 1;
        let test = (name, point.outcome(), None);
        keep(&mut collector, &mut levels, depth, &mut held, &file, test);
    }
    // Without its parent's line a nested document was cut off.
    for level in levels.drain(1..) {
        for (test, outcome, detail) in level.tests {
            collector.add(&test, outcome, detail.as_deref());
            collector.incomplete("the end of a nested document is missing");
        }
    }
    if !recognised {
        return Parsed::nothing();
    }
    if let Some(level) = levels.first() {
        check_plan(&mut collector, level, true);
    }
    collector.into_report(Source::Tap)
}

/// The level at this depth, which may be the first of it.
fn at(levels: &mut Vec<Level>, depth: usize) -> &mut Level {
    if levels.len() <= depth {
        levels.resize_with(depth + 1, Level::default);
    }
    &mut levels[depth]
}

fn keep(
    collector: &mut Collector,
    levels: &mut Vec<Level>,
    depth: usize,
    held: &mut usize,
    file: &str,
    (id, outcome, detail): (String, Outcome, Option<String>),
) {
    if depth > 0 && *held < MAX_RESULTS {
        *held += 1;
        at(levels, depth)
            .tests
            .push((super::collect::bounded(&id), outcome, detail));
        return;
    }
    let id = if file.is_empty() {
        id
    } else {
        format!("{file} > {id}")
    };
    collector.add(&id, outcome, detail.as_deref());
}

fn check_plan(collector: &mut Collector, level: &Level, outermost: bool) {
    match level.planned {
        Some(planned) if planned > level.seen => {
            collector.incomplete(format!(
                "{planned} tests were planned, {} were run",
                level.seen
            ));
        }
        Some(planned) if planned < level.seen => collector.declare("tests", planned, level.seen),
        None if outermost => collector.incomplete("the plan is missing"),
        _ => {}
    }
}

/// `1..N`, perhaps with a directive.
fn plan(text: &str) -> Option<u64> {
    let rest = text.strip_prefix("1..")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let after = rest[digits..].trim_start();
    (after.is_empty() || after.starts_with('#')).then(|| rest[..digits].parse().ok())?
}

/// `t/basic.t .. `, the line with which `prove -v` announces a file.
fn prove_header(line: &str) -> Option<&str> {
    let (name, dots) = line.trim_end().split_once(' ')?;
    let is_dots = dots.len() >= 2 && dots.bytes().all(|byte| byte == b'.');
    (is_dots && !name.is_empty()).then_some(name)
}

/// One test's line.
struct Point<'a> {
    ok: bool,
    number: &'a str,
    description: &'a str,
    directive: Directive,
}

#[derive(PartialEq)]
enum Directive {
    None,
    Skip,
    Todo,
}

impl Point<'_> {
    fn outcome(&self) -> Outcome {
        match (&self.directive, self.ok) {
            (Directive::Skip, _) => Outcome::Skip,
            (Directive::Todo, _) | (Directive::None, true) => Outcome::Pass,
            (Directive::None, false) => Outcome::Fail,
        }
    }

    fn is_bare(&self) -> bool {
        self.ok && self.number.is_empty() && self.description.is_empty()
    }

    fn name(&self, count: u64) -> String {
        match (self.description, self.number) {
            ("", "") => format!("test {count}"),
            ("", number) => format!("test {number}"),
            (description, _) => description.replace("\\#", "#").replace("\\\\", "\\"),
        }
    }
}

fn point(text: &str) -> Option<Point<'_>> {
    let (ok, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let rest = rest.trim_start();
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, rest) = rest.split_at(digits);
    // "ok 3rd try" is a description that begins with a digit.
    let (number, rest) = if rest.is_empty() || rest.starts_with(' ') {
        (number, rest)
    } else {
        ("", text)
    };
    let (description, directive) = directive(rest);
    let description = description.trim();
    let description = description.strip_prefix("- ").unwrap_or(description).trim();
    // `{` opens the nested document of an older form of subtests.
    let description = description.strip_suffix('{').unwrap_or(description).trim();
    let description = if description == "-" { "" } else { description };
    Some(Point {
        ok,
        number,
        description,
        directive,
    })
}

/// Parts a description from its directive: ` # SKIP why`, ` # TODO why`, in any case.
fn directive(text: &str) -> (&str, Directive) {
    for (at, _) in text.match_indices('#') {
        if text[..at].ends_with('\\') || !(at == 0 || text[..at].ends_with(' ')) {
            continue;
        }
        let word = text[at + 1..].trim_start();
        let is = |expected: &str| {
            word.get(..expected.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(expected))
        };
        if is("skip") {
            return (&text[..at], Directive::Skip);
        }
        if is("todo") {
            return (&text[..at], Directive::Todo);
        }
        // node appends the duration as a directive.
        if is("time=") || is("duration_ms") {
            return (&text[..at], Directive::None);
        }
    }
    (text, Directive::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Confidence;

    fn outcomes(text: &str) -> Vec<(String, Outcome)> {
        parse(text.as_bytes())
            .results
            .into_iter()
            .map(|r| (r.id, r.outcome))
            .collect()
    }

    #[test]
    fn directives_numbers_and_descriptions() {
        let text = "TAP version 13\n1..6\nok 1 - adds\nnot ok 2 - subtracts\n  ---\n  ok 9 - not a test\n  ...\nok 3 # SKIP no\nnot ok 4 - later # TODO\nok\nok 6 - has \\# in it\n";
        assert_eq!(
            outcomes(text),
            [
                ("adds".to_owned(), Outcome::Pass),
                ("has # in it".to_owned(), Outcome::Pass),
                ("later".to_owned(), Outcome::Pass),
                ("subtracts".to_owned(), Outcome::Fail),
                ("test 3".to_owned(), Outcome::Skip),
                ("test 5".to_owned(), Outcome::Pass),
            ]
        );
        assert_eq!(parse(text.as_bytes()).confidence, Confidence::High);
    }

    #[test]
    fn nested_tests_are_named_by_the_line_that_follows_them() {
        let text = "TAP version 14\n# Subtest: file\n    # Subtest: group\n        ok 1 - deep\n        1..1\n    ok 1 - group\n    not ok 2 - flat\n    1..2\nnot ok 1 - file # time=3ms\n1..1\n";
        assert_eq!(
            outcomes(text),
            [
                ("file".to_owned(), Outcome::Fail),
                ("file > flat".to_owned(), Outcome::Fail),
                ("file > group".to_owned(), Outcome::Pass),
                ("file > group > deep".to_owned(), Outcome::Pass),
            ]
        );
    }

    #[test]
    fn fewer_results_than_planned_and_bailing_out_are_incomplete() {
        let cut = parse(b"1..3\nok 1 - a\n");
        assert!(!cut.complete);
        let bail = parse(b"1..2\nok 1 - a\nBail out! no database\n");
        assert!(!bail.complete && bail.failures_outside_tests == 1);
        assert!(!parse(b"TAP version 13\nok 1 - a\n").complete);
    }

    #[test]
    fn the_output_of_prove_has_files_and_closing_lines() {
        let text =
            "t/a.t .. \nok 1 - x\n1..1\nok\nt/b.t .. \n1..1\nnot ok 1 - x\nFailed 1/1 subtests\n";
        assert_eq!(
            outcomes(text),
            [
                ("t/a.t > x".to_owned(), Outcome::Pass),
                ("t/b.t > x".to_owned(), Outcome::Fail)
            ]
        );
    }

    #[test]
    fn output_that_only_contains_the_word_ok_is_no_tap() {
        assert_eq!(parse(b"ok then\nall ok\n").source, Source::None);
    }
}

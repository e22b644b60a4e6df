//! Reads results from output where no report was written.
//!
//! Anything may print a line that looks like a result, so text is believed less than a report, and only
//! where the tool's own summary agrees. The command tells which tool it was; without that, whatever
//! recognises most is taken.

pub mod cargo;
pub mod go;
pub mod jest;
pub mod nextest;
pub mod pytest;
pub mod unittest;

use super::{
    Confidence, Parsed, go_json, jest as jest_json, libtest_json, mocha as mocha_json, tap,
};
use crate::tool::Tool;

/// A parser's entry: bytes in, what it found out.
pub type Parser = fn(&[u8]) -> Parsed;

/// Every parser of output, for when the command does not tell.
const ALL: [Parser; 11] = [
    go_json::parse,
    jest_json::parse,
    mocha_json::parse,
    libtest_json::parse,
    tap::parse,
    cargo::parse,
    nextest::parse,
    pytest::parse,
    go::parse,
    unittest::parse,
    jest::parse,
];

/// Reads an output, as that of one of `tools` if any is known.
#[must_use]
pub fn parse(tools: &[Tool], output: &[u8]) -> Parsed {
    let known = tools.iter().flat_map(|tool| parsers(*tool).iter().copied());
    let found = best(known, output);
    if !found.is_empty() {
        return found;
    }
    // What is recognised by its looks alone is never sure, not even a whole report.
    let found = best(ALL.into_iter(), output);
    Parsed {
        confidence: found.confidence.min(Confidence::Medium),
        ..found
    }
}

/// The parsers that understand what a tool prints, the best first.
fn parsers(tool: Tool) -> &'static [Parser] {
    match tool {
        Tool::Cargo => &[libtest_json::parse, cargo::parse],
        Tool::Nextest => &[libtest_json::parse, nextest::parse],
        Tool::Pytest => &[pytest::parse],
        Tool::Unittest => &[unittest::parse],
        Tool::Go => &[go_json::parse, go::parse],
        Tool::Jest | Tool::Vitest => &[jest_json::parse, jest::parse, tap::parse],
        Tool::Mocha => &[mocha_json::parse, jest::parse, tap::parse],
        Tool::Node => &[tap::parse, jest::parse],
        Tool::Tap => &[tap::parse],
        Tool::Maven | Tool::Gradle | Tool::Other => &[],
    }
}

fn best(parsers: impl Iterator<Item = Parser>, output: &[u8]) -> Parsed {
    parsers
        .map(|parse| parse(output))
        .filter(|parsed| !parsed.is_empty())
        .max_by_key(|parsed| {
            (
                parsed.confidence.max(Confidence::Low),
                parsed.results.len(),
                parsed.build_failed,
            )
        })
        .unwrap_or_else(Parsed::nothing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_output_makes_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            for parse in ALL {
                let _ = parse(&bytes);
            }
        }

        #[test]
        fn nor_does_output_made_of_what_parsers_look_for(
            words in proptest::collection::vec(proptest::sample::select(vec![
                "test ", " ... ", "ok", "FAILED", "\n", "    ", "1..", "3", "not ok", "# SKIP", "---", "PASS", " [",
                "s] ", "Summary", "test result: ", "passed", "; ", ", ", "--- FAIL: ", "::", "PASSED ", "(", ")", "✓ ",
                "é", "\r", "\u{1b}[", "Ran ", "tests", "FAIL\t", "{\"Action\":\"fail\"}", "Running ", "Doc-tests ",
                "in 0.1s", "=== ", "Tests: ", "TAP version 13", "Bail out!", "#",
            ]), 0..60),
        ) {
            let text = words.concat();
            for parse in ALL {
                let parsed = parse(text.as_bytes());
                for result in &parsed.results {
                    prop_assert_eq!(result.id.trim(), result.id.as_str());
                }
            }
        }
    }

    #[test]
    fn an_unknown_tool_is_recognised_by_its_output() {
        let parsed = parse(&[], b"\nrunning 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n");
        assert_eq!(parsed.source, crate::report::Source::CargoText);
    }
}

//! Gathers results within bounds: one result for each id, the worst of several.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use commontrace_core::hex;
use sha2::{Digest, Sha256};

use super::{
    Confidence, MAX_DETAIL_BYTES, MAX_ID_BYTES, MAX_RESULTS, MAX_WARNINGS, Parsed, Source,
};
use crate::outcome::{Outcome, TestResult, Totals};

/// Takes results one by one, in any order.
#[derive(Debug, Default)]
pub struct Collector {
    results: BTreeMap<String, (Outcome, Option<String>)>,
    flaky: BTreeSet<String>,
    warnings: Vec<String>,
    duplicates: u64,
    failures_outside_tests: u64,
    build_failed: bool,
    incomplete: bool,
    disagrees: bool,
    declared: bool,
}

impl Collector {
    /// Adds a result. Results without an id are counted as failures outside of tests, if they failed.
    pub fn add(&mut self, id: &str, outcome: Outcome, detail: Option<&str>) {
        let id = bounded(id);
        if id.is_empty() {
            if outcome.failed() {
                self.failure_outside_tests("a failed test without a name");
            }
            return;
        }
        let full = self.results.len() >= MAX_RESULTS;
        let detail = detail
            .filter(|_| outcome != Outcome::Pass)
            .map(short)
            .filter(|d| !d.is_empty());
        match self.results.entry(id) {
            Entry::Occupied(mut kept) => {
                self.duplicates += 1;
                if outcome > kept.get().0 {
                    kept.insert((outcome, detail));
                }
            }
            Entry::Vacant(free) if !full => {
                free.insert((outcome, detail));
            }
            Entry::Vacant(_) => {
                self.incomplete = true;
                self.warn(format!("only the first {MAX_RESULTS} tests were kept"));
            }
        }
    }

    /// Notes that a test failed and passed within one run, because the tool tried it again.
    pub fn flaky(&mut self, id: &str) {
        if self.flaky.len() < MAX_RESULTS {
            self.flaky.insert(bounded(id.trim()));
        }
    }

    /// Counts a failure that belongs to no test.
    pub fn failure_outside_tests(&mut self, what: &str) {
        self.failures_outside_tests += 1;
        self.warn(short(what));
    }

    /// Notes that the tests could not be built.
    pub fn build_failed(&mut self) {
        self.build_failed = true;
    }

    /// Notes that the end is missing.
    pub fn incomplete(&mut self, why: impl Into<String>) {
        self.incomplete = true;
        self.warn(why.into());
    }

    /// Adds a warning, unless it is there already or there are too many.
    pub fn warn(&mut self, text: String) {
        if self.warnings.len() < MAX_WARNINGS && !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// Takes the tool's own counts and compares them: text that disagrees with its summary was cut,
    /// mixed with other output, or made up.
    pub fn declare(&mut self, what: &str, declared: u64, found: u64) {
        self.declared = true;
        if declared != found {
            self.disagrees = true;
            self.warn(format!(
                "the tool counted {declared} {what}, the output shows {found}"
            ));
        }
    }

    /// How many tests ended how, so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (outcome, _) in self.results.values() {
            *match outcome {
                Outcome::Pass => &mut totals.passed,
                Outcome::Skip => &mut totals.skipped,
                Outcome::Error => &mut totals.errors,
                Outcome::Fail => &mut totals.failed,
            } += 1;
        }
        totals
    }

    /// How many distinct ids there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// How many results repeated an id.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Results of a structured report.
    #[must_use]
    pub fn into_report(self, source: Source) -> Parsed {
        let confidence = if self.incomplete || self.disagrees {
            Confidence::Low
        } else {
            Confidence::High
        };
        self.finish(source, confidence)
    }

    /// Results read from text: medium confidence if the tool's summary agrees, low otherwise.
    #[must_use]
    pub fn into_text(self, source: Source) -> Parsed {
        if self.results.is_empty() && self.failures_outside_tests == 0 && !self.build_failed {
            return Parsed {
                warnings: self.warnings,
                ..Parsed::nothing()
            };
        }
        let confidence = if self.declared && !self.disagrees && !self.incomplete {
            Confidence::Medium
        } else {
            Confidence::Low
        };
        self.finish(source, confidence)
    }

    fn finish(self, source: Source, confidence: Confidence) -> Parsed {
        Parsed {
            source,
            results: self
                .results
                .into_iter()
                .map(|(id, (outcome, detail))| TestResult {
                    id,
                    outcome,
                    detail,
                })
                .collect(),
            flaky: self.flaky.into_iter().collect(),
            confidence,
            complete: !self.incomplete,
            disagrees: self.disagrees,
            failures_outside_tests: self.failures_outside_tests,
            build_failed: self.build_failed,
            duplicates: self.duplicates,
            warnings: self.warnings,
        }
    }
}

/// An id without line breaks and control characters, and no longer than [`MAX_ID_BYTES`]. Two ids that
/// differ only beyond that stay different.
pub(super) fn bounded(id: &str) -> String {
    let id: String = id
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let id = id.trim();
    if id.len() <= MAX_ID_BYTES {
        return id.to_owned();
    }
    let hash = Sha256::digest(id.as_bytes());
    let tag = hex::encode(&hash[..8]);
    format!("{}…{tag}", prefix(id, MAX_ID_BYTES - 20))
}

/// The first line that says something, cut.
pub(super) fn short(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    prefix(line, MAX_DETAIL_BYTES).to_owned()
}

/// At most `max` bytes from the start, ending between characters.
pub(crate) fn prefix(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Pass),
            Just(Outcome::Skip),
            Just(Outcome::Error),
            Just(Outcome::Fail)
        ]
    }

    proptest! {
        #[test]
        fn the_worst_status_of_an_id_wins(outcomes in proptest::collection::vec(outcome(), 1..8)) {
            let mut collector = Collector::default();
            for outcome in &outcomes {
                collector.add("t", *outcome, None);
            }
            let parsed = collector.into_report(Source::Tap);
            prop_assert_eq!(Some(parsed.results[0].outcome), outcomes.iter().copied().max());
            prop_assert_eq!(parsed.duplicates, outcomes.len() as u64 - 1);
        }

        #[test]
        fn ids_are_trimmed_bounded_and_distinct(id in "\\PC{0,40}", tail in "[a-z]{0,8}") {
            let mut collector = Collector::default();
            collector.add(&format!("  {id}x\t"), Outcome::Pass, None);
            let long = "é".repeat(700);
            collector.add(&format!("{long}{tail}1"), Outcome::Pass, None);
            collector.add(&format!("{long}{tail}2"), Outcome::Pass, None);
            let parsed = collector.into_report(Source::Tap);
            prop_assert_eq!(parsed.results.len(), 3);
            for result in &parsed.results {
                prop_assert_eq!(result.id.trim(), result.id.as_str());
                prop_assert!(result.id.len() <= MAX_ID_BYTES);
            }
        }
    }

    #[test]
    fn a_failure_without_a_name_is_not_lost() {
        let mut collector = Collector::default();
        collector.add("  ", Outcome::Fail, None);
        let parsed = collector.into_report(Source::JunitXml);
        assert_eq!(
            (parsed.results.len(), parsed.failures_outside_tests),
            (0, 1)
        );
    }

    #[test]
    fn what_the_tool_counted_differently_lowers_confidence() {
        let mut collector = Collector::default();
        collector.add("a", Outcome::Pass, None);
        collector.declare("tests", 2, 1);
        let parsed = collector.into_text(Source::CargoText);
        assert_eq!(
            (parsed.confidence, parsed.disagrees),
            (Confidence::Low, true)
        );
    }
}

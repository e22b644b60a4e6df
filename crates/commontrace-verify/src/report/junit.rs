//! JUnit XML, as pytest, nextest, Maven, Gradle, vitest and many others write it.
//!
//! An id is `classname::name`. The suite is put before it only where one report has that id in several
//! suites. An empty or cut file is invalid: a runner that was killed leaves one.

use std::collections::BTreeMap;
use std::rc::Rc;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::collect::{bounded, short};
use super::{Collector, MAX_RESULTS, Parsed, Source};
use crate::outcome::Outcome;

/// Suites within suites beyond this are no report of any tool.
const MAX_DEPTH: usize = 64;

/// Reads one file.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut report = Report::default();
    report.read(bytes);
    report.finish()
}

/// The cases of any number of files.
#[derive(Debug, Default)]
pub struct Report {
    cases: Vec<Case>,
    notes: Collector,
}

#[derive(Debug)]
struct Case {
    suite: Rc<str>,
    id: String,
    outcome: Outcome,
    flaky: bool,
    detail: Option<String>,
}

#[derive(Debug)]
struct Suite {
    name: Rc<str>,
    declared: u64,
    found: u64,
}

impl Report {
    /// Reads one file. What was read before an error is kept.
    pub fn read(&mut self, bytes: &[u8]) {
        if let Err(why) = self.try_read(bytes) {
            self.notes
                .incomplete(format!("the JUnit report is not valid: {why}"));
        }
    }

    fn try_read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::from_str(&text);
        let mut open = 0_usize;
        let mut seen_root = false;
        let mut suites: Vec<Suite> = Vec::new();
        let mut case: Option<Case> = None;
        let mut in_failure = false;
        loop {
            let event = reader
                .read_event()
                .map_err(|error| short(&error.to_string()))?;
            let (element, empty) = match &event {
                Event::Start(element) => (element, false),
                Event::Empty(element) => (element, true),
                Event::Text(text) if in_failure => {
                    if let Some(case) = case.as_mut().filter(|case| case.detail.is_none()) {
                        let text = short(text);
                        case.detail = (!text.is_empty()).then_some(text);
                    }
                    continue;
                }
                Event::End(element) => {
                    open = open.saturating_sub(1);
                    match element.local_name().as_ref() {
                        "testcase" => self.push(case.take()),
                        "testsuite" | "testsuites" => self.close(&mut suites),
                        "failure" | "error" => in_failure = false,
                        _ => {}
                    }
                    continue;
                }
                Event::Eof if open > 0 => return Err("it ends in the middle".to_owned()),
                Event::Eof if !seen_root => return Err("it has no test suite".to_owned()),
                Event::Eof => return Ok(()),
                _ => continue,
            };
            if !empty {
                open += 1;
            }
            match element.local_name().as_ref() {
                "testsuite" | "testsuites" => {
                    seen_root = true;
                    if suites.len() >= MAX_DEPTH {
                        return Err("its suites are nested too deeply".to_owned());
                    }
                    suites.push(Suite::of(element));
                    if empty {
                        self.close(&mut suites);
                    }
                }
                "testcase" => {
                    let suite = suites
                        .last()
                        .map_or_else(|| Rc::from(""), |s| Rc::clone(&s.name));
                    let new = Case::of(element, suite);
                    if empty {
                        self.push(Some(new));
                    } else {
                        case = Some(new);
                    }
                }
                name @ ("failure" | "error") => {
                    let outcome = if name == "error" {
                        Outcome::Error
                    } else {
                        Outcome::Fail
                    };
                    match (&mut case, suites.last_mut()) {
                        (Some(case), suite) => {
                            if let Some(suite) = suite {
                                suite.found += 1;
                            }
                            case.outcome = case.outcome.max(outcome);
                            let message = attribute(element, "message").map(|text| short(&text));
                            if case.detail.is_none() {
                                case.detail = message.filter(|text| !text.is_empty());
                            }
                            in_failure = !empty;
                        }
                        (None, suite) => {
                            if let Some(suite) = suite {
                                suite.found += 1;
                            }
                            self.notes
                                .failure_outside_tests("a suite failed outside of its tests");
                        }
                    }
                }
                "skipped" => {
                    // pytest reports an expected failure as skipped, and it is a pass.
                    let expected = attribute(element, "type").is_some_and(|t| t == "pytest.xfail");
                    if let Some(case) = case.as_mut().filter(|_| !expected) {
                        case.outcome = case.outcome.max(Outcome::Skip);
                        case.detail = attribute(element, "message").map(|text| short(&text));
                    }
                }
                "flakyFailure" | "flakyError" => {
                    if let Some(case) = &mut case {
                        case.flaky = true;
                    }
                }
                "rerunFailure" | "rerunError" => {
                    // Stands beside a failure; alone it would say that no attempt passed.
                    if let Some(case) = &mut case {
                        case.outcome = case.outcome.max(Outcome::Fail);
                    }
                }
                _ => {}
            }
        }
    }

    fn push(&mut self, case: Option<Case>) {
        match case {
            Some(case) if self.cases.len() < MAX_RESULTS => self.cases.push(case),
            Some(_) => self
                .notes
                .incomplete(format!("only the first {MAX_RESULTS} tests were kept")),
            None => {}
        }
    }

    /// Closes a suite. Failures that it counted and did not show are failures outside of tests.
    fn close(&mut self, suites: &mut Vec<Suite>) {
        let Some(suite) = suites.pop() else { return };
        if suite.declared > suite.found {
            self.notes
                .failure_outside_tests("a suite counts more failures than its tests show");
        }
        if let Some(parent) = suites.last_mut() {
            parent.found += suite.declared.max(suite.found);
        }
    }

    /// The results of all files that were read.
    #[must_use]
    pub fn finish(self) -> Parsed {
        let Self { cases, mut notes } = self;
        let mut homes: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        for case in &cases {
            homes
                .entry(&case.id)
                .and_modify(|home| *home = home.filter(|suite| **suite == *case.suite))
                .or_insert(Some(&case.suite));
        }
        for case in &cases {
            let in_one_suite = homes.get(case.id.as_str()).is_some_and(Option::is_some);
            let id = if in_one_suite {
                case.id.clone()
            } else {
                join(&case.suite, &case.id)
            };
            notes.add(&id, case.outcome, case.detail.as_deref());
            if case.flaky && case.outcome == Outcome::Pass {
                notes.flaky(&id);
            }
        }
        notes.into_report(Source::JunitXml)
    }
}

impl Suite {
    fn of(element: &BytesStart<'_>) -> Self {
        let count = |key| {
            attribute(element, key)
                .and_then(|n| n.trim().parse::<u64>().ok())
                .unwrap_or_default()
        };
        Self {
            name: bounded(&attribute(element, "name").unwrap_or_default()).into(),
            declared: count("failures").saturating_add(count("errors")),
            found: 0,
        }
    }
}

impl Case {
    fn of(element: &BytesStart<'_>, suite: Rc<str>) -> Self {
        let class = bounded(&attribute(element, "classname").unwrap_or_default());
        let name = bounded(&attribute(element, "name").unwrap_or_default());
        // A case that was written as not run says so in an attribute (googletest, CTest).
        let status = attribute(element, "status").unwrap_or_default();
        let outcome = match status.as_str() {
            "notrun" | "disabled" | "skipped" => Outcome::Skip,
            _ => Outcome::Pass,
        };
        let place = if class.is_empty() {
            &*suite
        } else {
            class.as_str()
        };
        let id = if name.is_empty() {
            class.clone()
        } else {
            join(place, &name)
        };
        Self {
            suite,
            id,
            outcome,
            flaky: false,
            detail: None,
        }
    }
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}::{name}")
    }
}

/// An attribute's value, with its entities resolved where they can be.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element
        .attributes()
        .with_checks(false)
        .filter_map(Result::ok)
        .find(|attribute| attribute.key.as_ref() == name)?;
    let raw = &*found.value;
    Some(quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_owned(), |text| text.to_string()))
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

    const PYTEST: &str = r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="1" failures="1" skipped="2" tests="5">
        <testcase classname="tests.test_a.TestX" name="test_ok[1 &lt; 2]" time="0.001"/>
        <testcase classname="tests.test_a" name="test_bad"><failure message="assert 1 == 2&#10;more">long text</failure></testcase>
        <testcase classname="tests.test_a" name="test_skip"><skipped type="pytest.skip" message="no"/></testcase>
        <testcase classname="tests.test_a" name="test_xfail"><skipped type="pytest.xfail" message="yes"/></testcase>
        <testcase classname="" name="tests.test_b"><error message="collection failure">ImportError</error></testcase>
        </testsuite></testsuites>"#;

    #[test]
    fn a_report_of_pytest() {
        let parsed = parse(PYTEST.as_bytes());
        assert_eq!(
            outcomes(&parsed),
            [
                ("pytest::tests.test_b", Outcome::Error),
                ("tests.test_a.TestX::test_ok[1 < 2]", Outcome::Pass),
                ("tests.test_a::test_bad", Outcome::Fail),
                ("tests.test_a::test_skip", Outcome::Skip),
                ("tests.test_a::test_xfail", Outcome::Pass),
            ]
        );
        assert_eq!(parsed.confidence, Confidence::High);
        assert_eq!(parsed.results[2].detail.as_deref(), Some("assert 1 == 2"));
    }

    #[test]
    fn an_empty_or_cut_report_is_invalid() {
        for bytes in [
            &b""[..],
            b"  \n",
            b"<html></html>",
            &PYTEST.as_bytes()[..600],
        ] {
            let parsed = parse(bytes);
            assert!(!parsed.complete, "{}", String::from_utf8_lossy(bytes));
            assert_eq!(parsed.confidence, Confidence::Low);
        }
        // What was read before the cut is kept: a run that was stopped keeps its results.
        assert!(!parse(&PYTEST.as_bytes()[..600]).results.is_empty());
    }

    #[test]
    fn a_name_that_two_suites_share_gets_its_suite() {
        let xml = r#"<testsuites><testsuite name="one"><testcase classname="m" name="t"/><testcase classname="m" name="u"/></testsuite>
            <testsuite name="two"><testcase classname="m" name="t"><failure/></testcase></testsuite></testsuites>"#;
        assert_eq!(
            outcomes(&parse(xml.as_bytes())),
            [
                ("m::u", Outcome::Pass),
                ("one::m::t", Outcome::Pass),
                ("two::m::t", Outcome::Fail)
            ]
        );
    }

    #[test]
    fn a_test_that_passed_when_tried_again_is_flaky_and_one_that_did_not_has_failed() {
        let xml = r#"<testsuite name="s"><testcase classname="s" name="a"><flakyFailure message="x"/></testcase>
            <testcase classname="s" name="b"><failure message="x"/><rerunFailure message="x"/></testcase></testsuite>"#;
        let parsed = parse(xml.as_bytes());
        assert_eq!(
            outcomes(&parsed),
            [("s::a", Outcome::Pass), ("s::b", Outcome::Fail)]
        );
        assert_eq!(parsed.flaky, ["s::a"]);
    }

    #[test]
    fn a_failure_that_is_only_counted_is_a_failure_outside_of_tests() {
        let xml = r#"<testsuites failures="1"><testsuite name="s" failures="1"><testcase name="a"/></testsuite></testsuites>"#;
        assert_eq!(parse(xml.as_bytes()).failures_outside_tests, 1);
    }

    #[test]
    fn an_entity_bomb_and_deep_nesting_cost_nothing() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><testsuite name="&b;"><testcase name="&b;"/></testsuite>"#;
        assert_eq!(parse(bomb.as_bytes()).results.len(), 1);
        let deep = "<testsuite>".repeat(100_000);
        assert!(!parse(deep.as_bytes()).complete);
    }
}

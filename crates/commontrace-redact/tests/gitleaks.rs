//! Every rule of gitleaks still finds what its expression describes, after all our guards.

use std::collections::BTreeMap;

use commontrace_redact::redact;
use proptest::strategy::{Strategy, ValueTree};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    id: String,
    regex: Option<String>,
}

#[test]
fn texts_made_from_the_rules_are_found() {
    const SAMPLES: usize = 20;
    let file: File = toml::from_str(include_str!("../rules/gitleaks.toml")).expect("valid");
    let mut runner = TestRunner::deterministic();
    let mut missed = BTreeMap::new();
    let mut tried = 0;
    for rule in file.rules {
        let Some(strategy) = rule.regex.as_deref().and_then(|regex| string_regex(&generating(regex)).ok()) else { println!("no {}", rule.id); continue };
        tried += 1;
        let mut found = 0;
        let mut last = String::new();
        for _ in 0..SAMPLES {
            let Ok(tree) = strategy.new_tree(&mut runner) else { continue };
            let sample = tree.current();
            found += usize::from(!redact(&format!("x {sample} y")).findings.is_empty());
            if redact(&format!("x {sample} y")).findings.is_empty() {last = sample;}
        }
        if found < SAMPLES {
            missed.insert(rule.id, (found, last));
        }
    }
    for (a, (n, b)) in &missed { println!("{a} {n} {b:?}"); }
    println!("{tried}");
    assert!(missed.is_empty());
}

/// The expression without what a generator cannot use: boundaries, ends, and unprintable blanks.
fn generating(regex: &str) -> String {
    regex.replace(r#"(?:[\x60'"\s;]|\\[nr]|$)"#, "").replace(r"\b", "").replace(r"\z", "").replace(r"[\w.-]{0,50}?", "").replace(r"\w", "[A-Za-z0-9_]").replace(r"\d", "[0-9]").replace(r"[\s'\x22]{0,3}", "").replace(r#"[\s'"]{0,3}"#, "").replace(r#"[\x60'"\s=]{0,5}"#, " ").replace(r"[ \t\w.-]{0,20}", "_key").replace(r"[ \t[A-Za-z0-9_].-]{0,20}", "_key").replace("(?:=|>|:{1,3}=|\\|\\||:|=>|\\?=|,)", "=")
}

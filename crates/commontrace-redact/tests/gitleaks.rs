//! Every rule of gitleaks still finds what its expression describes, after all our guards.

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

/// Rules whose bare examples we leave alone: ids that are no secrets, git object ids, a shape that needs the
/// provider's name nearby, and expressions with wildcards, whose random examples are no texts.
const LEFT_ALONE: [&str; 8] = [
    "asana-client-id",
    "discord-client-id",
    "sourcegraph-access-token",
    "facebook-access-token",
    "hashicorp-tf-password",
    "slack-config-access-token",
    "slack-webhook-url",
    "twitter-bearer-token",
];

#[test]
fn texts_made_from_the_rules_are_found() {
    const SAMPLES: usize = 20;
    let file: File = toml::from_str(include_str!("../rules/gitleaks.toml")).expect("valid");
    let mut runner = TestRunner::deterministic();
    let mut tried = 0;
    let mut missed = Vec::new();
    for rule in file.rules {
        let Some(regex) = rule.regex else { continue };
        // A few expressions are beyond the generator.
        let Ok(samples) = string_regex(&for_generating(&regex)) else {
            continue;
        };
        tried += 1;
        let mut drawn = 0;
        let mut found = 0;
        for _ in 0..SAMPLES {
            let tree = samples
                .new_tree(&mut runner)
                .expect("the expression is valid");
            // Ignoring case, the generator also draws the long s and the Kelvin sign.
            let sample = tree.current().replace('ſ', "s").replace('\u{212a}', "k");
            if sample.is_ascii() {
                drawn += 1;
                found += usize::from(!redact(&format!("x {sample} y")).findings.is_empty());
            }
        }
        if found * 2 < drawn && !LEFT_ALONE.contains(&rule.id.as_str()) {
            missed.push(format!("{}: {found} of {drawn}", rule.id));
        }
    }
    assert!(tried > 200, "only {tried} rules were tried");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// The expression with what a generator cannot use, or would fill with noise, made plain.
fn for_generating(regex: &str) -> String {
    let plain = [
        (r#"(?:[\x60'"\s;]|\\[nr]|$)"#, ""),
        (r"\b", ""),
        (r"\z", ""),
        (r"[\w.-]{0,50}?", ""),
        (r"[ \t\w.-]{0,20}", "_key"),
        (r#"[\s'"]{0,3}"#, ""),
        (r"(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)", "="),
        (r#"[\x60'"\s=]{0,5}"#, " "),
        (r"\w", "[A-Za-z0-9_]"),
        (r"\d", "[0-9]"),
    ];
    plain.iter().fold(regex.to_owned(), |regex, (from, to)| {
        regex.replace(from, to)
    })
}

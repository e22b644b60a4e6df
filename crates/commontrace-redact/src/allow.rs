//! Allowlists: what a rule matches but does not mean.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use regex::bytes::Regex;
use serde::Deserialize;

use crate::rules;
use crate::view::{head, tail};

/// An allowlist as the rule files write it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Source {
    condition: Condition,
    regex_target: Target,
    paths: Vec<String>,
    regexes: Vec<String>,
    stopwords: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum Condition {
    #[default]
    #[serde(alias = "or", alias = "||")]
    #[serde(rename = "OR")]
    Any,
    #[serde(alias = "and", alias = "&&")]
    #[serde(rename = "AND")]
    All,
}

/// Which part of a match the expressions look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    #[default]
    Secret,
    Match,
    Line,
}

/// A place in a text that a rule matched.
pub(crate) struct Place<'a> {
    pub(crate) text: &'a str,
    /// Start and end of the whole match, at character boundaries.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) secret: &'a str,
}

/// Expressions and words that make a match harmless.
#[derive(Debug)]
pub(crate) struct Allowlist {
    condition: Condition,
    target: Target,
    regexes: Vec<(String, OnceLock<Regex>)>,
    stopwords: Vec<String>,
    stopword_search: OnceLock<AhoCorasick>,
}

impl Allowlist {
    /// Builds an allowlist; `None` if it can only allow by file name, which a bare text does not have.
    pub(crate) fn new(source: Source) -> Option<Self> {
        let needs_path = !source.paths.is_empty() && source.condition == Condition::All;
        if needs_path || (source.regexes.is_empty() && source.stopwords.is_empty()) {
            return None;
        }
        Some(Self {
            condition: source.condition,
            target: source.regex_target,
            regexes: source
                .regexes
                .into_iter()
                .map(|regex| (regex, OnceLock::new()))
                .collect(),
            stopwords: source.stopwords,
            stopword_search: OnceLock::new(),
        })
    }

    /// Whether the match at `place` is harmless.
    pub(crate) fn allows(&self, place: &Place<'_>) -> bool {
        let by_regex = || {
            let target = self.target_of(place);
            self.regexes.iter().any(|(source, compiled)| {
                compiled
                    .get_or_init(|| {
                        rules::compile(source)
                            .expect("every allowlist compiles: checked by a unit test")
                    })
                    .is_match(target.as_bytes())
            })
        };
        let by_word = || self.stopword_search().is_match(place.secret);
        match self.condition {
            Condition::Any => {
                (!self.regexes.is_empty() && by_regex())
                    || (!self.stopwords.is_empty() && by_word())
            }
            Condition::All => {
                (self.regexes.is_empty() || by_regex()) && (self.stopwords.is_empty() || by_word())
            }
        }
    }

    fn target_of<'a>(&self, place: &Place<'a>) -> &'a str {
        match self.target {
            Target::Secret => place.secret,
            Target::Match => name_and_match(place),
            Target::Line => {
                // A line without end would be searched again for each of its matches.
                const REACH: usize = 1000;
                let before = tail(&place.text[..place.start], REACH);
                let after = head(&place.text[place.end..], REACH);
                let start = place.start - before.rsplit('\n').next().map_or(0, str::len);
                let end = place.end + after.split('\n').next().map_or(0, str::len);
                &place.text[start..end]
            }
        }
    }

    fn stopword_search(&self) -> &AhoCorasick {
        self.stopword_search.get_or_init(|| {
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .build(&self.stopwords)
                .expect("a few thousand short words are far below the automaton's limits")
        })
    }
}

/// The match with up to 50 name characters before it, which gitleaks' expressions include and ours skip.
fn name_and_match<'a>(place: &Place<'a>) -> &'a str {
    let before = &place.text.as_bytes()[..place.start];
    let name = before
        .iter()
        .rev()
        .take(50)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        .count();
    &place.text[place.start - name..place.end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(toml: &str) -> Allowlist {
        Allowlist::new(toml::from_str(toml).expect("valid")).expect("not empty")
    }

    fn place<'a>(text: &'a str, secret: &'a str) -> Place<'a> {
        Place {
            text,
            start: 0,
            end: text.len(),
            secret,
        }
    }

    #[test]
    fn one_hit_is_enough_unless_all_are_asked_for() {
        let any = list("regexes = ['^a+$']\nstopwords = ['stop']");
        assert!(any.allows(&place("", "aaa")) && any.allows(&place("", "xSTOPx")));
        let all = list("condition = 'AND'\nregexes = ['^a']\nstopwords = ['stop']");
        assert!(all.allows(&place("", "a-stop")) && !all.allows(&place("", "aaa")));
    }

    #[test]
    fn a_list_of_paths_allows_nothing() {
        let source = "condition = 'AND'\npaths = ['x']\nregexes = ['.*']";
        assert!(Allowlist::new(toml::from_str(source).expect("valid")).is_none());
    }

    #[test]
    fn the_line_can_be_asked_about() {
        let lines = list("regexTarget = 'line'\nregexes = ['--mount=type=secret']");
        let text = "a\nRUN --mount=type=secret,id=key1\nb";
        let at = text.find("key1").expect("there");
        assert!(lines.allows(&Place {
            text,
            start: at,
            end: at + 4,
            secret: "key1"
        }));
    }
}

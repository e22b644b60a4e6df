//! The rule set: read from the data files once, each expression compiled when its keyword first occurs.
//!
//! gitleaks' expressions are written for Go and for files of source code. While reading, we
//!
//! - escape braces that Go takes literally, and match on ASCII, which is what `\w` and `\b` mean in Go and
//!   compiles some twenty times faster than Unicode classes;
//! - drop what needs a file name, and the prefix of expressions for `<name> = <value>`, which only slows them;
//! - let a token be followed by the punctuation of prose, and mark it to its last character;
//! - ask more of a value that only its name makes suspicious (`looks_random`).

use std::sync::{LazyLock, OnceLock};

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::Kind;
use crate::allow::{self, Allowlist};
use crate::entropy;
use crate::placeholder;
use crate::reference;
use crate::scan::{Candidate, Rank};

const GITLEAKS: &str = include_str!("../rules/gitleaks.toml");
const COMMONTRACE: &str = include_str!("../rules/commontrace.toml");

/// Every rule, ours first.
pub(crate) static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    let (ours, gitleaks) = (parse(COMMONTRACE), parse(GITLEAKS));
    let rules = ours
        .rules
        .into_iter()
        .chain(gitleaks.rules)
        .filter_map(Rule::new)
        .collect();
    RuleSet {
        rules,
        harmless: Allowlist::new(gitleaks.allowlist).expect("the global list is not empty"),
    }
});

/// The rules, and what none of them may take for a secret.
pub(crate) struct RuleSet {
    rules: Vec<Rule>,
    harmless: Allowlist,
}

impl std::ops::Deref for RuleSet {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.rules
    }
}

/// Rules we replace: one is too wide when the kind of file is unknown, one marks the user name too.
const REPLACED: [&str; 2] = ["hashicorp-tf-password", "curl-auth-user"];

/// Rules whose value may be a weak password or its placeholder.
const MAY_BE_PASSWORD: [&str; 1] = ["curl-auth-header"];

/// Rules whose first group is not the secret but a piece of it.
const SECRET_IS_WHOLE_MATCH: [&str; 2] = ["jwt-base64", "microsoft-teams-webhook"];

/// How an expression for `<provider name> … = <value>` starts. It only widens the match to the left.
const PREFIX_FORMS: [(&str, &str); 3] = [
    (r"(?i)[\w.-]{0,50}?", "(?i)"),
    (r"[\w.-]{0,50}?(?i:[\w.-]{0,50}?", "(?i:"),
    (r"[\w.-]{0,50}?", ""),
];

/// What must follow a token by gitleaks' rules, and what we accept: prose puts punctuation after tokens.
const TOKEN_END: &str = r#"(?:[\x60'"\s;]|\\[nr]|$)"#;
const WIDER_TOKEN_END: &str = r#"(?:[\x60'"\s;,.:)\]}<>|&\\]|$)"#;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    allowlist: allow::Source,
    rules: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    id: String,
    regex: Option<String>,
    secret_group: Option<usize>,
    entropy: Option<f64>,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    allowlists: Vec<allow::Source>,
    guard: Option<Guard>,
}

/// How sceptical to be of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Guard {
    /// The value has a token's shape.
    Token,
    /// The value may be any word, so placeholders are told apart by their meaning.
    Password,
}

/// One rule of the set.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) keywords: Vec<String>,
    source: String,
    secret_group: Option<usize>,
    entropy: f64,
    allowlists: Vec<Allowlist>,
    guard: Guard,
    /// Whether only the words before the value say that it is a secret.
    named: bool,
    compiled: OnceLock<Regex>,
}

fn parse(text: &str) -> File {
    toml::from_str(text).expect("the shipped rule files are checked by a unit test")
}

impl Rule {
    /// Builds a rule; `None` if it only looks at file names or is replaced.
    fn new(source: Source) -> Option<Self> {
        let regex = source.regex?;
        if REPLACED.contains(&source.id.as_str()) {
            return None;
        }
        let (named, regex) = match PREFIX_FORMS
            .iter()
            .find_map(|(from, to)| Some((regex.strip_prefix(from)?, to)))
        {
            Some((rest, start)) => (true, format!("{start}{rest}")),
            None => (false, regex.replace(TOKEN_END, WIDER_TOKEN_END)),
        };
        let default_guard = if MAY_BE_PASSWORD.contains(&source.id.as_str()) {
            Guard::Password
        } else {
            Guard::Token
        };
        Some(Self {
            secret_group: if SECRET_IS_WHOLE_MATCH.contains(&source.id.as_str()) {
                Some(0)
            } else {
                source.secret_group
            },
            id: source.id,
            keywords: source.keywords,
            source: regex,
            entropy: source.entropy.unwrap_or(0.0),
            allowlists: source
                .allowlists
                .into_iter()
                .filter_map(Allowlist::new)
                .collect(),
            guard: source.guard.unwrap_or(default_guard),
            named,
            compiled: OnceLock::new(),
        })
    }

    fn regex(&self) -> &Regex {
        self.compiled.get_or_init(|| {
            compile(&self.source).expect("every rule compiles: checked by a unit test")
        })
    }

    /// Adds what this rule finds in `view`.
    pub(crate) fn find(&'static self, view: &str, out: &mut Vec<Candidate>) {
        for found in self.regex().captures_iter(view.as_bytes()) {
            let whole = found.get(0).expect("group 0 always takes part");
            let secret = match self.secret_group {
                Some(group) => found.get(group),
                None => found
                    .iter()
                    .skip(1)
                    .flatten()
                    .find(|group| !group.is_empty())
                    .or(Some(whole)),
            };
            let Some(secret) = secret else { continue };
            let (start, end) = self.token_around(view, secret.start(), secret.end());
            let value = &view[start..end];
            let (from, to) = to_char_boundaries(view, whole.start(), whole.end());
            if !value.is_empty() && self.believes(view, value, from, to) {
                out.push(Candidate {
                    rule: &self.id,
                    kind: Kind::Secret,
                    rank: self.rank(),
                    start,
                    end,
                });
            }
        }
    }

    /// Which finding wins where two overlap.
    fn rank(&self) -> Rank {
        match (self.guard, self.named) {
            (Guard::Token, false) => Rank::Shape,
            (Guard::Password, _) => Rank::Context,
            (Guard::Token, true) if self.id == "generic-api-key" => Rank::Guess,
            (Guard::Token, true) => Rank::Name,
        }
    }

    /// The secret without surrounding quotes, and to the end of the word it stands in: a token longer than
    /// its rule expects must not leave its tail behind.
    fn token_around(&self, view: &str, start: usize, end: usize) -> (usize, usize) {
        let bytes = view.as_bytes();
        let (mut start, mut end) = (start, end);
        let is_edge = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`');
        while start < end && is_edge(bytes[start]) {
            start += 1;
        }
        while start < end && is_edge(bytes[end - 1]) {
            end -= 1;
        }
        if self.guard == Guard::Token && !self.named {
            while end < bytes.len()
                && (bytes[end].is_ascii_alphanumeric() || matches!(bytes[end], b'_' | b'-'))
            {
                end += 1;
            }
        }
        to_char_boundaries(view, start, end)
    }

    /// Whether the name in `view[start..]`, which leads to `value`, makes a secret of it.
    fn believes_name(&self, view: &str, value: &str, start: usize) -> bool {
        let start = start - reference::name_before(&view[..start]).len();
        let name = view[start..].split(value).next().unwrap_or("");
        let in_address = view[..start].ends_with(':') && name.ends_with(':');
        looks_random(value, name)
            && (self.rank() != Rank::Guess || !(in_address || is_other_name(name)))
    }

    /// Whether `value` is random enough, no placeholder and not on an allowlist.
    fn believes(&self, view: &str, value: &str, start: usize, end: usize) -> bool {
        if self.entropy > 0.0 && entropy::shannon(value.as_bytes()) <= self.entropy {
            return false;
        }
        let plausible = match self.guard {
            Guard::Token if self.named => !placeholder::is_obvious(value),
            Guard::Token => !placeholder::is_obvious(value) && !placeholder::is_hash_or_id(value),
            Guard::Password => !placeholder::is_password(value),
        };
        if !plausible || (self.named && !self.believes_name(view, value, start)) {
            return false;
        }
        let place = allow::Place {
            text: view,
            start,
            end,
            secret: value,
        };
        !RULES.harmless.allows(&place) && !self.allowlists.iter().any(|list| list.allows(&place))
    }
}

/// Widens a range of bytes to whole characters.
fn to_char_boundaries(text: &str, mut start: usize, mut end: usize) -> (usize, usize) {
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    (start, end)
}

/// Whether a value that only a name points at can be a secret at all.
///
/// Words, plain numbers and program text are not; hashes and ids only if the name itself speaks of a key.
fn looks_random(value: &str, name: &str) -> bool {
    let has = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let is_program_text = reference::points_elsewhere(value) || reference::is_identifier(value);
    let speaks_of_key = || {
        let name = name.to_ascii_lowercase();
        ["key", "token", "secret", "passw", "auth", "credential"]
            .iter()
            .any(|word| name.contains(word))
    };
    is_mixed && !is_program_text && (!placeholder::is_hash_or_id(value) || speaks_of_key())
}

/// Whether a name that may belong to a secret belongs to something else: `public_key`, `KeyMaterialId`.
fn is_other_name(name: &str) -> bool {
    let lower = name
        .trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_ascii_lowercase();
    reference::is_harmless_name(&lower)
        || ["id", "name", "type", "source", "url", "arn", "path"]
            .iter()
            .any(|end| lower.ends_with(end))
}

/// Compiles an expression written for Go, matching on ASCII.
pub(crate) fn compile(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&escape_literal_braces(source))
        .unicode(false)
        .size_limit(32 << 20)
        .dfa_size_limit(512 << 10)
        .build()
}

/// Escapes every `{` that opens no repetition; Go takes those literally.
fn escape_literal_braces(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut in_class = false;
    let mut chars = source.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next().map(|(_, escaped)| escaped));
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '{' if !in_class && !opens_repetition(&source[at..]) => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    out
}

fn opens_repetition(rest: &str) -> bool {
    let inside = rest[1..].split('}').next().unwrap_or("");
    let mut bounds = inside.split(',');
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    bounds.next().is_some_and(is_number)
        && bounds
            .next()
            .is_none_or(|most| most.is_empty() || is_number(most))
        && bounds.next().is_none()
        && inside.len() < rest.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles() {
        assert!(RULES.len() > 240, "{} rules", RULES.len());
        for rule in RULES.iter() {
            if let Err(error) = compile(&rule.source) {
                panic!("rule `{}` does not compile: {error}", rule.id);
            }
        }
    }

    #[test]
    fn every_rule_has_a_lower_case_keyword_and_its_own_name() {
        let mut ids: Vec<&str> = RULES.iter().map(|rule| rule.id.as_str()).collect();
        ids.sort_unstable();
        let rules = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), rules, "two rules share an id");
        for rule in RULES.iter() {
            assert!(!rule.keywords.is_empty(), "`{}` could never run", rule.id);
            assert!(
                rule.keywords
                    .iter()
                    .all(|word| !word.is_empty() && *word == word.to_lowercase()),
                "{rule:?}"
            );
            assert!(
                rule.id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{}",
                rule.id
            );
        }
    }

    #[test]
    fn braces_that_open_no_repetition_are_escaped() {
        assert_eq!(
            escape_literal_braces(r"^\${(?:[A-Z_]+)}$"),
            r"^\$\{(?:[A-Z_]+)}$"
        );
        assert_eq!(
            escape_literal_braces(r"a{2}b{2,}c{2,3}[{]\{x{y}"),
            r"a{2}b{2,}c{2,3}[{]\{x\{y}"
        );
    }
}

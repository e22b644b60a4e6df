//! Finds secrets, e-mail addresses and user names in paths, and replaces them with marks.
//!
//! Used on every field before it is stored, logged, indexed or sent. Nothing is ever refused: the text
//! survives, the secret does not.
//!
//! ```
//! let answer = commontrace_redact::redact("cd /home/mira/src && export DB_PASSWORD=kX7!vq92");
//! assert_eq!(answer.text, "cd /home/[user]/src && export DB_PASSWORD=[redacted:password]");
//! ```
//!
//! How it works: one pass over the text finds keywords (`prefilter`); only the rules whose keyword
//! occurs are compiled and run (`rules`, `detect`); overlapping findings are merged (`scan`).
//!
//! **Invariants.** The same text gives the same answer. Redacting twice changes nothing more. No input
//! makes it panic. A replacement shows no part of what it replaces.
//!
//! This crate does no I/O, keeps nothing of what it read, and does not judge texts: hidden characters
//! and injected instructions are looked for elsewhere.

mod allow;
mod detect;
mod entropy;
mod json;
mod json_text;
mod placeholder;
mod prefilter;
mod reference;
mod rules;
mod scan;
mod summary;
mod view;

use std::borrow::Cow;

use serde::Serialize;

pub use json::redact_json;
pub use json_text::{RedactedJson, redact_json_text};
pub use summary::{RuleCount, Summary};

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A key, token, password or other credential.
    Secret,
    /// An e-mail address of a person.
    Email,
    /// The user's name in the path of a home directory.
    HomePath,
}

/// One place in a text that must not be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that fired, such as `github-pat`, `url-password` or `email`.
    pub rule: &'static str,
    /// What kind of thing it is.
    pub kind: Kind,
    /// Where it starts in the input, in bytes.
    pub start: usize,
    /// Where it ends in the input, in bytes, exclusive.
    pub end: usize,
}

impl Finding {
    /// Writes the text shown in place of this finding.
    fn push_mark(&self, out: &mut String) {
        match self.kind {
            Kind::HomePath => out.push_str(scan::USER_MARK),
            Kind::Secret | Kind::Email => {
                out.push_str(scan::MARK_OPEN);
                out.push_str(self.rule);
                out.push(']');
            }
        }
    }
}

/// A text with everything secret replaced, and what was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted<'a> {
    /// The text to keep; borrowed when nothing was found.
    pub text: Cow<'a, str>,
    /// What was found, in the order of the input, without overlaps.
    pub findings: Vec<Finding>,
}

/// Whether a mark of this crate stands in `text`.
pub fn has_mark(text: &str) -> bool {
    scan::has_mark(text)
}

/// Replaces every secret, e-mail address and user name in a home path.
///
/// Secrets and addresses become `[redacted:<rule>]`; of a home path only the name is replaced, so
/// `/home/mira/src` becomes `/home/[user]/src`.
pub fn redact(text: &str) -> Redacted<'_> {
    let findings = scan::find(text);
    let text = if findings.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(scan::apply(text, &findings))
    };
    Redacted { text, findings }
}

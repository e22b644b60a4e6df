//! Redaction of JSON as text: what is not secret stays byte for byte as it was written.
//!
//! Parsing and writing again would change spaces, the order of members, numbers and escapes. Here string
//! literals are found, decoded, redacted, and only those that changed are written anew.
//!
//! The text is not checked to be JSON; of a text that is none, what stands between quotes is redacted.

use std::borrow::Cow;

use crate::detect::assignment;
use crate::scan::MARK_OPEN;
use crate::{Summary, redact};

/// A JSON text with everything secret replaced, and how often each rule fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedactedJson<'a> {
    /// The text to keep; borrowed when nothing was found.
    pub text: Cow<'a, str>,
    /// What was replaced.
    pub summary: Summary,
}

/// Replaces what is secret in the string literals of a JSON text, as [`redact_json`](crate::redact_json)
/// does in a value, and leaves every other byte as it is.
///
/// Nesting costs no stack, so any depth is fine.
pub fn redact_json_text(text: &str) -> RedactedJson<'_> {
    let mut walk = Walk::default();
    let mut at = 0;
    while let Some(found) = next_mark(text.as_bytes(), at) {
        at = match text.as_bytes()[found] {
            b'"' => walk.literal(text, found),
            b'{' | b'[' => {
                walk.open();
                found + 1
            }
            b'}' | b']' => {
                walk.close();
                found + 1
            }
            _ => {
                // A comma: whatever name came before has its value.
                walk.name = None;
                found + 1
            }
        };
    }
    let text = if walk.copied == 0 {
        Cow::Borrowed(text)
    } else {
        walk.out.push_str(&text[walk.copied..]);
        Cow::Owned(walk.out)
    };
    RedactedJson {
        text,
        summary: walk.summary,
    }
}

/// No text shorter than this holds anything that a rule would mark.
const SHORTEST: usize = 6;

/// The next byte from `at` on that opens a string, opens or closes a container, or ends a member.
fn next_mark(bytes: &[u8], at: usize) -> Option<usize> {
    bytes[at..]
        .iter()
        .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b','))
        .map(|found| at + found)
}

#[derive(Default)]
struct Walk<'a> {
    /// What was written so far; empty as long as nothing changed.
    out: String,
    /// Up to where the input is in `out`.
    copied: usize,
    /// The name of the member whose value comes next.
    name: Option<Cow<'a, str>>,
    depth: usize,
    /// Names that were redacted in the containers that are open, with their depth.
    marked: Vec<(usize, String)>,
    summary: Summary,
}

impl<'a> Walk<'a> {
    fn open(&mut self) {
        self.depth += 1;
        self.name = None;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.name = None;
        while self.marked.last().is_some_and(|(at, _)| *at > self.depth) {
            self.marked.pop();
        }
    }

    /// Redacts the literal that opens at `start`; returns where the text goes on.
    fn literal(&mut self, text: &'a str, start: usize) -> usize {
        let end = literal_end(text.as_bytes(), start + 1);
        let closed = end.min(text.len());
        let body = &text[start + 1..closed];
        let next = (closed + 1).min(text.len());
        let decoded = decoded(body);
        let is_name = text[next..].trim_start().starts_with(':');
        if is_name {
            if let Some(mut mark) = self.redacted(&decoded) {
                self.number(&mut mark);
                self.splice(text, start, next, &mark);
            }
            self.name = Some(decoded);
            return next;
        }
        let name = self.name.take();
        let secret = name.and_then(|name| assignment::member(&name, &decoded));
        let replaced = match secret {
            Some(rule) => {
                self.summary.count(rule);
                Some(format!("{MARK_OPEN}{rule}]"))
            }
            None => self.redacted(&decoded),
        };
        if let Some(replaced) = replaced {
            self.splice(text, start, next, &replaced);
        }
        next
    }

    fn redacted(&mut self, text: &str) -> Option<String> {
        if text.len() < SHORTEST {
            return None;
        }
        let answer = redact(text);
        if answer.findings.is_empty() {
            return None;
        }
        self.summary.add(&answer.findings.iter().collect());
        Some(answer.text.into_owned())
    }

    /// Makes a redacted name differ from those of its object, so that no member is lost.
    fn number(&mut self, name: &mut String) {
        let same = self
            .marked
            .iter()
            .rev()
            .take_while(|(depth, _)| *depth == self.depth)
            .filter(|(_, other)| other == name)
            .count();
        self.marked.push((self.depth, name.clone()));
        if same > 0 {
            name.push_str(&format!(" ({})", same + 1));
        }
    }

    fn splice(&mut self, text: &str, start: usize, end: usize, replaced: &str) {
        self.out.push_str(&text[self.copied..start]);
        self.out.push_str(&encoded(replaced));
        self.copied = end;
    }
}

/// Where the literal whose text starts at `at` has its closing quote, or the end of the text.
fn literal_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// What a literal says; of one that is damaged, such as by half of a surrogate pair, its text as it stands.
fn decoded(body: &str) -> Cow<'_, str> {
    if !body.contains('\\') {
        return Cow::Borrowed(body);
    }
    match serde_json::from_str::<String>(&format!("\"{body}\"")) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Owned(lossy(body)),
    }
}

/// Decodes the escapes that can be decoded; half of a surrogate pair becomes U+FFFD.
fn lossy(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else {
            break;
        };
        rest = &rest[escape.len_utf8()..];
        match escape {
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => rest = unicode(rest, &mut out),
            other => out.push(other),
        }
    }
    out.push_str(rest);
    out
}

/// Decodes what follows `\u`, with the second half of a pair if there is one.
fn unicode<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let Some(unit) = hex(rest) else {
        out.push(char::REPLACEMENT_CHARACTER);
        return rest;
    };
    let after = &rest[4..];
    let low = after
        .strip_prefix("\\u")
        .and_then(hex)
        .filter(|low| (0xdc00..0xe000).contains(low));
    match (unit, low) {
        (0xd800..0xdc00, Some(low)) => {
            let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            &after[6..]
        }
        _ => {
            out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
            after
        }
    }
}

fn hex(rest: &str) -> Option<u32> {
    let digits = rest.get(..4)?;
    u32::from_str_radix(digits, 16)
        .ok()
        .filter(|_| !digits.starts_with('+'))
}

fn encoded(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn check(text: &str, expected: &str) {
        let answer = redact_json_text(text);
        assert_eq!(answer.text, expected);
        let again = redact_json_text(&answer.text);
        assert_eq!(again.text, expected, "redacting twice changes more");
    }

    #[test]
    fn what_is_not_secret_keeps_every_byte() {
        let text = "{ \"a\" :1.0e+02,\"caf\\u00e9\":[ \"x\\/y\" ],\"n\":12345678901234567890 }";
        let answer = redact_json_text(text);
        assert!(matches!(answer.text, Cow::Borrowed(_)));
        check(
            "{ \"a\" :1.0e+02,\"by\":\"mira@holt.dev\", \"u\":\"\\u00e9\\/\" }",
            "{ \"a\" :1.0e+02,\"by\":\"[redacted:email]\", \"u\":\"\\u00e9\\/\" }",
        );
    }

    #[test]
    fn escapes_hide_nothing() {
        check(
            r#"["mira\u0040holt.dev","cd \/home\/mira\/src\n"]"#,
            r#"["[redacted:email]","cd /home/[user]/src\n"]"#,
        );
        // Half of a surrogate pair, as tools write that cut texts in the middle of a character.
        check(
            r#"{"out":"mira@holt.dev \ud83d"}"#,
            "{\"out\":\"[redacted:email] \u{fffd}\"}",
        );
        check(r#"{"out":"x \ud83d"}"#, r#"{"out":"x \ud83d"}"#);
    }

    #[test]
    fn members_of_a_secrets_name_go_whole_and_names_stay_apart() {
        check(
            r#"{"db_password": "kX7vq92", "eve@holt.dev": {"a": 1}, "mira@holt.dev": 2, "password": 5, "x": "kX7vq92"}"#,
            r#"{"db_password": "[redacted:password]", "[redacted:email]": {"a": 1}, "[redacted:email] (2)": 2, "password": 5, "x": "kX7vq92"}"#,
        );
    }

    #[test]
    fn damaged_texts_and_deep_ones_are_survived() {
        for text in [
            "\"",
            "\"\\",
            "{\"a",
            "\"a\\u12",
            "\"\\ud800\\u",
            "}}]]\"x",
            "\\\"",
        ] {
            redact_json_text(text);
        }
        let deep = "[".repeat(200_000);
        assert_eq!(redact_json_text(&deep).text, deep);
        check("{\"x\": \"mira@holt.dev", "{\"x\": \"[redacted:email]\"");
    }

    #[test]
    fn a_text_and_its_value_are_redacted_alike() {
        let text = r#"{"cwd":"/home/mira/x","l":[{"token":"b3Jk9fQz7Lw2","n":null}],"commit":"0d3c4465a7fd013edaff839c8faa36d326bcccc9"}"#;
        let mut value: Value = serde_json::from_str(text).expect("JSON");
        let summary = crate::redact_json(&mut value);
        let answer = redact_json_text(text);
        assert_eq!(answer.summary, summary);
        assert_eq!(
            serde_json::from_str::<Value>(&answer.text).expect("JSON"),
            value
        );
    }
}

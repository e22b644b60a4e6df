//! Texts of others, made fit to be shown, and texts of the agent, made fit to be sent.

pub(crate) use commontrace_core::text::clean;
use commontrace_core::text::clean_line;
use commontrace_redact::{Summary, redact, redact_json};
use serde_json::{Map, Value};

/// Puts a text in one line, clean, of at most this many characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    cut(&clean_line(text), most, "...")
}

/// Cuts a text at this many characters, and marks the cut.
pub(crate) fn cut(text: &str, most: usize, mark: &str) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}{mark}", &text[..end]),
    }
}

/// Cleans a text, redacts it and then cuts it, in this order: neither a secret with a colour in its middle nor
/// half a secret is recognised as one.
pub(crate) fn redacted(text: &str, most: usize) -> String {
    cut(&redact(&clean(text)).text, most, "")
}

/// Takes out of a request what must not leave: first what nobody sees, because a colour or an invisible space
/// in its middle hides a secret, then secrets and personal details. Counts the latter.
pub fn redact_request(body: &mut Value) -> Summary {
    clean_value(body);
    redact_json(body)
}

fn clean_value(value: &mut Value) {
    match value {
        Value::String(text) => *text = clean(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(clean_value),
        Value::Object(members) => {
            let cleaned = std::mem::take(members)
                .into_iter()
                .map(|(name, mut value)| {
                    clean_value(&mut value);
                    (clean(&name).into_owned(), value)
                });
            *members = cleaned.collect::<Map<String, Value>>();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Writes `s` behind a noun unless there is one of it.
pub(crate) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_left_out() {
        let hidden = "a\u{202e}b\u{200b}c\u{1b}[31md\u{e0041}\ne\tf\r";
        assert_eq!(clean(hidden), "abcd\ne\tf\n");
        assert_eq!(one_line("a \n\n b\u{0}  \u{0} c", 10), "a b c");
        assert_eq!(one_line("a\u{1b}[1mb\rc", 10), "ab c");
    }

    #[test]
    fn a_cut_is_between_characters_and_marked() {
        assert_eq!(one_line("äöü", 2), "äö...");
        assert_eq!(one_line("äö", 2), "äö");
    }

    #[test]
    fn a_secret_at_the_cut_does_not_survive_in_part() {
        let token = format!("ghp_{}", "aB3dE6gH9kLmN2pQ5sTvW8xYzA1cF4iJ7oR0");
        for before in 0..60 {
            let text = format!("{} {token} failed", "x".repeat(before));
            let sent = redacted(&text, 50);
            assert!(!sent.contains("ghp_"), "{sent}");
        }
    }

    #[test]
    fn a_secret_is_found_whatever_invisible_stands_in_it() {
        let (begin, end) = ("ghp_", "aB3dE6gH9kLmN2pQ5sTvW8xYzA1cF4iJ7oR0");
        for hidden in [
            "\u{1b}[m\u{1b}[K",
            "\u{200b}",
            "\u{0}",
            "\u{e0041}",
            "\u{9b}0m",
        ] {
            let text = format!("{begin}{hidden}{end} failed");
            assert!(!redacted(&text, 50).contains("aB3d"), "{hidden:?}");
            let mut body = serde_json::json!({ "a": [{ text.as_str(): "x", "b": text }] });
            assert_eq!(redact_request(&mut body).total(), 2, "{hidden:?}");
            assert!(!body.to_string().contains("aB3d"), "{body}");
        }
    }
}

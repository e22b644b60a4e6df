//! Texts of others, made fit to be shown, and texts of the agent, made fit to be sent.

pub(crate) use commontrace_core::text::clean;
use commontrace_core::text::clean_line;
use commontrace_redact::redact;

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

/// Redacts a text and then cuts it, in this order: half a secret is not recognised as one.
pub(crate) fn redacted(text: &str, most: usize) -> String {
    cut(&redact(text).text, most, "")
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
}

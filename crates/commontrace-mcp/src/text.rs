//! Texts of others, made fit to be shown, and texts of the agent, made fit to be sent.

use commontrace_redact::redact;

/// Leaves out what changes a text without being seen: control characters but for line breaks and tabs,
/// marks of direction, and characters without width.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| is_visible(*c)).collect()
}

fn is_visible(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => false,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => false,
        // Tags: a whole alphabet that nobody sees.
        '\u{e0000}'..='\u{e007f}' => false,
        c => !c.is_control(),
    }
}

/// Puts a text in one line, clean, of at most this many characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = clean(&words.join(" "));
    cut(&line, most, "...")
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
        assert_eq!(clean(hidden), "abc[31md\ne\tf");
        assert_eq!(one_line("a \n\n b\u{0}  c", 10), "a b c");
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

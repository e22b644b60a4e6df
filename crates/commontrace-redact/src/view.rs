//! The text as the secret rules see it: escapes of quoted strings blanked out.
//!
//! Logs and JSON carry `\n` and `\"` as two characters. Left alone, the `n` of `\nAKIA…` would glue itself
//! to the token and hide its start. Every byte keeps its place, so a finding in the view is a finding in
//! the text.

use std::borrow::Cow;

/// Returns `text` with `\n`, `\r`, `\t`, `\"`, `\'`, `\\` and `\/` replaced by as many blanks, or by a
/// blank and the character itself where that is a quote or a slash.
pub(crate) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut view = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        view.push_str(&rest[..at]);
        let seen = match rest.as_bytes().get(at + 1) {
            Some(b'n' | b'r') => " \n",
            Some(b't' | b'\\') => "  ",
            Some(b'"') => " \"",
            Some(b'\'') => " '",
            Some(b'/') => " /",
            _ => "\\",
        };
        view.push_str(seen);
        rest = &rest[at + seen.len()..];
    }
    view.push_str(rest);
    Cow::Owned(view)
}

/// The first `most` bytes of `text`, or a little less to end between characters.
///
/// Look-aheads are bounded so that no text takes quadratic time.
pub(crate) fn head(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The last `most` bytes of `text`, or a little less to start between characters.
pub(crate) fn tail(text: &str, most: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(most))..]
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn escapes_are_blanked_and_lengths_kept() {
        assert_eq!(unescaped(r#"a\nb\"c\\d\qe\"#), "a \nb \"c  d\\qe\\");
        assert_eq!(unescaped("é\\tü"), "é  ü");
    }
}

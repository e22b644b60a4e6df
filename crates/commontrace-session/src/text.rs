//! Texts as people read them.

use std::borrow::Cow;

/// The text without terminal escapes: colours, cursor moves, titles.
pub fn without_ansi(text: &str) -> Cow<'_, str> {
    const ESCAPE: char = '\u{1b}';
    if !text.contains([ESCAPE, '\u{9b}']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let control = match c {
            ESCAPE => chars.next_if(|next| matches!(next, '[' | ']' | '(' | ')' | 'P' | '_' | '^')),
            '\u{9b}' => Some('['),
            _ => {
                out.push(c);
                continue;
            }
        };
        match control {
            // A sequence of parameters and a letter.
            Some('[') => {
                while chars
                    .next_if(|c| matches!(c, '0'..='?' | ' '..='/'))
                    .is_some()
                {}
                chars.next_if(|c| matches!(c, '@'..='~'));
            }
            // A character set.
            Some('(' | ')') => {
                chars.next_if(char::is_ascii_alphanumeric);
            }
            // A string that a bell or `ESC \` ends, on the same line.
            Some(_) => {
                while let Some(c) = chars.next_if(|c| *c != '\n') {
                    if c == '\u{7}' {
                        break;
                    }
                    if c == ESCAPE {
                        chars.next_if_eq(&'\\');
                        break;
                    }
                }
            }
            None => {
                chars.next_if(|c| matches!(c, '0'..='~'));
            }
        }
    }
    Cow::Owned(out)
}

/// The longest run of backticks in a text; whatever is fenced by more of them stays inside.
pub fn longest_backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A Markdown block that nothing inside can end.
pub fn fenced(text: &str, language: &str) -> String {
    let fence = "`".repeat(longest_backticks(text).max(2) + 1);
    format!(
        "{fence}{language}\n{}\n{fence}\n",
        text.trim_end_matches('\n')
    )
}

#[cfg(test)]
mod tests {
    use super::{fenced, without_ansi};

    #[test]
    fn no_text_ends_its_fence() {
        assert_eq!(
            fenced("a\n````\nb\n", "diff"),
            "`````diff\na\n````\nb\n`````\n"
        );
        assert!(fenced("", "").starts_with("```\n"));
    }

    #[test]
    fn escapes_go_and_the_text_stays() {
        for (text, expected) in [
            ("plain", "plain"),
            ("\u{1b}[31;1mred\u{1b}[0m é", "red é"),
            ("\u{1b}]0;title\u{7}x\u{1b}]8;;http://x\u{1b}\\y", "xy"),
            ("a\u{1b}[2Kb\u{1b}(Bc\u{1b}7d", "abcd"),
            ("\u{1b}]unended\nnext", "\nnext"),
            ("\u{1b}", ""),
        ] {
            assert_eq!(without_ansi(text), expected, "{text:?}");
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::without_ansi;

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

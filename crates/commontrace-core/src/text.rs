//! Makes stored text harmless to terminals and readers without changing what it says.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// Removes what no field may store: NUL and other control characters, terminal escape sequences,
/// direction overrides, invisible tag characters and zero-width spaces. Line ends become `\n`;
/// tabs and line feeds stay. Joiners stay too, because emoji and several scripts need them.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c == '\r' || is_unwanted(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ESCAPE => skip_escape(&mut rest),
            CSI => skip_parameters(&mut rest),
            '\r' => {
                if rest.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            c if is_unwanted(c) => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Cleans a text that belongs on one line: every run of white space becomes one space.
pub fn clean_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Removes terminal escapes (colours, cursor moves, titles) and nothing else.
pub fn without_ansi(text: &str) -> Cow<'_, str> {
    if !text.contains([ESCAPE, CSI]) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ESCAPE => skip_escape(&mut rest),
            CSI => skip_parameters(&mut rest),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

const ESCAPE: char = '\u{1b}';
/// What begins a sequence of parameters as one character.
const CSI: char = '\u{9b}';

/// Skips the parameters and the final byte of a sequence.
fn skip_parameters(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    rest.next_if(|c| matches!(c, '@'..='~'));
}

/// Skips one terminal escape sequence whose ESC was just read: CSI up to its final byte, OSC and other strings
/// up to BEL or ST, a character set, else the one character after ESC.
fn skip_escape(rest: &mut Peekable<Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_parameters(rest);
        }
        Some('(' | ')') => {
            rest.next();
            rest.next_if(char::is_ascii_alphanumeric);
        }
        Some(']' | 'P' | '_' | '^') => {
            // A title or link sequence without its end must not swallow the text behind it.
            rest.next();
            while let Some(c) = rest.next_if(|&c| c != '\n') {
                if c == '\u{7}' {
                    break;
                }
                if c == ESCAPE {
                    rest.next_if_eq(&'\\');
                    break;
                }
            }
        }
        Some(c) if ('0'..='~').contains(c) => {
            rest.next();
        }
        _ => {}
    }
}

fn is_unwanted(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        c if c.is_control() => true,
        '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{180e}' | '\u{feff}' => true,
        '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' => true,
        '\u{e0000}'..='\u{e007f}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(clean(text), expected, "clean({text:?})");
    }

    #[test]
    fn terminal_colours_and_control_characters_go_and_line_ends_stay() {
        check("plain\ttext\n", "plain\ttext\n");
        check("\u{1b}[1;31merror\u{1b}[0m: x", "error: x");
        check(
            "a\u{1b}]8;;https://e.test\u{7}link\u{1b}]8;;\u{7}b",
            "alinkb",
        );
        check("a\r\nb\rc", "a\nb\nc");
        check("nul\0 bell\u{7}", "nul bell");
        check("\u{202e}gpj.exe", "gpj.exe");
        check("hidden\u{e0041}\u{e0042}", "hidden");
        check("a\u{61c}b\u{2064}c\u{206a}", "abc");
        check("family 👨\u{200d}👩", "family 👨\u{200d}👩");
    }

    #[test]
    fn escapes_go_and_the_text_stays() {
        for (text, expected) in [
            ("plain\0", "plain\0"),
            ("\u{1b}[31;1mred\u{1b}[0m é", "red é"),
            ("\u{1b}]0;title\u{7}x\u{1b}]8;;http://x\u{1b}\\y", "xy"),
            ("a\u{1b}[2Kb\u{1b}(Bc\u{1b}7d", "abcd"),
            ("\u{1b}]unended\nnext", "\nnext"),
            ("\u{9b}31mred\u{9b}m", "red"),
            ("\u{1b}", ""),
        ] {
            assert_eq!(without_ansi(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_has_no_line_ends() {
        assert_eq!(clean_line("  two\n\tlines \0"), "two lines");
    }

    proptest! {
        #[test]
        fn cleaning_is_idempotent_and_leaves_nothing_unwanted(text in any::<String>()) {
            let once = clean(&text).into_owned();
            prop_assert!(!once.chars().any(is_unwanted));
            prop_assert_eq!(clean(&once), once.as_str());
        }
    }
}

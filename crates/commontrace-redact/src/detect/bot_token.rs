//! Tokens of Telegram's bots: `123456789:AAF…`, a number, a colon and 35 characters.
//!
//! gitleaks asks for the word "telegram" before them, but addresses and logs show them alone.

use crate::Kind;
use crate::entropy;
use crate::placeholder;
use crate::scan::{Candidate, Rank};

/// What a token has in its middle.
pub(crate) const SIGNS: [&str; 10] = ["0:", "1:", "2:", "3:", "4:", "5:", "6:", "7:", "8:", "9:"];

/// Characters behind the colon, and how many it may be of a token that begins as they all do today.
const SECRET: usize = 35;
const LIKELY: std::ops::RangeInclusive<usize> = 34..=64;

/// Adds the tokens whose colons stand at `positions`.
pub(crate) fn find(view: &str, positions: &[usize], out: &mut Vec<Candidate>) {
    out.extend(positions.iter().filter_map(|at| token(view, *at)));
}

fn token(view: &str, at: usize) -> Option<Candidate> {
    let bytes = view.as_bytes();
    let number = bytes[..at]
        .iter()
        .rev()
        .take(11)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let start = at - number;
    let before = &bytes[..start];
    // An address has `bot` right before the number.
    let begins = before.ends_with(b"bot")
        || !before
            .last()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let length = bytes[at + 1..]
        .iter()
        .take(LIKELY.end() + 1)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        .count();
    let is_likely = bytes[at + 1..].starts_with(b"AA") && LIKELY.contains(&length);
    if !(8..=10).contains(&number) || !begins || !(length == SECRET || is_likely) {
        return None;
    }
    let end = at + 1 + length;
    let secret = &view[at + 1..end];
    let has = |is: fn(&u8) -> bool| secret.as_bytes().iter().any(is);
    let is_random = has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && entropy::shannon(secret.as_bytes()) > 3.5
        && !placeholder::is_obvious(secret);
    is_random.then_some(Candidate {
        rule: "telegram-bot-token",
        kind: Kind::Secret,
        rank: Rank::Shape,
        start,
        end,
    })
}

#[cfg(test)]
mod tests {
    use crate::redact;

    #[test]
    fn tokens_are_found_without_a_name_before_them() {
        for text in [
            "TOKEN 123456789:AAFk3jJ2xQ9vRz7LmT0bYw4HsN8pUe1cDgX",
            "https://api.telegram.org/bot8123456789:AAFk3jJ2xQ9vRz7LmT0bYw4HsN8-Ue1cD_X/getMe",
            r#"{"t":"12345678:k3jJ2xQ9vRz7LmT0bYw4HsN8pUe1cDgXaBc"}"#,
        ] {
            let found = redact(text);
            assert_eq!(found.findings.len(), 1, "{text}");
            assert!(
                found.text.contains("[redacted:telegram-bot-token]"),
                "{}",
                found.text
            );
        }
    }

    #[test]
    fn other_numbers_with_colons_are_left_alone() {
        for text in [
            "2026-01-02T10:11:12.000Z 127.0.0.1:8080 src/x.rs:12345678:90",
            "12345678:123e4567-e89b-12d3-a456-426614174000",
            "123456789:0d3c4465a7fd013edaff839c8faa36d326bcccc9",
            "123456789:this-is-the-name-of-something-or-ot",
            "123456789:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
            "0x123456789:AAFk3jJ2xQ9vRz7LmT0bYw4HsN8pUe1cDgX",
        ] {
            assert_eq!(redact(text).findings, [], "{text}");
        }
    }
}

//! Credentials in HTTP headers: `Authorization`, API-key headers, session cookies.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::Kind;
use crate::placeholder;
use crate::reference;
use crate::scan::{Candidate, Rank};
use crate::view::head;

/// Names, in small letters, after which a credential follows. `bearer` also stands without its header.
pub(crate) const NAMES: [&str; 10] = [
    "authorization",
    "bearer",
    "api-key",
    "auth-token",
    "access-token",
    "private-token",
    "vault-token",
    "security-token",
    "cookie",
    "x-token",
];

/// The longest value looked at, in bytes.
const LONGEST: usize = 8 << 10;

/// Adds the credentials of the headers whose names end at `positions`.
pub(crate) fn find(view: &str, positions: &[usize], out: &mut Vec<Candidate>) {
    let mut read_to = 0;
    for end in positions {
        if *end < read_to {
            continue;
        }
        let name = name_before(view, *end);
        if name.is_empty() {
            continue;
        }
        let Some(start) = value_start(view, *end, name == "bearer") else {
            continue;
        };
        if name == "cookie" {
            read_to = cookies(view, start, out);
        } else if let Some(found) = credential(view, start, name) {
            read_to = found.end;
            out.push(found);
        }
    }
}

/// The last word of the header's name in small letters; empty where it is part of another word.
fn name_before(view: &str, end: usize) -> &'static str {
    let before = &view.as_bytes()[..end];
    let ends_with = |name: &&&str| {
        let start = end.checked_sub(name.len());
        start.is_some_and(|start| {
            let is_word = !before[..start].ends_with(b"::")
                && !before[..start].last().is_some_and(u8::is_ascii_alphabetic);
            is_word && before[start..].eq_ignore_ascii_case(name.as_bytes())
        })
    };
    NAMES.iter().find(ends_with).copied().unwrap_or("")
}

/// Where the value starts, past quotes and a colon, equals sign or comma; after `Bearer` past a blank.
fn value_start(view: &str, end: usize, is_scheme: bool) -> Option<usize> {
    let rest = &view[end..];
    if is_scheme {
        let value = rest.trim_start_matches([' ', '\t']);
        return (value.len() < rest.len()).then_some(view.len() - value.len());
    }
    let quoted = rest.trim_start_matches(['"', '\'', '`', ']', ' ']);
    let value = quoted.strip_prefix([':', '=', ','])?;
    let value = value.trim_start_matches([' ', '\t', '"', '\'', '`', '>']);
    (rest.len() - value.len() <= 12).then_some(view.len() - value.len())
}

fn credential(view: &str, start: usize, name: &str) -> Option<Candidate> {
    let (scheme, start) = skip_scheme(view, start);
    let is_value = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b'-' | b'|' | b':' | b'%'
            )
    };
    let rest = head(&view[start..], LONGEST);
    let length = rest.bytes().take_while(is_value).count();
    let value = view[start..start + length].trim_end_matches(['.', ':']);
    let rule = match scheme.as_str() {
        "basic" => is_basic(value).then_some("basic-auth")?,
        "bearer" => is_credential(value, 12).then_some("bearer-token")?,
        _ if name == "bearer" => is_credential(value, 12).then_some("bearer-token")?,
        _ if name == "authorization" => {
            is_credential(value, 12).then_some("authorization-header")?
        }
        _ => is_credential(value, 8).then_some("api-key-header")?,
    };
    Some(Candidate {
        rule,
        kind: Kind::Secret,
        rank: Rank::Context,
        start,
        end: start + value.len(),
    })
}

/// The authentication scheme at `start`, in small letters, and where its credential starts.
fn skip_scheme(view: &str, start: usize) -> (String, usize) {
    const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "apikey", "api-key", "key"];
    let rest = &view[start..];
    for scheme in SCHEMES {
        let Some(after) = rest
            .get(..scheme.len())
            .filter(|word| word.eq_ignore_ascii_case(scheme))
            .map(|word| &rest[word.len()..])
        else {
            continue;
        };
        let value = after.trim_start_matches([' ', '\t']);
        if value.len() < after.len() {
            return (scheme.to_owned(), view.len() - value.len());
        }
    }
    (String::new(), start)
}

/// Whether a value can be a credential: long enough, with a digit, and no word, path or placeholder.
fn is_credential(value: &str, least: usize) -> bool {
    let has = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    value.len() >= least
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && !value.contains("HMAC-SHA")
        && !reference::points_elsewhere(value)
        && !reference::is_identifier(value)
        && !placeholder::is_password(value)
}

/// Whether a Basic credential decodes to a user and a password that is no placeholder.
fn is_basic(value: &str) -> bool {
    let bare = value.trim_end_matches('=');
    let decoded = STANDARD_NO_PAD
        .decode(bare)
        .or_else(|_| URL_SAFE_NO_PAD.decode(bare));
    let Some(text) = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return false;
    };
    text.split_once(':').is_some_and(|(_, password)| {
        !placeholder::is_password(password) && password != "open sesame"
    })
}

/// Adds the values of cookies that carry a session, and returns where their line ends.
fn cookies(view: &str, start: usize, out: &mut Vec<Candidate>) -> usize {
    const SESSION_WORDS: [&str; 7] = ["sess", "sid", "token", "auth", "jwt", "remember", "login"];
    let line = head(&view[start..], LONGEST).lines().next().unwrap_or("");
    let mut at = start;
    for pair in line.split_inclusive([';', '"', '\'']) {
        if let Some((name, value)) = pair.split_once('=') {
            let value_at = at + name.len() + 1;
            let value = value.trim_end_matches([';', '"', '\'', ' ']);
            let value = value.split([' ', ',']).next().unwrap_or("");
            let name = name.trim().to_ascii_lowercase();
            if SESSION_WORDS.iter().any(|word| name.contains(word)) && is_credential(value, 16) {
                out.push(Candidate {
                    rule: "session-cookie",
                    kind: Kind::Secret,
                    rank: Rank::Context,
                    start: value_at,
                    end: value_at + value.len(),
                });
            }
        }
        at += pair.len();
    }
    at
}

#[cfg(test)]
mod tests {
    use crate::redact;

    #[test]
    fn credentials_of_headers_are_replaced() {
        let cases = [
            (
                "Authorization: Bearer a1B2c3D4e5F6g7",
                "Authorization: Bearer [redacted:bearer-token]",
            ),
            (
                r#""authorization": "token a1B2c3D4e5F6g7""#,
                r#""authorization": "token [redacted:authorization-header]""#,
            ),
            (
                "Authorization: Basic bWlyYTprWDchdnE5Mg==",
                "Authorization: Basic [redacted:basic-auth]",
            ),
            (
                "curl -H 'X-API-Key: n3Vq8Zk1'",
                "curl -H 'X-API-Key: [redacted:api-key-header]'",
            ),
            (
                "Cookie: theme=dark; sessionid=a1b2c3d4e5f6a7b8; x=1",
                "Cookie: theme=dark; sessionid=[redacted:session-cookie]; x=1",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text).text, expected);
        }
    }

    #[test]
    fn headers_of_manuals_are_left_alone() {
        for text in [
            "Authorization: Bearer <token>",
            "Authorization: Bearer ${TOKEN}",
            "Authorization: Bearer YOUR_ACCESS_TOKEN_1",
            "f\"Bearer {token}\"",
            "Authorization: Basic dXNlcjpwYXNzd29yZA==",
            "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "the bearer of this2letter",
            "X-API-Key: your-api-key-123",
            "headers['authorization'].split(' ')[1]",
        ] {
            assert_eq!(redact(text).findings, [], "{text}");
        }
    }
}

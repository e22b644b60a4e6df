//! Values given to a name that says they are secret: `password: …`, `DB_PASSWORD=…`, `--token …`,
//! `<password>…</password>`.
//!
//! The hard part is what to leave alone. A value is believed only if it could be a secret by its
//! characters: words, code (`os.environ["X"]`, `config.password`, `str`) and placeholders are not. The price:
//! a password of letters only is missed.

use crate::Kind;
use crate::entropy;
use crate::placeholder;
use crate::reference;
use crate::scan::{Candidate, Rank};
use crate::view::{head, tail};

/// What a name promises of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// Chosen by a person, perhaps short.
    Password,
    /// Made by a machine, long and mixed.
    Token,
}

/// Words, in small letters, that end the name of a secret.
pub(crate) const NAMES: [(&str, Value); 28] = [
    ("password", Value::Password),
    ("passwd", Value::Password),
    ("passphrase", Value::Password),
    ("passwort", Value::Password),
    ("contraseña", Value::Password),
    ("_pwd", Value::Password),
    ("pwd", Value::Password),
    ("_pass", Value::Password),
    ("dbpass", Value::Password),
    ("secret", Value::Token),
    ("token", Value::Token),
    ("api_key", Value::Token),
    ("api-key", Value::Token),
    ("apikey", Value::Token),
    ("access_key", Value::Token),
    ("access-key", Value::Token),
    ("accesskey", Value::Token),
    ("secret_key", Value::Token),
    ("secret-key", Value::Token),
    ("secretkey", Value::Token),
    ("secret_key_base", Value::Token),
    ("private_key", Value::Token),
    ("privatekey", Value::Token),
    ("auth_key", Value::Token),
    ("authkey", Value::Token),
    ("signing_key", Value::Token),
    ("encryption_key", Value::Token),
    ("master_key", Value::Token),
];

/// The longest unquoted value that is looked at in full, in bytes.
const LONGEST: usize = 1024;

/// Adds the values of the names that end at the given places.
pub(crate) fn find(view: &str, names: &[(usize, Value)], out: &mut Vec<Candidate>) {
    let mut marked = 0;
    for (end, kind) in names {
        if *end < marked {
            continue;
        }
        let Some((start, value, quoted)) = value_after(view, *end) else {
            continue;
        };
        if is_secret(value, *kind, quoted) {
            marked = start + value.len();
            if value.len() + 4 > LONGEST {
                // Cut off: the rest of the word belongs to it.
                marked += view[marked..]
                    .find(ends_word)
                    .unwrap_or(view.len() - marked);
            }
            out.push(Candidate {
                rule: rule(*kind),
                kind: Kind::Secret,
                rank: Rank::Name,
                start,
                end: marked,
            });
        }
    }
}

/// The rule that marks the whole value of a JSON member, if `name` and `value` are a secret's.
pub(crate) fn member(name: &str, value: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let (_, kind) = NAMES.iter().find(|(word, _)| name.ends_with(word))?;
    is_secret(value, *kind, true).then_some(rule(*kind))
}

fn rule(kind: Value) -> &'static str {
    match kind {
        Value::Password => "password",
        Value::Token => "secret",
    }
}

/// The value after a name that ends at `end`: its start, its text, and whether it stands in quotes.
fn value_after(view: &str, end: usize) -> Option<(usize, &str, bool)> {
    let rest = &view[end..];
    let is_longer_name = rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if is_longer_name || is_public(&view[..end]) {
        return None;
    }
    let after = operator(view, end, rest)?;
    value_at(view, view.len() - after.len())
}

/// Whether the name says that its value is no secret: `PublicKeyToken`.
fn is_public(before: &str) -> bool {
    let name = tail(before, 32).to_ascii_lowercase();
    let start = name
        .trim_end_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .len();
    name[start..].contains("public")
}

/// What follows the sign between a name and its value.
fn operator<'a>(view: &'a str, end: usize, rest: &'a str) -> Option<&'a str> {
    if is_flag(&view[..end]) && rest.starts_with([' ', '=']) {
        return Some(rest.trim_start_matches([' ', '=']));
    }
    if let Some(value) = rest.strip_prefix('>') {
        // `<password>value</password>`
        let opens_tag = tail(&view[..end], 48).contains('<');
        return (opens_tag && head(value, LONGEST).contains("</")).then_some(value);
    }
    let blank = [' ', '\t'];
    let bare = rest
        .trim_start_matches(blank)
        .trim_start_matches(['"', '\'', '`', ']'])
        .trim_start_matches(blank);
    if rest.len() - bare.len() > 8 {
        return None;
    }
    let signs = [":=", "=>", "||=", ":", "="];
    let after = signs.iter().find_map(|sign| bare.strip_prefix(sign))?;
    if after.starts_with(['=', '~', ':']) {
        // A comparison or a path, not an assignment.
        return None;
    }
    let value = after.trim_start_matches(blank);
    Some(past_type(value).unwrap_or(value))
}

/// Past the type in `password: str = "…"`.
fn past_type(value: &str) -> Option<&str> {
    let name = value.trim_start_matches(|c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '[' | ']' | '?' | '&')
    });
    let after = name
        .strip_prefix(" = ")
        .or_else(|| name.strip_prefix(" | None = "))?;
    (value.len() > name.len()).then_some(after)
}

/// Whether a name belongs to a command-line option such as `--db-password`.
fn is_flag(before: &str) -> bool {
    let name = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let word = &before[name.len()..];
    word.starts_with("--") && word.len() > 4
}

/// The value at `start`, without its quotes.
fn value_at(view: &str, start: usize) -> Option<(usize, &str, bool)> {
    let rest = head(&view[start..], 8 * LONGEST);
    let unprefixed = rest
        .strip_prefix(['b', 'r', 'f', 'u', '@', 'L'])
        .filter(|after| after.starts_with(['"', '\'']))
        .unwrap_or(rest);
    if let Some(quote) = unprefixed
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\'' | '`'))
    {
        let inner = unprefixed.trim_start_matches(quote);
        let value = inner.split([quote, '\n']).next()?;
        let ends = inner[value.len()..].starts_with(quote);
        let value = value.trim_end();
        let start = start + rest.len() - inner.len();
        return ends.then_some((start, value, true));
    }
    let word = head(rest, LONGEST).split(ends_word).next()?;
    // What follows a separator is another setting: `a=1;b=2`, `a=1&b=2`, `{a:1,b:2}`.
    let next = word
        .char_indices()
        .find(|(at, c)| matches!(c, ';' | '&' | ',' | '|') && starts_setting(&word[at + 1..]));
    let word = next.map_or(word, |(at, _)| &word[..at]);
    Some((
        start,
        word.trim_end_matches([',', ';', ')', ']', '}', '.', ':', '\\']),
        false,
    ))
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<')
}

/// Whether `rest` starts with a name and a sign, or with nothing that a value could go on with.
fn starts_setting(rest: &str) -> bool {
    let after = rest
        .trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let is_name = after.len() < rest.len();
    !is_name || after.starts_with(['=', ':'])
}

fn is_secret(value: &str, kind: Value, quoted: bool) -> bool {
    let value = head(value, 256);
    let length = value.chars().count();
    let plausible = !value.contains(|c: char| c.is_whitespace() || c.is_control())
        && !reference::points_elsewhere(value)
        && (quoted || !reference::is_expression(value))
        && !placeholder::is_password(value);
    plausible
        && match kind {
            Value::Password => length >= 5 && is_password(value),
            Value::Token => length >= 12 && is_token(value),
        }
}

/// Whether the characters are those of a chosen password: more than one kind of them.
fn is_password(value: &str) -> bool {
    let letters = value.chars().any(char::is_alphabetic);
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let symbols = value.contains(|c: char| {
        c.is_ascii_punctuation()
            && !matches!(c, '-' | '_' | '.' | '/' | ':' | '[' | ']' | '(' | ')' | ',')
    });
    (letters && (digits > 0 || symbols)) || digits >= 6
}

/// Whether the characters are those of a token.
fn is_token(value: &str) -> bool {
    let is_allowed = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'_' | b'-'
                    | b'.'
                    | b'+'
                    | b'/'
                    | b'='
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'%'
                    | b'^'
                    | b'*'
                    | b'#'
                    | b'@'
                    | b'&'
            )
    };
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    value.bytes().all(is_allowed)
        && digits >= 2
        && value.bytes().any(|b| b.is_ascii_alphabetic())
        && entropy::shannon(value.as_bytes()) >= 3.0
        && !reference::is_version_or_file(value)
}

#[cfg(test)]
mod tests {
    use crate::redact;

    #[test]
    fn values_of_secret_names_are_replaced() {
        let cases = [
            ("password: kX7!vq92", "password: [redacted:password]"),
            (
                "DB_PASSWORD=kX7vq92\nX=1",
                "DB_PASSWORD=[redacted:password]\nX=1",
            ),
            (
                "{\"dbPassword\": \"kX7vq92\"}",
                "{\"dbPassword\": \"[redacted:password]\"}",
            ),
            (
                r#"{\"password\": \"kX7vq92\"}"#,
                r#"{\"password\": \"[redacted:password]\"}"#,
            ),
            ("pwd = 'kX7 vq92' # no", "pwd = 'kX7 vq92' # no"),
            (
                "password: str = \"kX7vq92\"",
                "password: str = \"[redacted:password]\"",
            ),
            (
                "Server=db;User Id=sa;Password=kX7!vq92;Encrypt=no",
                "Server=db;User Id=sa;Password=[redacted:password];Encrypt=no",
            ),
            (
                "login --password kX7vq92 --now",
                "login --password [redacted:password] --now",
            ),
            (
                "<password>kX7vq92</password>",
                "<password>[redacted:password]</password>",
            ),
            (
                "GET /x?token=a1b2c3d4e5f6g7h8&y=1",
                "GET /x?token=[redacted:secret]&y=1",
            ),
            (
                "client_secret = \"q8W2e5R1t9Y3\"",
                "client_secret = \"[redacted:secret]\"",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text).text, expected);
        }
    }

    #[test]
    fn code_words_and_placeholders_are_left_alone() {
        for text in [
            "password: <password>",
            "password=***",
            "PASSWORD=changeme",
            "password: ${DB_PASSWORD}",
            "password = os.environ[\"DB_PASSWORD\"]",
            "password: str",
            "password: string;",
            "password = getpass.getpass()",
            "password = config.db2.password",
            "password=password1",
            "\"password\": \"string\"",
            "password: must be at least 8 characters",
            "'password' => 'required|min:8'",
            "if password == \"kX7vq92\":",
            "PWD=/app/v2",
            "token = tokens[0]",
            "max_tokens=4096, token: v1.2.3",
            "secret: my-app-secret",
            "token_type: bearer",
            "password_hash_rounds = 12",
        ] {
            assert_eq!(redact(text).findings, [], "{text}");
        }
    }
}

//! Values given to a name that says they are secret: `password: …`, `DB_PASSWORD=…`, `--token …`,
//! `<password>…</password>`, `define('DB_PASSWORD', '…')`, `the password is …`.
//!
//! The hard part is what to leave alone. A value is believed only if it could be a secret by its
//! characters: words, code (`os.environ["X"]`, `config.password`, `str`) and placeholders are not. The price:
//! a password of letters only is missed unless an environment variable holds it.

use super::setting::{self, Form, Setting};
use crate::Kind;
use crate::entropy;
use crate::placeholder;
use crate::reference;
use crate::scan::{Candidate, Rank};
use crate::view::head;

/// What a name promises of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// Chosen by a person, perhaps short.
    Password,
    /// Made by a machine, long and mixed.
    Token,
}

/// Words, in small letters, that end the name of a secret.
pub(crate) const NAMES: [(&str, Value); 26] = [
    ("password", Value::Password),
    ("passwd", Value::Password),
    ("passphrase", Value::Password),
    ("passwort", Value::Password),
    ("contraseña", Value::Password),
    ("pwd", Value::Password),
    ("pass", Value::Password),
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

/// Adds the values of the names that end at the given places.
pub(crate) fn find(view: &str, names: &[(usize, Value)], out: &mut Vec<Candidate>) {
    let mut marked = 0;
    for (end, kind) in names {
        if *end < marked || goes_on(&view[*end..]) || is_harmless(&view[..*end], &view[*end..]) {
            continue;
        }
        let Some(setting) = setting::after(view, *end) else {
            continue;
        };
        if is_secret(&setting, *kind) {
            marked = setting::end(view, &setting);
            out.push(Candidate {
                rule: rule(*kind),
                kind: Kind::Secret,
                rank: Rank::Name,
                start: setting.start,
                end: marked,
            });
        }
    }
}

/// The rule that marks the whole value of a JSON member, if `name` and `value` are a secret's.
pub(crate) fn member(name: &str, value: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let (_, kind) = NAMES.iter().find(|(word, _)| lower.ends_with(word))?;
    let setting = Setting {
        start: 0,
        value,
        form: Form::Quoted,
    };
    (!is_harmless(name, "") && is_secret(&setting, *kind)).then_some(rule(*kind))
}

fn rule(kind: Value) -> &'static str {
    match kind {
        Value::Password => "password",
        Value::Token => "secret",
    }
}

/// Whether the name is only the start of a longer one: `password_hash`.
fn goes_on(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// Whether what ends here is no name of a secret, or only looks like one: `PublicKeyToken`, `bypass`.
fn is_harmless(before: &str, after: &str) -> bool {
    let name = reference::name_before(before);
    // In `arn:aws:x:secret:y` and `AWS::X::Secret` the word is a part of an address.
    let context = &before[..before.len() - name.len()];
    let in_address = context.ends_with("::") || (context.ends_with(':') && after.starts_with(':'));
    in_address || reference::is_harmless_name(name) || is_other_word(name)
}

/// Whether a name that ends in "pass" is a word of its own.
fn is_other_word(name: &str) -> bool {
    let stem = name
        .strip_suffix("pass")
        .or_else(|| name.strip_suffix("PASS"));
    stem.is_some_and(|stem| {
        stem.ends_with(|c: char| c.is_ascii_alphabetic())
            && !stem.to_ascii_lowercase().ends_with("db")
    })
}

fn is_secret(setting: &Setting<'_>, kind: Value) -> bool {
    let value = head(setting.value, 256);
    let length = value.chars().count();
    let plausible = !value.contains(|c: char| c.is_whitespace() || c.is_control())
        && !reference::points_elsewhere(value)
        && !reference::is_identifier(value)
        && (setting.form == Form::Quoted || !reference::is_expression(value))
        && !placeholder::is_password(value);
    plausible
        && match (kind, setting.form) {
            (Value::Token, Form::Prose) => false,
            (Value::Token, _) => length >= 12 && is_token(value),
            (Value::Password, Form::Prose) => {
                length >= 6 && is_password(value) && value.bytes().any(|b| b.is_ascii_digit())
            }
            (Value::Password, Form::Environment) => {
                length >= 5 && (is_password(value) || is_chosen_word(value))
            }
            (Value::Password, Form::Quoted | Form::Bare) => length >= 5 && is_password(value),
        }
}

/// Whether a value of letters only may be a password: long, and none of the words of manuals.
fn is_chosen_word(value: &str) -> bool {
    const MANUAL: [&str; 9] = [
        "pass", "secret", "user", "test", "token", "admin", "root", "value", "string",
    ];
    let lower = value.to_ascii_lowercase();
    value.len() >= 8
        && value.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
        && !MANUAL.iter().any(|word| lower.contains(word))
}

/// Whether the characters are those of a chosen password: more than one kind of them.
pub(crate) fn is_password(value: &str) -> bool {
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
                "DB_PASSWORD=correcthorse",
                "DB_PASSWORD=[redacted:password]",
            ),
            (
                "The password is kX7!vq92.",
                "The password is [redacted:password].",
            ),
            ("{pass: 'kX7vq92'}", "{pass: '[redacted:password]'}"),
            (
                "login --password kX7vq92 --now",
                "login --password [redacted:password] --now",
            ),
            (
                "<password>kX7vq92</password>",
                "<password>[redacted:password]</password>",
            ),
            (
                "define('DB_PASSWORD', 'hunter22x');",
                "define('DB_PASSWORD', '[redacted:password]');",
            ),
            (
                "define( \"DB_PASSWORD\",\n  \"hunter22x\" );",
                "define( \"DB_PASSWORD\",\n  \"[redacted:password]\" );",
            ),
            (
                "DEFINE('API_SECRET_KEY', 'q8W2e5R1t9Y3');",
                "DEFINE('API_SECRET_KEY', '[redacted:secret]');",
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
            "the password is too short",
            "POSTGRES_PASSWORD=mysecretpassword",
            "\"NextToken\": \"9f4d9f69-275a-41fe-b58e-2b837bd9ba48\"",
            "\"AWS::SecretsManager::Secret\": \"c85175a4ebcce361\"",
            "const E_PASSWORD: i32 = -2147212282i32;",
            "bypass: abc123de, compass=x1y2z3",
            "define('DB_PASSWORD', getenv('DB_PASSWORD_V2'));",
            "define('DB_PASSWORD', 'password_here');",
            "fields = ['password', 'sha256_hex']",
            "predefined('password', 'abc123de', 'x')[0] == undefine('a')",
        ] {
            assert_eq!(redact(text).findings, [], "{text}");
        }
    }
}

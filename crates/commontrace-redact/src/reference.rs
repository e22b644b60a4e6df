//! Values that are program text: a member of an object, a path, an expression, a version.

use crate::placeholder;
use crate::view::tail;

/// Whether a value points at something: a path, a URL, an option list, a member of an object.
pub(crate) fn points_elsewhere(value: &str) -> bool {
    let first = value.chars().next().unwrap_or('/');
    let identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let members = || {
        let has_plain_part = || {
            value
                .split('.')
                .any(|part| !part.bytes().any(|b| b.is_ascii_digit()))
        };
        let is_short = value.len() < 60;
        is_short
            && value.contains('.')
            && value.split(['.', '/']).all(identifier)
            && has_plain_part()
    };
    let path = || {
        let is_part =
            |part: &str| identifier(part) && !part.bytes().any(|b| b.is_ascii_uppercase());
        value.contains('/') && value.split('/').all(is_part)
    };
    let concatenation = || {
        ["\"+", "'+", "\" +", "' +", "\".", "'.", "\"&", "\"$"]
            .iter()
            .any(|start| value.starts_with(start))
            || ["+\"", "+'"].iter().any(|end| value.ends_with(end))
    };
    matches!(
        first,
        '/' | '.' | '~' | '?' | '*' | '&' | ':' | ',' | ';' | ')' | ']' | '}'
    ) || (matches!(first, '#' | '@' | '!') && identifier(&value[1..]))
        || value.contains("://")
        || value.contains("min:")
        || value.contains("::")
        || value.contains("->")
        || value.contains("=>")
        || [
            "required|",
            "nullable|",
            "ENC(",
            "secretsmanager",
            "vault:",
            "keyring:",
            "op:",
        ]
        .iter()
        .any(|start| value.starts_with(start))
        || members()
        || path()
        || concatenation()
}

/// The name that ends where `before` ends.
pub(crate) fn name_before(before: &str) -> &str {
    let before = tail(before, 64);
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    &before[before.trim_end_matches(is_part).len()..]
}

/// Whether a name says that its value is meant for everybody: `PublicKeyToken`, `next_page_token`.
pub(crate) fn is_harmless_name(name: &str) -> bool {
    const HANDED_OUT: [&str; 9] = [
        "nexttoken",
        "pagetoken",
        "continuationtoken",
        "startingtoken",
        "locktoken",
        "synctoken",
        "requesttoken",
        "clienttoken",
        "actiontoken",
    ];
    let name = name.replace(['_', '-'], "").to_ascii_lowercase();
    name.contains("public") || HANDED_OUT.iter().any(|end| name.ends_with(end))
}

/// Whether an unquoted value is an expression or an identifier of a program.
pub(crate) fn is_expression(value: &str) -> bool {
    /// Stems that programs number: `arg1`, `utf8`, `sha256`.
    const STEMS: &str = "\
        arg args base char column field float i input int item level line md nvarchar oauth \
        param sha u uint utf v val var varchar version";
    let stem = value
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .to_ascii_lowercase();
    value.contains(['(', ')', '[', ']', '{', '}', '<', '>', '|', '?', '\\'])
        || placeholder::is_listed(STEMS, &stem)
        || is_number(value)
}

/// Whether a value is a name of a program's own: `MAX_TOKEN_2`, `nl80211_key`.
pub(crate) fn is_identifier(value: &str) -> bool {
    let all = |test: fn(&u8) -> bool| {
        value
            .as_bytes()
            .iter()
            .all(|b| test(b) || b.is_ascii_digit() || *b == b'_')
    };
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_compound = value.contains('_') && value.starts_with(|c: char| c.is_ascii_alphabetic());
    is_compound
        && digits * 4 < value.len()
        && (all(u8::is_ascii_uppercase) || all(u8::is_ascii_lowercase))
}

/// Whether a value is a number as programs write it: `0x1F`, `64i32`, `1_000`.
fn is_number(value: &str) -> bool {
    const SUFFIXES: &str =
        "u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 u ul ull l ll n f";
    let (is_negative, value) = value
        .strip_prefix('-')
        .map_or((false, value), |rest| (true, rest));
    let value = value.to_ascii_lowercase();
    if let Some(rest) = value.strip_prefix("0x") {
        return rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    }
    let suffix = value.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    let has_suffix = placeholder::is_listed(SUFFIXES, suffix);
    suffix.len() < value.len() && (has_suffix || (is_negative && suffix.is_empty()))
}

/// Whether a value is a version, a date or the name of a file.
pub(crate) fn is_version_or_file(value: &str) -> bool {
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let extension = value
        .rsplit('.')
        .next()
        .filter(|end| end.len() < value.len() && (1..=5).contains(&end.len()));
    letters < 3 || extension.is_some_and(|end| end.bytes().all(|b| b.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_text_is_told_from_secrets() {
        for value in [
            "config.db2.password",
            "/run/secrets/db_1",
            "path/to/key_1",
            "https://x.io/1",
            "#pass1",
            "\"+form.text1+\"",
        ] {
            assert!(points_elsewhere(value), "{value}");
        }
        for value in ["kX7!vq92", "aB3/dE5+f7=", "x1.y2.z3", "Tr0ub4dor&3"] {
            assert!(!points_elsewhere(value), "{value}");
        }
        assert!(
            is_identifier("MAX_TOKENS_2")
                && is_expression("-64")
                && is_expression("0x80550006")
                && is_expression("64i32")
        );
        assert!(!is_expression("84736251") && !is_expression("a1_b2_c3"));
        assert!(is_expression("getenv(1)") && is_expression("arg1") && !is_expression("kX7vq92"));
        assert!(is_version_or_file("v1.2.3") && is_version_or_file("key2.pem"));
        assert!(!is_version_or_file("q8W2e5R1t9Y3"));
    }
}

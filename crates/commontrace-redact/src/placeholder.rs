//! Values that stand where a secret would, without being one: `<password>`, `${TOKEN}`, `changeme`, `xxxx`.
//!
//! Documentation is full of them, and marking them would cost readers more than it protects anybody.

/// Whether `value` is plainly no secret: a template, a mask, a documented example or a counting sequence.
pub(crate) fn is_obvious(value: &str) -> bool {
    is_template(value) || is_mask(value) || says_so(value) || counts_up(value)
}

/// Whether `value` is no password worth hiding: obvious, or made only of words that every manual uses.
///
/// `password1` and `my-secret-token` are such words; `P@ssw0rd` and `Welcome2024` are not.
pub(crate) fn is_password(value: &str) -> bool {
    is_obvious(value) || value.chars().count() < 3 || is_made_of_common_words(value)
}

/// Whether `value` is a git object id, another common hash, or a UUID.
pub(crate) fn is_hash_or_id(value: &str) -> bool {
    let bytes = value.as_bytes();
    let is_uuid = bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    is_uuid || (matches!(bytes.len(), 32 | 40 | 64) && bytes.iter().all(u8::is_ascii_hexdigit))
}

/// Whether `word` is one of the blank-separated words of `list`.
pub(crate) fn is_listed(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == word)
}

/// Whether a program or a reader is to put something else here.
fn is_template(value: &str) -> bool {
    let first = value.chars().next().unwrap_or('<');
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let variable = value
        .strip_prefix('$')
        .is_some_and(|name| is_name(name) || name.starts_with(['{', '(']));
    let format = value
        .strip_prefix('%')
        .is_some_and(|name| name.len() < 3 || name.ends_with('%') || name.starts_with('('));
    let brackets = ["${", "{{", "$(", "<%", "#{", "%(", "@{", "\\(", "%s"];
    matches!(first, '<' | '{' | '[' | '(')
        || variable
        || format
        || brackets.iter().any(|open| value.contains(open))
        || is_wrapped(value)
}

fn is_wrapped(value: &str) -> bool {
    [('<', '>'), ('{', '}'), ('_', '_')]
        .iter()
        .any(|(open, close)| value.len() > 2 && value.starts_with(*open) && value.ends_with(*close))
}

/// Whether the value is already hidden: `****`, `xxxx`, `...`, or hardly any distinct characters.
fn is_mask(value: &str) -> bool {
    let runs = ["***", "...", "…", "•••", "xxxx", "XXXX"];
    if runs.iter().any(|run| value.contains(run)) {
        return true;
    }
    let mut distinct: Vec<char> = Vec::with_capacity(4);
    for c in value.chars() {
        if !distinct.contains(&c) {
            distinct.push(c);
            if distinct.len() > 3 {
                return false;
            }
        }
    }
    value.len() >= 8 || distinct.len() == 1
}

/// Whether the value says of itself that it is an example.
fn says_so(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    const WORDS: &str = "example placeholder changeme change-me change_me change.me redacted dummy your_ your- \
        goes-here goeshere goes_here -here _here insert replace lorem deadbeef yourkey yourapi yourtoken keyhere tokenhere";
    lower.starts_with("your")
        || WORDS
            .split_ascii_whitespace()
            .any(|word| lower.contains(word))
}

/// Whether the value holds eight characters in the order of the alphabet, the digits or a keyboard row.
fn counts_up(value: &str) -> bool {
    const SEQUENCES: [&str; 4] = [
        "abcdefghijklmnopqrstuvwxyz",
        "01234567890123456789",
        "qwertyuiopasdfghjklzxcvbnm",
        "98765432109876543210",
    ];
    const RUN: usize = 8;
    let lower = value.to_ascii_lowercase();
    SEQUENCES.iter().any(|sequence| {
        (0..=sequence.len() - RUN).any(|at| lower.contains(&sequence[at..at + RUN]))
    })
}

/// Words that make up the passwords of manuals.
const COMMON_WORDS: &str = "\
    a abc abcd access account admin administrator alice alpine an api apikey app auth bad bar \
    basic baz bearer bla blah bob bogus cert change changeit client code confirm correct \
    credential credentials current custom data database db dbpass dbpassword debug default demo \
    dev development dummy elastic email empty enter env fake false field file foo foobar for \
    from generated good grafana guest hash hashed hello here hidden host id in input \
    invalid is jwt key label letmein local localhost login long mariadb me minio minioadmin \
    mongo mongodb my myapp mypass mypassword mysecret mysql mytoken name new nil no none not \
    null of old oracle original pass passphrase passwd password passwords pgpass plain postgres \
    postgresql private prod production pswd public pw pwd pww qux qwerty rabbitmq random real \
    redis repeat required reset root sa sample samples secret secrets secure server service \
    session sha shared some something sql staging str string strong super supersecret sys system \
    t tbd temp test tester testing text that the thing things this to todo token toor true user \
    username vagrant value var very web welcome whatever with word world wrong x xxx xyz y you \
    your yourpassword yours";

/// Those of them that stay harmless with a number behind: `password1`, `test_user_2`.
const NUMBERED_WORDS: &str = "\
    a abc admin app bar baz changeme db demo dummy example file foo foobar guest key my mypassword mysecret mysql new \
    old pass passwd password postgres pw pwd root sample secret some string test testing the token user username \
    value x xxx your";

fn is_made_of_common_words(value: &str) -> bool {
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.len() < 6 || "12345678901234567890".contains(value);
    }
    let number = |c: char| c.is_ascii_digit() || c == '!';
    let name = value.trim_end_matches(number);
    let list = if name.len() == value.len() {
        COMMON_WORDS
    } else {
        NUMBERED_WORDS
    };
    let mut words = words(name).peekable();
    value.len() - name.len() <= 5
        && !name.contains(number)
        && words.peek().is_some()
        && words.all(|word| is_listed(list, &word))
}

/// The words of a compound in lower case: split at everything but letters, and where small letters turn big.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::with_capacity(text.len() + 4);
    let mut previous_is_small = false;
    for c in text.chars() {
        if c.is_ascii_uppercase() && previous_is_small {
            spaced.push(' ');
        }
        previous_is_small = c.is_ascii_lowercase();
        spaced.push(c.to_ascii_lowercase());
    }
    let words: Vec<String> = spaced
        .split(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_masks_and_examples_are_obvious() {
        for value in [
            "${VAR}",
            "$VAR",
            "<password>",
            "{{ .Values.key }}",
            "%PASSWORD%",
            "********",
            "xxxxxxxx",
            "sk-xxxxxxxx",
            "your-api-key",
            "AKIAIOSFODNN7EXAMPLE",
            "1234567890abcdef",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert!(is_obvious(value), "{value}");
        }
        for value in ["kX7!vq92", "b3Jk9fQz7Lw2", "Tr0ub4dor&3"] {
            assert!(!is_obvious(value), "{value}");
        }
    }

    #[test]
    fn words_of_manuals_are_no_passwords() {
        for value in [
            "password",
            "Password123!",
            "mySecretKey",
            "test_token_1",
            "123456",
            "changeme",
            "root",
        ] {
            assert!(is_password(value), "{value}");
        }
        for value in [
            "P@ssw0rd",
            "Welcome2024",
            "s3cr3t",
            "hunter2",
            "kX7!vq92",
            "correct-horse",
            "84736251",
            "пароль7Q",
        ] {
            assert!(!is_password(value), "{value}");
        }
    }

    #[test]
    fn hashes_and_ids_are_known() {
        assert!(is_hash_or_id("0d3c4465a7fd013edaff839c8faa36d326bcccc9"));
        assert!(is_hash_or_id("123e4567-e89b-12d3-a456-426614174000"));
        assert!(!is_hash_or_id("0d3c4465a7fd013edaff839c8faa36d326bcccc"));
    }
}

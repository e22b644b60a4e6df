//! Properties that hold for every text.

use commontrace_redact::{Summary, redact, redact_json, redact_json_text};
use proptest::prelude::*;

/// Pieces that, put together at random, come close to what detectors look for.
const PIECES: &[&str] = &[
    "password",
    "token",
    "secret",
    "=",
    ": ",
    "\"",
    "'",
    "`",
    " ",
    "\n",
    "\\n",
    "\\\"",
    "\\",
    "/",
    "//",
    "://",
    "@",
    ".",
    "-",
    ";",
    ",",
    "&",
    "<",
    ">",
    "</",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "$",
    "%",
    "%2F",
    "é",
    "日本",
    "\u{202e}",
    "\u{0}",
    "kX7!vq92",
    "a1B2c3D4e5F6g7H8",
    "mira",
    "holt.dev",
    "/home/",
    "/Users/",
    "C:\\Users\\",
    "-home-",
    "-Users-",
    "~mira/",
    "123456789:",
    "AAFk3jJ2xQ9vRz7LmT0bYw4HsN8pUe1cDgX",
    ".example",
    "https",
    "postgres",
    "curl -u ",
    "mysql -u a -p",
    "Authorization",
    "Bearer ",
    "Basic ",
    "X-API-Key",
    "Cookie",
    "sessionid=",
    "gh",
    "p_",
    "abcdefghijABCDEFGHIJ0123456789zZyYxXwW",
    "sk-",
    "proj-",
    "eyJ",
    "AKIA",
    "-----BEGIN ",
    "PRIVATE KEY-----",
    "KEY-----",
    "[redacted:",
    "[redacted:email]",
    "[user]",
    "]",
    "api_key",
    "kind: secret",
    "data:",
    "identified by",
    "machine a login b ",
    "discord",
    "heroku",
];

fn near_misses() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat())
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let answer = redact(text);
    let mut end = 0;
    for finding in &answer.findings {
        prop_assert!(
            finding.start >= end && finding.start < finding.end && finding.end <= text.len()
        );
        prop_assert!(text.is_char_boundary(finding.start) && text.is_char_boundary(finding.end));
        end = finding.end;
    }
    prop_assert_eq!(answer.findings.is_empty(), answer.text == text);
    prop_assert_eq!(&redact(text), &answer, "not deterministic");
    let again = redact(&answer.text);
    prop_assert_eq!(&again.text, &answer.text, "{:?}", again.findings);
    prop_assert!(again.findings.is_empty());
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_redacted_once_and_for_all(text in "\\PC{0,200}") {
        check(&text)?;
    }

    #[test]
    fn texts_close_to_secrets_are_redacted_once_and_for_all(text in near_misses()) {
        check(&text)?;
    }

    #[test]
    fn json_is_redacted_once_and_for_all(names in prop::collection::vec(near_misses(), 0..4), texts in prop::collection::vec(near_misses(), 0..4)) {
        let mut value: serde_json::Value = names.into_iter().zip(texts.into_iter().map(serde_json::Value::String)).collect::<serde_json::Map<_, _>>().into();
        let members = value.as_object().map(serde_json::Map::len);
        let summary = redact_json(&mut value);
        prop_assert_eq!(value.as_object().map(serde_json::Map::len), members, "a member was lost");
        let once = value.clone();
        prop_assert_eq!(redact_json(&mut value), Summary::default());
        prop_assert_eq!(summary.is_empty(), summary.total() == 0);
        prop_assert_eq!(value, once);
    }

    #[test]
    fn json_texts_stay_json_and_are_redacted_once_and_for_all(names in prop::collection::vec(near_misses(), 0..4), texts in prop::collection::vec(near_misses(), 0..4)) {
        let value: serde_json::Value = names.into_iter().zip(texts.into_iter().map(serde_json::Value::String)).collect::<serde_json::Map<_, _>>().into();
        let text = value.to_string();
        let once = redact_json_text(&text);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&once.text).is_ok());
        let again = redact_json_text(&once.text);
        prop_assert_eq!(&again.text, &once.text);
        prop_assert!(again.summary.is_empty());
    }

    #[test]
    fn any_text_passes_for_json(text in near_misses()) {
        let once = redact_json_text(&text);
        let again = redact_json_text(&once.text);
        prop_assert_eq!(&again.text, &once.text);
    }
}

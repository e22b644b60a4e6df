//! Turns what a deserialiser says into what a client should read: the field, and what it must be.
//!
//! Deserialisers only give text, and that text quotes the client's value in full. So the known
//! sentences are taken apart here; a sentence of our own types ("must have 1 to 200 characters")
//! passes through.

/// What was wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The part of the request, or none when it is the whole.
    pub field: Option<String>,
    /// What it must be.
    pub detail: String,
}

const MAX_FIELD_CHARS: usize = 100;
const MAX_QUOTED_CHARS: usize = 40;

/// Describes the deserialiser's `message` about the value at `path` (`.` is the root).
pub fn refusal(path: &str, message: &str) -> Refusal {
    let at = |name: &str| {
        let field = join(path, name);
        (!field.is_empty()).then(|| cut(&field, MAX_FIELD_CHARS))
    };
    if let Some(name) = between(message, "missing field `", "`") {
        return Refusal {
            field: at(name),
            detail: "is required".into(),
        };
    }
    if let Some(name) = between(message, "duplicate field `", "`") {
        return Refusal {
            field: at(name),
            detail: "is given more than once".into(),
        };
    }
    if let Some(name) = between(message, "unknown field `", "`") {
        return Refusal {
            field: at(name),
            detail: "is not known here".into(),
        };
    }
    Refusal {
        field: at(""),
        detail: detail(message),
    }
}

fn detail(message: &str) -> String {
    if let Some((got, expected)) = mismatch(message, "invalid type: ") {
        let (expected_type, got_kind) = (type_name(expected), kind(got));
        // Also what an integer looks like that no integer of ours can hold.
        if expected_type.starts_with("a whole number") && got_kind == "number" {
            return format!("must be {expected_type}, without a fraction and not too large");
        }
        return format!("must be {expected_type}, not {got_kind}");
    }
    if let Some((got, expected)) = mismatch(message, "invalid value: ") {
        return format!(
            "must be {}, not {}",
            type_name(expected),
            cut(got, MAX_QUOTED_CHARS)
        );
    }
    if let Some((got, expected)) = mismatch(message, "invalid length ") {
        return format!("must have {expected}, not {got}");
    }
    if message.starts_with("unknown variant `") {
        // The variants are ours and come last; what the client sent may contain anything.
        return match message.rsplit_once("`, expected ") {
            Some((_, variants)) => format!("must be {variants}"),
            None => "is not one of the known values".into(),
        };
    }
    match message {
        "invalid digit found in string" => "must be a whole number".into(),
        "cannot parse integer from empty string" => "must be a whole number, not empty".into(),
        "number too large to fit in target type" => "is too large".into(),
        "number too small to fit in target type" => "is too small".into(),
        "provided string was not `true` or `false`" => "must be `true` or `false`".into(),
        _ if message.starts_with("UUID parsing failed") => "must be a UUID".into(),
        other => other.into(),
    }
}

/// Splits "<prefix><got>, expected <expected>".
fn mismatch<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(prefix)?.rsplit_once(", expected ")
}

/// Keeps the kind of a value and drops the value: "string" of `string "abc"`.
fn kind(got: &str) -> String {
    let end = got.find(['`', '"']).unwrap_or(got.len());
    match got[..end].trim() {
        "" => "that".into(),
        "sequence" => "array".into(),
        "map" => "object".into(),
        "floating point" => "number".into(),
        kind => cut(kind, MAX_QUOTED_CHARS),
    }
}

/// Says in words of JSON what a deserialiser says in words of Rust.
fn type_name(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        "unit" => "null",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("a formatted UUID string") => "a UUID",
        other => other,
    }
}

fn join(path: &str, name: &str) -> String {
    match (path, name) {
        ("" | ".", "") => String::new(),
        ("" | ".", name) => name.into(),
        (path, "") => path.into(),
        (path, name) => format!("{path}.{name}"),
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.strip_prefix(start)?.split_once(end)?.0)
}

fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Direction {
        Up,
        Down,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it deserialises is looked at")]
    struct Probe {
        title: String,
        count: u8,
        offset: Option<i32>,
        tags: Option<Vec<String>>,
        way: Option<Direction>,
        inner: Option<Box<Probe>>,
    }

    /// Describes what serde_json says about a body.
    fn described(json: &str) -> String {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let err = serde_path_to_error::deserialize::<_, Probe>(&mut deserializer).unwrap_err();
        let path = err.path().to_string();
        let message = err.into_inner().to_string();
        let (message, _) = message.rsplit_once(" at line").unwrap_or((&message, ""));
        let refusal = refusal(&path, message);
        format!(
            "{}: {}",
            refusal.field.unwrap_or_else(|| "-".into()),
            refusal.detail
        )
    }

    #[rstest]
    #[case(r#"{"count": 1}"#, "title: is required")]
    #[case(
        r#"{"title": "", "count": 1, "title": ""}"#,
        "title: is given more than once"
    )]
    #[case(r#"{"title": 5}"#, "title: must be a string, not integer")]
    #[case(r#"{"title": null}"#, "title: must be a string, not null")]
    #[case(r#"{"title": ["x"]}"#, "title: must be a string, not array")]
    #[case(
        r#"{"title": "", "count": "a `lot`"}"#,
        "count: must be a whole number, 0 or more, not string"
    )]
    #[case(
        r#"{"title": "", "count": -1}"#,
        "count: must be a whole number, 0 or more, not integer `-1`"
    )]
    #[case(
        r#"{"title": "", "count": 1.5}"#,
        "count: must be a whole number, 0 or more, without a fraction and not too large"
    )]
    #[case(
        r#"{"title": "", "count": 100000000000000000000}"#,
        "count: must be a whole number, 0 or more, without a fraction and not too large"
    )]
    #[case(
        r#"{"title": "", "count": 1, "tags": {}}"#,
        "tags: must be an array, not object"
    )]
    #[case(
        r#"{"title": "", "count": 1, "tags": ["a", 1]}"#,
        "tags[1]: must be a string, not integer"
    )]
    #[case(
        r#"{"title": "", "count": 1, "way": "`, expected a"}"#,
        "way: must be `up` or `down`"
    )]
    #[case(
        r#"{"title": "", "count": 1, "inner": {"title": ""}}"#,
        "inner.count: is required"
    )]
    #[case("7", "-: must be an object, not integer")]
    fn a_refusal_names_the_field_and_what_it_must_be(#[case] json: &str, #[case] expected: &str) {
        assert_eq!(described(json), expected);
    }

    #[test]
    fn a_long_value_is_not_repeated() {
        let long = "x".repeat(100_000);
        assert!(described(&format!(r#"{{"title": "", "count": "{long}"}}"#)).len() < 200);
        assert!(described(&format!(r#"{{"title": "", "count": 1, "way": "{long}"}}"#)).len() < 200);
        assert!(
            refusal(&long, "must be short")
                .field
                .unwrap()
                .chars()
                .count()
                <= 101
        );
    }

    proptest! {
        #[test]
        fn any_message_is_described(path in ".*", message in ".*") {
            let _ = refusal(&path, &message);
            let _ = refusal(".", &format!("invalid type: {message}"));
            let _ = refusal(".", &format!("missing field `{message}"));
            let _ = refusal(".", &format!("unknown variant `{message}"));
        }
    }
}

//! Members of JSON records that nobody promises to keep their type.
//!
//! A record is split into its members once, and each is decoded only when it is needed. A member of another
//! type than expected is an absent member, never an error: the tools that write these files change.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::time::{kept, moment};

/// A member as it stands in the record, if it is there and not null.
pub(crate) type Member<'a> = Option<&'a RawValue>;

/// Declares a record by the names of the members that are of interest.
macro_rules! members {
    ($(#[$doc:meta])* $name:ident { $($field:ident = $key:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(serde::Deserialize, Default, Clone, Copy)]
        pub(crate) struct $name<'a> {
            $(
                #[serde(borrow, default, rename = $key)]
                pub(crate) $field: crate::import::json::Member<'a>,
            )+
        }
    };
}
pub(crate) use members;

/// A string.
pub(crate) fn text(member: Member<'_>) -> Option<Cow<'_, str>> {
    let raw = member?.get();
    let body = raw.strip_prefix('"')?.strip_suffix('"')?;
    if body.contains('\\') {
        decoded(raw).map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(body))
    }
}

/// A string that says something.
pub(crate) fn said(member: Member<'_>) -> Option<Cow<'_, str>> {
    text(member).filter(|text| !text.trim().is_empty())
}

/// A string to keep, empty if there is none.
pub(crate) fn string(member: Member<'_>) -> String {
    text(member).map_or_else(String::new, Cow::into_owned)
}

/// A whole number, also one that is written with a fraction of zero.
pub(crate) fn int(member: Member<'_>) -> Option<i64> {
    let raw = member?.get();
    raw.parse().ok().or_else(|| {
        let number: f64 = raw.parse().ok()?;
        (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
    })
}

/// A finite number.
pub(crate) fn float(member: Member<'_>) -> Option<f64> {
    member?
        .get()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

/// A truth value.
pub(crate) fn flag(member: Member<'_>) -> Option<bool> {
    member?.get().parse().ok()
}

/// The longest id, in bytes. A longer one is none that a tool would give.
const LONGEST_ID: usize = 200;

/// An id.
pub(crate) fn id(member: Member<'_>) -> Option<Cow<'_, str>> {
    said(member).filter(|id| id.len() <= LONGEST_ID)
}

/// At most so many items of an array are read, and values of so many parts are kept: a short text can be
/// a value that takes many times its memory.
const MOST_ITEMS: usize = 1_000_000;

/// Anything, as a value to keep.
pub(crate) fn value(member: Member<'_>) -> Option<Value> {
    let raw = member?.get();
    let parts = memchr::memchr3_iter(b',', b'[', b'{', raw.as_bytes());
    if raw.len() > MOST_ITEMS && parts.count() > MOST_ITEMS {
        return None;
    }
    decoded(raw)
}

/// What a JSON text says, if need be with what no string can hold replaced.
fn decoded<T: DeserializeOwned>(raw: &str) -> Option<T> {
    let decoded = serde_json::from_str(raw).ok();
    decoded.or_else(|| match mended(raw) {
        Cow::Borrowed(_) => None,
        Cow::Owned(mended) => serde_json::from_str(&mended).ok(),
    })
}

/// An object with the given members.
pub(crate) fn object<'a, T: Deserialize<'a>>(member: Member<'a>) -> Option<T> {
    let raw = member?.get();
    raw.starts_with('{')
        .then(|| serde_json::from_str(raw).ok())?
}

/// The items of an array.
pub(crate) fn items(member: Member<'_>) -> Vec<&RawValue> {
    member
        .filter(|raw| raw.get().starts_with('['))
        .and_then(|raw| serde_json::from_str::<Items<'_>>(raw.get()).ok())
        .map(|items| items.0)
        .unwrap_or_default()
}

/// The first items of an array.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() < MOST_ITEMS {
                    match items.next_element()? {
                        Some(item) => first.push(item),
                        None => return Ok(first),
                    }
                }
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(first)
            }
        }
        from.deserialize_seq(First).map(Items)
    }
}

/// The objects of an array.
pub(crate) fn objects<'a, T: Deserialize<'a>>(member: Member<'a>) -> Vec<T> {
    items(member)
        .into_iter()
        .filter_map(|item| object(Some(item)))
        .collect()
}

/// The strings of an array.
pub(crate) fn texts(member: Member<'_>) -> Vec<String> {
    items(member)
        .into_iter()
        .filter_map(|item| text(Some(item)).map(Cow::into_owned))
        .collect()
}

/// A moment: RFC 3339, the same without a zone (then UTC), or seconds since 1970.
pub(crate) fn time(member: Member<'_>) -> Option<DateTime<Utc>> {
    if let Some(text) = text(member) {
        return parse_time(&text);
    }
    let seconds = float(member)?;
    // Milliseconds where seconds would lie some thousand years ahead.
    let milliseconds = if seconds.abs() > 1e11 {
        seconds
    } else {
        seconds * 1e3
    };
    kept(DateTime::from_timestamp_micros(
        (milliseconds * 1e3) as i64,
    )?)
}

/// A moment in words; see [`time`].
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    moment(text).map(|(moment, _)| moment)
}

/// Replaces escapes of half a surrogate pair by the one for an unknown character, of the same length.
///
/// Tools that cut texts by UTF-16 units write them; no string can hold them.
pub fn mended(record: &str) -> Cow<'_, str> {
    if !(record.contains("\\ud") || record.contains("\\uD")) {
        return Cow::Borrowed(record);
    }
    let bytes = record.as_bytes();
    let mut lone = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match (surrogate(bytes, at), surrogate(bytes, at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..)) => at += 12,
            (Some(_), _) => {
                lone.push(at);
                at += 6;
            }
            (None, _) => at += 2,
        }
    }
    if lone.is_empty() {
        return Cow::Borrowed(record);
    }
    let mut out = String::with_capacity(record.len());
    let mut copied = 0;
    for at in lone {
        out.push_str(&record[copied..at]);
        out.push_str("\\ufffd");
        copied = at + 6;
    }
    out.push_str(&record[copied..]);
    Cow::Owned(out)
}

/// The surrogate that is written as an escape at `at`, if one is.
fn surrogate(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xd800..0xe000).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    members!(Sample { a = "a", b = "b" });

    #[test]
    fn members_of_unexpected_types_are_absent() {
        let sample: Sample<'_> =
            serde_json::from_str(r#"{"a": 5, "b": "x\ny", "c": [1]}"#).expect("JSON");
        assert_eq!((text(sample.a), int(sample.a)), (None, Some(5)));
        assert_eq!((string(sample.b), int(sample.b)), ("x\ny".to_owned(), None));
        assert!(items(sample.b).is_empty());
        let null: Sample<'_> = serde_json::from_str(r#"{"a": null}"#).expect("JSON");
        assert!(null.a.is_none());
    }

    #[test]
    fn moments_are_read_in_three_ways() {
        let expected = parse_time("2026-01-31T12:00:00.5Z");
        assert!(expected.is_some());
        assert_eq!(parse_time("2026-01-31T12:00:00.5"), expected);
        assert_eq!(parse_time("2026-01-31T13:00:00.5+01:00"), expected);
        for number in ["1769860800.5", "1769860800500"] {
            let raw: &RawValue = serde_json::from_str(number).expect("a number");
            assert_eq!(time(Some(raw)), expected, "{number}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_costs_that_character_only() {
        let whole = r#"{"a":"\ud83d\ude00 \\ud83d"}"#;
        assert_eq!(mended(whole), whole);
        assert_eq!(mended(r#"["\ud83d x\uDE00"]"#), r#"["\ufffd x\ufffd"]"#);
        for text in ["\\", "\\ud8", "\\ud83d\\", "\\ud83d\\u"] {
            mended(text);
        }
    }
}

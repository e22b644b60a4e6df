//! Texts of bounded length, cleaned of what must never be stored.

use std::borrow::Cow;
use std::ops::Deref;

use commontrace_core::text::{clean, clean_line};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A text of `MIN` to `MAX` characters after cleaning; line feeds and tabs stay in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

/// A text on one line, of `MIN` to `MAX` characters after cleaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Line<const MIN: usize, const MAX: usize>(String);

macro_rules! bounded_text {
    ($name:ident, $clean:expr) => {
        impl<const MIN: usize, const MAX: usize> $name<MIN, MAX> {
            /// Returns the text.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl<const MIN: usize, const MAX: usize> Deref for $name<MIN, MAX> {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for $name<MIN, MAX> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let raw = String::deserialize(from)?;
                checked(&raw, $clean(&raw), MIN, MAX).map(Self).map_err(de::Error::custom)
            }
        }

        impl<const MIN: usize, const MAX: usize> JsonSchema for $name<MIN, MAX> {
            fn schema_name() -> Cow<'static, str> {
                format!("{}_{MIN}_{MAX}", stringify!($name)).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!({ "type": "string", "minLength": MIN, "maxLength": MAX });
                if MIN > 0 {
                    // Something must be left when white space and control characters are gone.
                    schema.insert("pattern".to_owned(), r"[^\s\x00-\x1f\x7f-\x9f]".into());
                }
                schema
            }
        }
    };
}

bounded_text!(Text, |raw| clean(raw).into_owned());
bounded_text!(Line, clean_line);

/// Checks the length of the raw text, which is what a client can count, and that something is
/// left of it.
fn checked(raw: &str, clean: String, min: usize, max: usize) -> Result<String, String> {
    let length = raw.chars().count();
    if length < min || length > max {
        return Err(format!("must have {min} to {max} characters, has {length}"));
    }
    if min > 0 && clean.trim().is_empty() {
        return Err("must hold visible text".to_owned());
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Text<1, 5>, String> {
        serde_json::from_str(json).map_err(|err| err.to_string())
    }

    #[test]
    fn length_is_counted_in_characters_and_nothing_invisible_passes() {
        assert_eq!(&*parse(r#""héllo""#).unwrap(), "héllo");
        assert!(
            parse(r#""sixsix""#)
                .unwrap_err()
                .contains("must have 1 to 5 characters, has 6")
        );
        assert!(parse(r#""""#).is_err());
        assert!(parse(r#"" \u0000 ""#).unwrap_err().contains("visible"));
        assert_eq!(&*parse(r#""a\u0000b""#).unwrap(), "ab");
        assert!(
            parse(r#""\ud800""#).is_err(),
            "a lone surrogate is not text"
        );
    }
}

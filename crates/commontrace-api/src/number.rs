//! Whole numbers within bounds.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A whole number from `MIN` to `MAX`. Numeric strings are taken too, as old clients send them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Bounded<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Bounded<MIN, MAX> {
    /// Checks a number that the program itself gives.
    ///
    /// # Panics
    /// If it is out of bounds, which is a bug.
    pub const fn new(number: i64) -> Self {
        assert!(
            MIN <= number && number <= MAX,
            "a default must be within its bounds"
        );
        Self(number)
    }

    /// Returns the number.
    pub const fn value(self) -> i64 {
        self.0
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = from.deserialize_any(WholeNumber)?;
        match i64::try_from(number) {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ => Err(de::Error::custom(format!("must be {MIN} to {MAX}"))),
        }
    }
}

impl<const MIN: i64, const MAX: i64> JsonSchema for Bounded<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Integer_{MIN}_{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

struct WholeNumber;

impl de::Visitor<'_> for WholeNumber {
    type Value = i128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i128, E> {
        Ok(number.into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i128, E> {
        Ok(number.into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i128, E> {
        // JSON does not tell 5 from 5.0.
        if number.fract() == 0.0 && number.abs() < 1e15 {
            Ok(number as i128)
        } else {
            Err(E::invalid_type(de::Unexpected::Float(number), &self))
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i128, E> {
        text.trim()
            .parse()
            .map_err(|_| E::custom("must be a whole number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<i64, String> {
        serde_json::from_str::<Bounded<1, 50>>(json)
            .map(Bounded::value)
            .map_err(|err| err.to_string())
    }

    #[test]
    fn numbers_and_numeric_strings_within_bounds_pass() {
        assert_eq!(parse("5"), Ok(5));
        assert_eq!(parse("5.0"), Ok(5));
        assert_eq!(parse("\"5\""), Ok(5));
        for bad in [
            "0",
            "51",
            "5.5",
            "\"five\"",
            "null",
            "true",
            "1e400",
            "99999999999999999999",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

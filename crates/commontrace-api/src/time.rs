//! Moments as clients send them.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SubsecRound, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A moment: ISO 8601 with or without an offset (UTC then), or a date alone (its midnight).
///
/// It is kept to the microsecond, which is what both databases keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Returns the moment.
    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }
}

fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let moment = DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.with_timezone(&Utc))
        .or_else(|_| text.parse::<NaiveDateTime>().map(|moment| moment.and_utc()))
        .or_else(|_| {
            text.parse::<NaiveDate>()
                .map(|day| day.and_hms_opt(0, 0, 0).expect("midnight exists").and_utc())
        })
        .ok()?
        .trunc_subsecs(6);
    (1..=9999).contains(&moment.year()).then_some(moment)
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).map(Self).ok_or_else(|| {
            de::Error::custom("must be a date and time such as 2026-01-31T12:00:00Z")
        })
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_optional_and_odd_years_are_refused() {
        let noon = parse("2026-01-31T12:00:00Z").expect("a moment");
        assert_eq!(parse("2026-01-31T12:00:00"), Some(noon));
        assert_eq!(parse("2026-01-31T13:00:00+01:00"), Some(noon));
        assert_eq!(
            parse("2026-01-31").map(|day| day.to_rfc3339()).as_deref(),
            Some("2026-01-31T00:00:00+00:00")
        );
        assert_eq!(parse("9999-12-31T23:59:59-10:00"), None);
        assert_eq!(parse("yesterday"), None);
    }
}

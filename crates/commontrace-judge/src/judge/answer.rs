//! Reads what a model answered and believes none of it unseen: levels are in range, quotes are in their events.

use serde_json::Value;

use crate::deterministic::Reason;
use crate::pack::Pack;
use crate::rubric::{DIMENSIONS, Dimension, HIGHEST};
use crate::text::start;

/// The most quotes of one score that are looked at.
const QUOTES: usize = 10;
/// The most characters that are kept of what a model says of a score.
const WHY_CHARS: usize = 400;

/// What a model says of one dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The level, or why there is none that counts.
    pub level: Result<u8, Reason>,
    /// Why, in its words.
    pub why: String,
    /// The events that it quotes rightly.
    pub event_ids: Vec<String>,
}

/// Reads an answer: what it says of each dimension in the order of the rubric. Nothing if it is no JSON
/// object with the dimensions in it.
pub fn read(text: &str, pack: &Pack) -> Option<[Said; DIMENSIONS]> {
    let value: Value = serde_json::from_str(unfenced(text)).ok()?;
    let dimensions = value.get("dimensions")?.as_object()?;
    Some(
        Dimension::ALL.map(|dimension| match dimensions.get(dimension.name()) {
            Some(said) => score(said, pack),
            None => void(Reason::SchemaInvalid, String::new()),
        }),
    )
}

fn score(said: &Value, pack: &Pack) -> Said {
    let why = said.get("why").and_then(Value::as_str).unwrap_or("");
    let why = start(&commontrace_core::text::clean_line(why), WHY_CHARS);
    let level = match said.get("level") {
        Some(Value::Null) => return void(Reason::NotApplicable, why),
        Some(Value::Number(number)) => number.as_f64().and_then(in_range),
        _ => return void(Reason::SchemaInvalid, why),
    };
    let Some(level) = level else {
        return void(Reason::OutOfRange, why);
    };
    let Some(evidence) = said.get("evidence").and_then(Value::as_array) else {
        return void(Reason::SchemaInvalid, why);
    };
    let quoted = evidence.iter().take(QUOTES).map(|item| {
        let event = item.get("event")?.as_str()?;
        let quote = item.get("quote")?.as_str()?;
        pack.quoted(event, quote).map(str::to_owned)
    });
    // One made-up quote is enough to void the score, and so is none at all.
    match quoted
        .collect::<Option<Vec<String>>>()
        .filter(|ids| !ids.is_empty())
    {
        Some(event_ids) => Said {
            level: Ok(level),
            why,
            event_ids,
        },
        None => void(Reason::EvidenceMismatch, why),
    }
}

fn in_range(level: f64) -> Option<u8> {
    let whole = level.is_finite() && level.fract() == 0.0;
    (whole && (0.0..=f64::from(HIGHEST)).contains(&level)).then_some(level as u8)
}

fn void(reason: Reason, why: String) -> Said {
    Said {
        level: Err(reason),
        why,
        event_ids: Vec::new(),
    }
}

/// An answer without the fence that some models put around JSON.
pub fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```") else {
        return text;
    };
    let inner = inner.strip_prefix("json").unwrap_or(inner);
    inner.trim_end().strip_suffix("```").unwrap_or(inner).trim()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::checks;
    use crate::facts::Facts;
    use crate::pack::Limits;
    use crate::sample::good;

    fn pack() -> Pack {
        let events = good();
        let facts = Facts::read(&events, "");
        Pack::new(&facts, &checks::all(&facts), &[], Limits::default(), true)
    }

    #[track_caller]
    fn first(said: &Value, expected: Result<u8, Reason>) {
        let text = json!({"dimensions": {"reproduction": said}}).to_string();
        let read = read(&text, &pack()).expect("an answer");
        assert_eq!(read[0].level, expected, "{said}");
        assert_eq!(read[1].level, Err(Reason::SchemaInvalid));
    }

    #[test]
    fn levels_and_quotes_are_checked_one_by_one() {
        let quote = json!([{"event": "e2", "quote": "1 failed, 4 passed in 0.31s"}]);
        first(&json!({"level": 3, "why": "", "evidence": quote}), Ok(3));
        first(&json!({"level": 3.0, "why": "", "evidence": quote}), Ok(3));
        first(
            &json!({"level": null, "why": "", "evidence": []}),
            Err(Reason::NotApplicable),
        );
        for level in [json!(0.5), json!(6), json!(-1), json!(1e300)] {
            first(
                &json!({"level": level, "why": "", "evidence": quote}),
                Err(Reason::OutOfRange),
            );
        }
        first(
            &json!({"level": "3", "why": "", "evidence": quote}),
            Err(Reason::SchemaInvalid),
        );
        first(&json!({"level": 3, "why": ""}), Err(Reason::SchemaInvalid));
        for evidence in [
            json!([]),
            json!([{"event": "e2", "quote": "1 failed, 4 Passed"}]),
            json!([{"event": "e3", "quote": "1 failed, 4 passed in 0.31s"}]),
            json!([{"event": "e99", "quote": "1 failed"}]),
            json!([{"event": "e2", "quote": ""}]),
            json!(["1 failed"]),
            json!([{"event": "e2", "quote": "1 failed, 4 passed"}, {"event": "e2", "quote": "made up"}]),
        ] {
            first(
                &json!({"level": 4, "why": "", "evidence": evidence}),
                Err(Reason::EvidenceMismatch),
            );
        }
    }

    #[test]
    fn a_fence_around_json_is_taken_off() {
        assert!(read("```json\n{\"dimensions\": {}}\n```", &pack()).is_some());
        for text in [
            "",
            "I think 4.",
            "[]",
            "{\"dimensions\": 4}",
            "{\"reasoning_score\": 5}",
        ] {
            assert_eq!(read(text, &pack()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_a_level_outside_of_the_range(level in any::<f64>(), text in ".{0,200}") {
            let _ = read(&text, &pack());
            prop_assert!(in_range(level).is_none_or(|level| level <= HIGHEST));
        }
    }
}

//! Members of posted objects: taken one by one, with a note of each that is not what it must be.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Step, Wrong};
use crate::time;

/// Characters shown of something that is wrong.
const SHOWN: usize = 200;

/// A place in a body.
#[derive(Debug, Clone)]
pub struct Place(Vec<Step>);

impl Place {
    pub fn body() -> Self {
        Self(vec![Step::Name("body".to_owned())])
    }

    pub fn then(&self, name: &str) -> Self {
        self.with(Step::Name(name.to_owned()))
    }

    pub fn at(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    pub fn steps(self) -> Vec<Step> {
        self.0
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

/// An object whose members are taken one by one.
pub struct Object<'w> {
    members: Map<String, Value>,
    place: Place,
    /// Whether it was an object at all; if not, its members are not missed too.
    there: bool,
    wrong: &'w mut Vec<Wrong>,
}

impl<'w> Object<'w> {
    pub fn of(value: Value, place: Place, wrong: &'w mut Vec<Wrong>) -> Self {
        let (members, there) = match value {
            Value::Object(members) => (members, true),
            other => {
                wrong.push(Wrong::new(
                    "dict_type",
                    place.clone(),
                    "Input should be a valid dictionary",
                    other,
                ));
                (Map::new(), false)
            }
        };
        Self {
            members,
            place,
            there,
            wrong,
        }
    }

    /// Notes that a member is wrong.
    pub fn wrong(&mut self, name: &str, kind: &'static str, msg: &str, input: Value) {
        let place = self.place.then(name);
        self.wrong.push(Wrong::new(kind, place, msg, input));
    }

    /// Takes a member; `null` is the same as none.
    pub fn optional(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a member that must be there.
    pub fn member(&mut self, name: &str) -> Option<Value> {
        let member = self.members.remove(name);
        if member.is_none() && self.there {
            let input = Value::Object(self.members.clone());
            self.wrong(name, "missing", "Field required", input);
        }
        member
    }

    /// Takes a text that must be there.
    pub fn text(&mut self, name: &str) -> String {
        let member = self.member(name);
        member
            .and_then(|value| self.as_text(name, value))
            .unwrap_or_default()
    }

    /// Takes a text that may be there.
    pub fn optional_text(&mut self, name: &str) -> Option<String> {
        let member = self.optional(name)?;
        self.as_text(name, member)
    }

    fn as_text(&mut self, name: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text),
            other => {
                self.wrong(name, "string_type", "Input should be a valid string", other);
                None
            }
        }
    }

    /// Takes a moment that must be there.
    pub fn moment(&mut self, name: &str, warnings: &mut Vec<String>) -> Option<DateTime<Utc>> {
        let member = self.member(name)?;
        let text = self.as_text(name, member)?;
        self.as_moment(name, &text, warnings)
    }

    /// Takes a moment that may be there.
    pub fn optional_moment(
        &mut self,
        name: &str,
        warnings: &mut Vec<String>,
    ) -> Option<DateTime<Utc>> {
        let text = self.optional_text(name)?;
        self.as_moment(name, &text, warnings)
    }

    fn as_moment(
        &mut self,
        name: &str,
        text: &str,
        warnings: &mut Vec<String>,
    ) -> Option<DateTime<Utc>> {
        let mut naive = false;
        let moment = self.known_moment(name, text, &mut naive);
        if naive {
            warnings.push(format!("{name} has no offset and was taken as UTC"));
        }
        moment
    }

    /// Takes the time of an event, which must be there and may be `null`.
    pub fn event_time(&mut self, name: &str, naive: &mut bool) -> Option<DateTime<Utc>> {
        match self.member(name)? {
            Value::Null => None,
            value => {
                let text = self.as_text(name, value)?;
                self.known_moment(name, &text, naive)
            }
        }
    }

    fn known_moment(&mut self, name: &str, text: &str, naive: &mut bool) -> Option<DateTime<Utc>> {
        match time::moment(text) {
            Some((moment, has_offset)) => {
                *naive |= !has_offset;
                Some(moment)
            }
            None => {
                self.wrong(
                    name,
                    "datetime_from_date_parsing",
                    "Input should be a valid datetime, such as 2026-01-31T12:00:00Z",
                    text.into(),
                );
                None
            }
        }
    }

    /// Splits an inner object into the members that it must or may have and the rest; `None` if
    /// something is wrong with it, which is noted.
    pub fn inner(
        &mut self,
        name: &str,
        value: Value,
        wanted: &[Field],
    ) -> Option<(Map<String, Value>, Map<String, Value>)> {
        let before = self.wrong.len();
        let mut inner = Object::of(value, self.place.then(name), self.wrong);
        let mut known = Map::new();
        for field in wanted {
            let member = match field.need {
                Need::Always => inner.member(field.name),
                Need::Sometimes => inner.optional(field.name),
            };
            let Some(member) = member else { continue };
            if !field.kind.fits(&member) {
                let (kind, msg) = field.kind.refusal();
                inner.wrong(field.name, kind, msg, member);
                continue;
            }
            known.insert(field.name.to_owned(), member);
        }
        let (rest, _) = inner.finish();
        (self.wrong.len() == before).then_some((known, rest))
    }

    /// Returns the members that were not taken.
    pub fn rest(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.members)
    }

    /// Returns the members that were not taken, and the place.
    pub fn finish(self) -> (Map<String, Value>, Place) {
        (self.members, self.place)
    }
}

/// What a member of an event's data must be.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    name: &'static str,
    kind: Kind,
    need: Need,
}

#[cfg(test)]
impl Field {
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn is_required(&self) -> bool {
        self.need == Need::Always
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Always,
    Sometimes,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Natural,
    Bool,
    Texts,
    Any,
    Ended,
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::Natural => value.is_u64(),
            Self::Bool => value.is_boolean(),
            Self::Texts => value
                .as_array()
                .is_some_and(|items| items.iter().all(Value::is_string)),
            Self::Any => true,
            Self::Ended => matches!(
                value.as_str(),
                Some("timed_out" | "interrupted" | "background")
            ),
        }
    }

    fn refusal(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("string_type", "Input should be a valid string"),
            Self::Integer => ("int_type", "Input should be a valid integer"),
            Self::Natural => ("int_type", "Input should be a valid integer, 0 or more"),
            Self::Bool => ("bool_type", "Input should be a valid boolean"),
            Self::Texts => ("list_type", "Input should be a valid list of strings"),
            Self::Any => ("value_error", "Input should be valid JSON"),
            Self::Ended => (
                "enum",
                "Input should be timed_out, interrupted or background",
            ),
        }
    }
}

const fn must(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        need: Need::Always,
    }
}

const fn may(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        need: Need::Sometimes,
    }
}

/// Returns what the data of a type of event has.
pub fn of(event_type: &str) -> Option<&'static [Field]> {
    use Kind::*;
    Some(match event_type {
        "file_open" | "file_close" => const { &[must("file_path", Text)] },
        "code_edit" => {
            const {
                &[
                    must("file_path", Text),
                    must("diff", Text),
                    may("snapshot_after", Text),
                ]
            }
        }
        "terminal_command" => {
            const {
                &[
                    must("command", Text),
                    may("exit_code", Integer),
                    must("output", Text),
                    may("duration_ms", Natural),
                    may("cwd", Text),
                    may("ended", Ended),
                ]
            }
        }
        "test_result" => {
            const {
                &[
                    may("tests_passed", Bool),
                    must("test_command", Text),
                    may("failed_tests", Texts),
                    must("summary", Text),
                ]
            }
        }
        "reasoning_step" | "user_message" | "agent_message" => const { &[must("content", Text)] },
        "tool_call" => const { &[must("name", Text), must("arguments", Any)] },
        "tool_result" => {
            const {
                &[
                    may("name", Text),
                    must("content", Text),
                    may("is_error", Bool),
                ]
            }
        }
        "file_read" => const { &[must("file_path", Text), may("content", Text)] },
        "search" => const { &[must("query", Text), may("path", Text), may("results", Text)] },
        "commit" => const { &[may("sha", Text), must("message", Text)] },
        "pull_request" => const { &[must("url", Text)] },
        "compaction" => const { &[may("summary", Text)] },
        "error" => const { &[must("message", Text)] },
        "approval_denied" => const { &[must("what", Text)] },
        "rollback" => const { &[may("to", Text), may("reason", Text)] },
        _ => return None,
    })
}

/// Cuts what is shown of something wrong.
pub fn cut(input: Value) -> Value {
    match input {
        Value::Null | Value::Bool(_) | Value::Number(_) => input,
        Value::String(text) if text.chars().count() <= SHOWN => Value::String(text),
        Value::String(text) => short(&text).into(),
        other => {
            let text = other.to_string();
            if text.len() <= SHOWN {
                other
            } else {
                short(&text).into()
            }
        }
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    short.push('…');
    short
}

//! Free-form JSON objects of bounded size.

use std::borrow::Cow;

use commontrace_core::text::clean;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

/// A JSON object of at most `MAX` characters when written compactly, cleaned like every text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Object<const MAX: usize>(Map<String, Value>);

impl<const MAX: usize> Object<MAX> {
    /// Returns the object.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Object<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(from)?;
        let size = Value::Object(object.clone()).to_string().chars().count();
        if size > MAX {
            return Err(de::Error::custom(format!(
                "must have at most {MAX} characters as JSON, has {size}"
            )));
        }
        Ok(Self(clean_map(object)))
    }
}

fn clean_map(object: Map<String, Value>) -> Map<String, Value> {
    object
        .into_iter()
        .map(|(key, value)| (clean(&key).into_owned(), clean_value(value)))
        .collect()
}

fn clean_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(&text).into_owned()),
        Value::Array(values) => values.into_iter().map(clean_value).collect(),
        Value::Object(object) => Value::Object(clean_map(object)),
        value => value,
    }
}

impl<const MAX: usize> JsonSchema for Object<MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Object_{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": format!("Any JSON object of at most {MAX} characters."),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_cleaned_to_its_leaves_and_bounded() {
        let object: Object<60> =
            serde_json::from_str(r#"{"a\u0000": ["x\u0000y", {"b": "\u001b[31mred"}], "n": 1}"#)
                .unwrap();
        let json = serde_json::to_string(&object).unwrap();
        assert_eq!(json, r#"{"a":["xy",{"b":"red"}],"n":1}"#);
        assert!(serde_json::from_str::<Object<5>>(r#"{"a": "long"}"#).is_err());
        assert!(serde_json::from_str::<Object<5>>("[]").is_err());
    }
}

//! The tools: their names and parameters are what existing hosts, hooks and prompts know, so they do not
//! change; further parameters are optional.

mod amend;
mod contribute;
mod report;
mod search;
mod shown;
mod tags;
mod trace;
mod vote;

pub use self::search::is_search_answer;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::backend::Backend;
use crate::outcome::Refused;
use crate::text::one_line;

/// Lists all tools.
pub(crate) fn list() -> &'static [Tool] {
    &LIST
}

/// Returns the tool of this name.
pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    LIST.iter().find(|tool| tool.name == name)
}

static LIST: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    vec![
        search::definition(),
        trace::definition(),
        contribute::definition(),
        report::definition(),
        vote::definition(),
        amend::definition(),
        tags::definition(),
    ]
});

/// Calls a tool; nothing if there is none of this name.
pub(crate) async fn call(
    backend: &impl Backend,
    name: &str,
    arguments: JsonObject,
    now: DateTime<Utc>,
) -> Result<Option<String>, Refused> {
    let text = match name {
        search::NAME => search::call(backend, read(arguments)?, now).await,
        trace::NAME => trace::call(backend, read(arguments)?, now).await,
        contribute::NAME => contribute::call(backend, read(arguments)?).await,
        report::NAME => report::call(backend, read(arguments)?).await,
        vote::NAME => vote::call(backend, read(arguments)?).await,
        amend::NAME => amend::call(backend, read(arguments)?).await,
        tags::NAME => tags::call(backend, read(arguments)?).await,
        _ => return Ok(None),
    };
    text.map(Some)
}

/// Reads arguments. Agents often send null for what they leave out.
fn read<T: DeserializeOwned>(mut arguments: JsonObject) -> Result<T, Refused> {
    arguments.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(arguments)).map_err(|err| {
        // The message repeats what was sent.
        Refused::arguments(format!(
            "bad arguments: {}",
            one_line(&err.to_string(), 300)
        ))
    })
}

/// Reads the id of a trace.
fn trace_id(text: &str) -> Result<Uuid, Refused> {
    text.trim().parse().map_err(|_| {
        Refused::arguments(format!(
            "`{}` is no trace id: one is a UUID, such as the line `ID:` of a search result shows",
            one_line(text, 60)
        ))
    })
}

/// Joins what a tool is; `properties` are those of its JSON schema.
fn define(
    name: &'static str,
    description: &'static str,
    properties: Value,
    required: &[&str],
    annotations: ToolAnnotations,
) -> Tool {
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties);
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.insert("additionalProperties".to_owned(), json!(false));
    Tool::new(name, description, schema).with_annotations(annotations)
}

/// The hints of a tool that changes nothing.
fn reads(title: &str) -> ToolAnnotations {
    ToolAnnotations::with_title(title)
        .read_only(true)
        .open_world(true)
}

/// The hints of a tool that adds something for others to read.
fn adds(title: &str) -> ToolAnnotations {
    ToolAnnotations::with_title(title)
        .read_only(false)
        .destructive(false)
        .idempotent(false)
        .open_world(true)
}

/// Puts a text that may be empty into a body, unless it is.
fn insert(body: &mut JsonObject, name: &str, text: String) {
    if !text.trim().is_empty() {
        body.insert(name.to_owned(), Value::String(text));
    }
}

/// Puts an object that may be empty into a body, unless it is.
fn insert_object(body: &mut JsonObject, name: &str, object: JsonObject) {
    if !object.is_empty() {
        body.insert(name.to_owned(), Value::Object(object));
    }
}

/// Says what was taken out of a text, if anything was.
fn redactions(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "\n1 secret or personal detail was replaced by a mark.".to_owned(),
        count => format!("\n{count} secrets or personal details were replaced by marks."),
    }
}

/// What a server says it has replaced.
#[derive(Debug, Deserialize)]
struct Redaction {
    #[serde(default)]
    count: usize,
}

/// Adds up what was replaced here and by the server.
fn replaced(here: &commontrace_redact::Summary, there: &[Redaction]) -> usize {
    here.total() + there.iter().map(|redaction| redaction.count).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of the type that a schema's property declares.
    fn sample(property: &Value) -> Value {
        if let Some(values) = property.get("enum") {
            return values[0].clone();
        }
        match property["type"].as_str() {
            Some("string") => json!("x"),
            Some("array") => json!(["x"]),
            Some("integer") => json!(1),
            Some("object") => json!({}),
            Some("boolean") => json!(true),
            other => panic!("a type without a sample: {other:?}"),
        }
    }

    fn accepts(name: &str, arguments: JsonObject) -> Result<(), Refused> {
        match name {
            search::NAME => read::<search::Arguments>(arguments).map(drop),
            trace::NAME => read::<trace::Arguments>(arguments).map(drop),
            contribute::NAME => read::<contribute::Arguments>(arguments).map(drop),
            report::NAME => read::<report::Arguments>(arguments).map(drop),
            vote::NAME => read::<vote::Arguments>(arguments).map(drop),
            amend::NAME => read::<amend::Arguments>(arguments).map(drop),
            tags::NAME => read::<tags::Arguments>(arguments).map(drop),
            other => panic!("a tool without arguments: {other}"),
        }
    }

    #[test]
    fn schemas_and_arguments_are_the_same() {
        for tool in list() {
            let schema = &tool.input_schema;
            assert_eq!(schema["additionalProperties"], false);
            let properties = schema["properties"].as_object().expect("an object");
            let all: JsonObject = properties
                .iter()
                .map(|(name, property)| (name.clone(), sample(property)))
                .collect();
            accepts(&tool.name, all.clone()).expect("all that is declared");
            let required = schema.get("required").and_then(Value::as_array);
            for name in all.keys() {
                let mut rest = all.clone();
                rest.remove(name);
                let needed = required.is_some_and(|required| required.contains(&json!(name)));
                assert_eq!(
                    accepts(&tool.name, rest).is_err(),
                    needed,
                    "{} {name}",
                    tool.name
                );
            }
            let more = JsonObject::from_iter([("another".to_owned(), json!(1))]);
            let refused = accepts(&tool.name, more).expect_err("not declared");
            assert!(refused.0.contains("another"), "{}", refused.0);
        }
    }

    #[test]
    fn the_list_of_tools_costs_an_agent_little() {
        let list = serde_json::to_string(list()).expect("JSON");
        // 1,500 tokens.
        assert!(list.len() <= 6_000, "{} bytes", list.len());
        for tool in super::list() {
            let described = tool.description.as_ref().expect("each says what it does");
            assert!(described.len() <= 2_048, "{}", tool.name);
        }
        insta::assert_snapshot!(serde_json::to_string_pretty(super::list()).expect("JSON"));
    }
}

//! What can only be said about an operation once its route is known.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{PATH_SCHEMAS, links};
use crate::error::Problem;

const PROBLEM_SCHEMA: &str = "#/components/schemas/Problem";

/// Completes every operation of the document: parameters, descriptions of problems, an id.
pub fn complete(document: &mut Value) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else {
        return;
    };
    for (path, item) in paths {
        let operations = item.as_object_mut().into_iter().flatten();
        for (method, operation) in operations {
            if let Some(operation) = operation.as_object_mut() {
                add_path_parameters(path, operation);
                add_operation_id(method, path, operation);
                add_failures(operation);
                describe_problems(operation);
                links::add(operation);
            }
        }
    }
}

/// Gives the parameters of the route, in their order, the schemas their extractor noted.
fn add_path_parameters(path: &str, operation: &mut Map<String, Value>) {
    let Some(Value::Array(schemas)) = operation.remove(PATH_SCHEMAS) else {
        return;
    };
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters = names.zip(schemas).map(
        |(name, schema)| json!({ "in": "path", "name": name, "required": true, "schema": schema }),
    );
    let all = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(all) = all.as_array_mut() {
        all.extend(parameters);
    }
}

/// Derives an id from method and path for an operation without one, as `get_api_v1_tags`.
fn add_operation_id(method: &str, path: &str, operation: &mut Map<String, Value>) {
    operation.entry("operationId").or_insert_with(|| {
        let mut id = method.to_owned();
        for part in path.split(['/', '{', '}']).filter(|part| !part.is_empty()) {
            write!(id, "_{part}").expect("writing to a string cannot fail");
        }
        id.into()
    });
}

/// Any operation may fail or take too long, whatever its handler's signature says.
fn add_failures(operation: &mut Map<String, Value>) {
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    for status in ["500", "503"] {
        if responses.get(status).is_none() {
            responses[status] = json!({ "description": "" });
        }
        responses[status]["content"]["application/problem+json"] =
            json!({ "schema": { "$ref": PROBLEM_SCHEMA } });
    }
}

/// Describes each problem by its row in the table of errors, and the headers that come with it.
fn describe_problems(operation: &mut Map<String, Value>) {
    let responses = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    for (status, response) in responses.into_iter().flatten() {
        let is_problem = response
            .pointer("/content/application~1problem+json")
            .is_some();
        if !is_problem {
            if response.get("description").and_then(Value::as_str) == Some("") {
                response["description"] = "Success.".into();
            }
            continue;
        }
        let rows = Problem::ALL.iter().map(|problem| problem.row());
        let titles: Vec<_> = rows
            .filter(|row| row.status.as_str() == status)
            .map(|row| row.title)
            .collect();
        if response
            .get("description")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            response["description"] = format!("{}.", titles.join(", or: ")).into();
        }
        if let "429" | "503" = status.as_str() {
            response["headers"]["Retry-After"] = json!({
                "description": "Seconds to wait before the next attempt.",
                "schema": { "type": "integer", "minimum": 1 },
            });
        }
    }
}

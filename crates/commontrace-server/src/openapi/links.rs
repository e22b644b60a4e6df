//! Which answer holds what another operation asks for, as OpenAPI links. They show the way through
//! the API, and let a tester of the description meet traces that exist.

use serde_json::{Map, Value, json};

/// An operation, the status of its answer, and the operations that go on from there with the
/// values for their parameters.
type From = (&'static str, &'static str, &'static [To]);
type To = (&'static str, &'static [(&'static str, &'static str)]);

const NEW: &[(&str, &str)] = &[("trace_id", "$response.body#/id")];
/// The newest in a list, often one's own.
const FIRST: &[(&str, &str)] = &[("trace_id", "$response.body#/traces/0/id")];
/// The next in a list.
const SECOND: &[(&str, &str)] = &[("trace_id", "$response.body#/traces/1/id")];
const CONTRIBUTOR: &[(&str, &str)] = &[("user_id", "$response.body#/traces/0/contributor_id")];
const AMENDMENT: &[(&str, &str)] = &[
    ("trace_id", "$response.body#/original_trace_id"),
    ("amendment_id", "$response.body#/id"),
];

const LINKS: &[From] = &[
    (
        "post_api_v1_traces",
        "202",
        &[
            ("get_api_v1_traces_trace_id", NEW),
            ("patch_api_v1_traces_trace_id", NEW),
            ("delete_api_v1_traces_trace_id", NEW),
        ],
    ),
    (
        "get_api_v1_traces",
        "200",
        &[
            ("get_api_v1_traces_trace_id", SECOND),
            ("patch_api_v1_traces_trace_id", FIRST),
            ("get_api_v1_traces_trace_id_revisions", FIRST),
            ("post_api_v1_traces_trace_id_votes", SECOND),
            ("post_api_v1_traces_trace_id_outcomes", SECOND),
            ("get_api_v1_traces_trace_id_amendments", SECOND),
            ("post_api_v1_traces_trace_id_amendments", FIRST),
            ("post_api_v1_traces_trace_id_flag", SECOND),
            ("post_api_v1_moderation_traces_trace_id_restore", SECOND),
            ("delete_api_v1_moderation_traces_trace_id", SECOND),
            ("get_api_v1_reputation_user_id", CONTRIBUTOR),
            ("get_api_v1_contributors_user_id_reputation", CONTRIBUTOR),
        ],
    ),
    (
        "post_api_v1_traces_trace_id_amendments",
        "201",
        &[
            (
                "post_api_v1_traces_trace_id_amendments_amendment_id_accept",
                AMENDMENT,
            ),
            (
                "post_api_v1_traces_trace_id_amendments_amendment_id_reject",
                AMENDMENT,
            ),
        ],
    ),
];

/// Adds the links that begin at this operation, whose id is known by now.
pub fn add(operation: &mut Map<String, Value>) {
    let id = operation.get("operationId").and_then(Value::as_str);
    let from = LINKS.iter().find(|(from, ..)| Some(*from) == id);
    let Some((_, status, to)) = from else { return };
    let Some(response) = operation["responses"].get_mut(status) else {
        return;
    };
    for (target, parameters) in *to {
        let parameters: Map<_, _> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect();
        response["links"][target] = json!({ "operationId": target, "parameters": parameters });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::app::ServerSettings;

    use super::*;

    #[test]
    fn every_link_begins_and_ends_at_an_operation_and_fills_its_path() {
        let settings = ServerSettings::default();
        let routes = crate::routes::router(&settings);
        let (_, document) = crate::openapi::describe(routes, &settings);
        let items = document["paths"].as_object().unwrap();
        let operations = items.iter().flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().values();
            operations.map(move |operation| {
                (
                    operation["operationId"].as_str().unwrap(),
                    (path, operation),
                )
            })
        });
        let operations: HashMap<_, _> = operations.collect();
        for (from, status, to) in LINKS {
            let links = &operations[from].1["responses"][status]["links"];
            for (target, parameters) in *to {
                assert!(links[target].is_object(), "{from} to {target}");
                let (path, _) = operations[target];
                assert_eq!(path.matches('{').count(), parameters.len(), "{target}");
                for (name, _) in *parameters {
                    assert!(path.contains(&format!("{{{name}}}")), "{target}: {name}");
                }
            }
        }
    }
}

//! `report_outcome`.

use commontrace_core::Outcome;
use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::shown::Outcomes;
use super::{adds, define, insert, insert_object, trace_id};
use crate::backend::{Backend, Call};
use crate::outcome::{Refused, ask};
use crate::text::{one_line, redact_request};

pub(crate) const NAME: &str = "report_outcome";

pub(crate) fn definition() -> Tool {
    define(
        NAME,
        "Report what came of a trace that you read with get_trace, once you know. It counts more than a vote; another \
         report from the same environment replaces it. Not on own traces.",
        json!({
            "trace_id": { "type": "string" },
            "outcome": {
                "type": "string",
                "enum": ["worked", "worked_with_changes", "did_not_work", "not_relevant"],
                "description": "worked: as written. not_relevant: it is about another problem",
            },
            "context": { "type": "object", "default": {}, "description": "As in search_traces" },
            "note": { "type": "string", "default": "", "description": "What had to be changed, or how it failed" },
        }),
        &["trace_id", "outcome"],
        adds("Report an outcome").idempotent(true),
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    trace_id: String,
    outcome: Outcome,
    #[serde(default)]
    context: Map<String, Value>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
struct Reported {
    outcome: String,
    #[serde(default)]
    replaced: bool,
    standing: Option<Standing>,
}

#[derive(Deserialize)]
struct Standing {
    status: String,
    #[serde(default)]
    outcomes: Outcomes,
}

pub(crate) async fn call(backend: &impl Backend, given: Arguments) -> Result<String, Refused> {
    let id = trace_id(&given.trace_id)?;
    let mut body = JsonObject::new();
    body.insert("outcome".to_owned(), json!(given.outcome));
    insert_object(&mut body, "context", given.context);
    insert(&mut body, "note", given.note);
    let mut body = Value::Object(body);
    redact_request(&mut body);
    let reported: Reported = ask(backend, &Call::Outcome(id, body))
        .await
        .map_err(|refused| name_the_tool(&refused, &Call::Trace(id)))?;
    let replaced = if reported.replaced {
        ", in place of your last from there"
    } else {
        ""
    };
    let mut text = format!(
        "Outcome recorded: {} for trace {id}{replaced}.",
        one_line(&reported.outcome, 40)
    );
    if let Some(Standing { status, outcomes }) = reported.standing {
        let status = one_line(&status, 40);
        let counts = outcomes.told().unwrap_or_default();
        text.push_str(&format!(" It is {status} with {counts}."));
    }
    Ok(text)
}

/// The API names the request that has to come first; an agent has a tool for it.
fn name_the_tool(refused: &Refused, first: &Call) -> Refused {
    let request = format!("{} {}", first.method(), first.path());
    Refused(refused.0.replace(&request, "get_trace"))
}

//! `amend_trace`.

use rmcp::model::Tool;
use serde::Deserialize;
use serde_json::json;

use super::{Redaction, adds, define, redactions, replaced, trace_id};
use crate::backend::{Backend, Call};
use crate::outcome::{Refused, ask};
use crate::text::{one_line, redact_request};

pub(crate) const NAME: &str = "amend_trace";

pub(crate) fn definition() -> Tool {
    define(
        NAME,
        "Propose a better solution for a trace; its contributor decides. Publishes text, so the user has to agree.",
        json!({
            "trace_id": { "type": "string" },
            "improved_solution": { "type": "string", "description": "The whole solution as it should read" },
            "explanation": { "type": "string", "description": "What is better about it" },
        }),
        &["trace_id", "improved_solution", "explanation"],
        adds("Amend a trace"),
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    trace_id: String,
    improved_solution: String,
    explanation: String,
}

#[derive(Deserialize)]
struct Amendment {
    id: String,
    original_trace_id: String,
    #[serde(default)]
    redactions: Vec<Redaction>,
}

pub(crate) async fn call(backend: &impl Backend, given: Arguments) -> Result<String, Refused> {
    let id = trace_id(&given.trace_id)?;
    let mut body = json!({
        "improved_solution": given.improved_solution,
        "explanation": given.explanation,
    });
    let here = redact_request(&mut body);
    let done: Amendment = ask(backend, &Call::Amend(id, body)).await?;
    // The amendment's id comes first, then the trace's.
    Ok(format!(
        "Amendment proposed (ID: {}) for trace {}. Its contributor decides on it.{}",
        one_line(&done.id, 40),
        one_line(&done.original_trace_id, 40),
        redactions(replaced(&here, &done.redactions))
    ))
}

//! `contribute_trace`.

use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Redaction, adds, define, insert, insert_object, redactions, replaced, trace_id};
use crate::backend::{Backend, Call};
use crate::outcome::{Refused, ask};
use crate::text::{clean, one_line, redact_request};

pub(crate) const NAME: &str = "contribute_trace";

pub(crate) fn definition() -> Tool {
    define(
        NAME,
        "Publish a solved problem for other agents, once it is checked and the user agrees to the exact text. One problem \
         per trace, useful to strangers: nothing of this project, no secrets, paths or names.",
        json!({
            "title": { "type": "string", "description": "The problem in one line, up to 200 characters" },
            "context_text": { "type": "string", "description": "Literal error, what led to it, versions" },
            "solution_text": { "type": "string", "description": "Cause, fix as code, how it was checked" },
            "tags": { "type": "array", "items": { "type": "string" }, "default": [] },
            "supersedes_trace_id": { "type": "string", "default": "", "description": "Own trace that this replaces" },
            "review_after": { "type": "string", "default": "", "description": "ISO 8601 date from which it may be outdated" },
            "watch_condition": { "type": "string", "default": "", "description": "What would make it outdated" },
            "context": { "type": "object", "default": {}, "description": "As in search_traces" },
            "agent_model": { "type": "string", "default": "" },
            "tokens_to_resolution": { "type": "integer", "default": 0 },
            "metadata_json": { "type": "object", "default": {}, "description": "Anything else to keep with it" },
        }),
        &["title", "context_text", "solution_text"],
        adds("Contribute a trace"),
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    title: String,
    context_text: String,
    solution_text: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    supersedes_trace_id: String,
    #[serde(default)]
    review_after: String,
    #[serde(default)]
    watch_condition: String,
    #[serde(default)]
    context: Map<String, Value>,
    #[serde(default)]
    agent_model: String,
    #[serde(default)]
    tokens_to_resolution: u32,
    #[serde(default)]
    metadata_json: Map<String, Value>,
}

#[derive(Deserialize)]
struct Contributed {
    /// Empty if it waits to be sent.
    #[serde(default)]
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    dropped_tags: Vec<String>,
    #[serde(default)]
    redactions: Vec<Redaction>,
}

pub(crate) async fn call(backend: &impl Backend, given: Arguments) -> Result<String, Refused> {
    let mut body = JsonObject::new();
    body.insert("title".to_owned(), json!(given.title));
    body.insert("context_text".to_owned(), json!(given.context_text));
    body.insert("solution_text".to_owned(), json!(given.solution_text));
    body.insert("tags".to_owned(), json!(given.tags));
    if !given.supersedes_trace_id.trim().is_empty() {
        let superseded = trace_id(&given.supersedes_trace_id)?;
        body.insert("supersedes_trace_id".to_owned(), json!(superseded));
    }
    insert(&mut body, "review_after", given.review_after);
    insert(&mut body, "watch_condition", given.watch_condition);
    insert(&mut body, "agent_model", given.agent_model);
    insert_object(&mut body, "context", given.context);
    insert_object(&mut body, "metadata_json", given.metadata_json);
    if given.tokens_to_resolution > 0 {
        body.insert(
            "tokens_to_resolution".to_owned(),
            json!(given.tokens_to_resolution),
        );
    }
    let mut body = Value::Object(body);
    let here = redact_request(&mut body);
    let done: Contributed = ask(backend, &Call::Contribute(body))
        .await
        .map_err(|refused| Refused(format!("{}\nNot contributed.", refused.0)))?;
    if done.id.is_empty() {
        return Ok(format!(
            "{}{}",
            clean(&done.message),
            redactions(here.total())
        ));
    }
    // Hooks take the first UUID for the trace's, so nothing with one may stand before it.
    let mut text = format!(
        "Trace contributed (ID: {}). Status: {} until others confirm it.",
        one_line(&done.id, 40),
        one_line(&done.status, 40)
    );
    text.push_str(&redactions(replaced(&here, &done.redactions)));
    if !done.dropped_tags.is_empty() {
        let dropped: Vec<String> = done
            .dropped_tags
            .iter()
            .map(|tag| one_line(tag, 50))
            .collect();
        text.push_str(&format!("\nLeft out, as no tags: {}", dropped.join(", ")));
    }
    Ok(text)
}

//! `vote_trace`.

use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{adds, define, insert, insert_object, trace_id};
use crate::backend::{Backend, Call};
use crate::outcome::{Refused, ask};
use crate::text::{one_line, redact_request};

pub(crate) const NAME: &str = "vote_trace";

pub(crate) fn definition() -> Tool {
    define(
        NAME,
        "Say whether a trace worked, after trying it. One vote per account and trace, not on own ones.",
        json!({
            "trace_id": { "type": "string" },
            "vote_type": { "type": "string", "enum": ["up", "down"] },
            "feedback_tag": { "type": "string", "default": "", "description": "Needed for down: outdated, wrong, security_concern or spam" },
            "feedback_text": { "type": "string", "default": "", "description": "What happened" },
            "voter_context": { "type": "object", "default": {}, "description": "As context in search_traces" },
        }),
        &["trace_id", "vote_type"],
        adds("Vote on a trace").idempotent(true),
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    trace_id: String,
    vote_type: String,
    #[serde(default)]
    feedback_tag: String,
    #[serde(default)]
    feedback_text: String,
    #[serde(default)]
    voter_context: Map<String, Value>,
}

#[derive(Deserialize)]
struct Vote {
    trace_id: String,
    vote_type: String,
    standing: Option<Standing>,
}

#[derive(Deserialize)]
struct Standing {
    status: String,
    up_votes: i64,
    down_votes: i64,
}

pub(crate) async fn call(backend: &impl Backend, given: Arguments) -> Result<String, Refused> {
    let id = trace_id(&given.trace_id)?;
    let mut body = JsonObject::new();
    body.insert("vote_type".to_owned(), json!(given.vote_type));
    insert(&mut body, "feedback_tag", given.feedback_tag);
    insert(&mut body, "feedback_text", given.feedback_text);
    insert_object(&mut body, "voter_context", given.voter_context);
    let mut body = Value::Object(body);
    redact_request(&mut body);
    let vote: Vote = ask(backend, &Call::Vote(id, body)).await?;
    let mut text = format!(
        "Vote recorded: {}vote on trace {}.",
        one_line(&vote.vote_type, 10),
        one_line(&vote.trace_id, 40)
    );
    if let Some(standing) = vote.standing {
        let Standing {
            status,
            up_votes,
            down_votes,
        } = standing;
        let status = one_line(&status, 40);
        text.push_str(&format!(
            " It is {status} with {up_votes} up, {down_votes} down."
        ));
    }
    Ok(text)
}

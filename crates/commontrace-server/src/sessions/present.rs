//! Sessions as clients see them.

use commontrace_api::sessions::SessionBody;
use commontrace_session::Session as Header;
use commontrace_session::stored::bound_depth;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::evidence;
use crate::error::{ApiError, ApiResult};

/// What is kept of a session besides what it is looked for by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// The version of its shape, as the client said.
    pub schema_version: String,
    /// What it says of itself.
    pub session: Header,
}

impl Kept {
    /// Writes it as it is kept.
    pub fn to_json(&self) -> String {
        let mut value = serde_json::to_value(self).expect("a session has only string keys");
        bound_depth(&mut value);
        value.to_string()
    }

    /// Reads what was kept.
    pub fn parse(text: &str) -> ApiResult<Self> {
        serde_json::from_str(text)
            .map_err(|err| ApiError::internal(format!("a kept session is unreadable: {err}")))
    }
}

/// Shows a session without its events.
pub fn session(row: commontrace_store::Session) -> ApiResult<SessionBody> {
    let Kept {
        schema_version,
        mut session,
    } = Kept::parse(&row.header)?;
    let qa_results = row
        .verdict
        .as_deref()
        .map(|verdict| qa_results(verdict, row.last_seq))
        .transpose()?;
    Ok(SessionBody {
        schema_version,
        trace_id: row.id,
        developer_id: row.developer_id,
        bug_id: row.bug_id,
        repo: serde_json::to_value(&session.repo).expect("a repository is all texts"),
        start_time: row.start_time,
        end_time: session.end_time,
        qa_results,
        claimed_qa_results: session.extra.remove("claimed_qa_results"),
        format: row.format,
        title: session.title,
        model: session.model,
        tool_version: session.tool_version,
        last_seq: row.last_seq,
        stored_bytes: row.stored_bytes,
        created_at: row.created_at,
        updated_at: row.updated_at,
        extra: session.extra,
        events: None,
    })
}

/// Shows what a signed verdict says, and whether something was appended since.
fn qa_results(verdict: &str, last_seq: i64) -> ApiResult<Value> {
    let mut verdict = evidence::results(verdict)?;
    let through = verdict["events_through_seq"].as_i64();
    if let Value::Object(members) = &mut verdict {
        members.insert("stale".to_owned(), (through != Some(last_seq)).into());
    }
    Ok(verdict)
}

/// Begins the JSON of a session whose events follow.
pub fn begin(body: &SessionBody) -> String {
    let mut value = serde_json::to_value(body).expect("a session has only string keys");
    if let Value::Object(members) = &mut value {
        members.remove("events");
    }
    let mut text = value.to_string();
    text.pop();
    text.push_str(r#","events":["#);
    text
}

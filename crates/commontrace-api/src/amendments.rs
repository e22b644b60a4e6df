//! Amendments.

use chrono::{DateTime, Utc};
use commontrace_core::trace::{AmendmentStatus, TEXT_MAX};
use commontrace_core::{AmendmentId, TraceId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Text;
use crate::traces::Redaction;

/// A better solution for somebody's trace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(example = example())]
pub struct ProposeAmendment {
    /// The whole solution as it should read.
    pub improved_solution: Text<1, TEXT_MAX>,
    /// What is better about it.
    pub explanation: Text<1, 5000>,
}

fn example() -> Value {
    json!({
        "improved_solution": "Ask as the user that exists: `pg_isready -U \"$POSTGRES_USER\"`, and give the first \
            start time with `start_period: 60s`.",
        "explanation": "30 seconds are too short where the image has to restore a dump first.",
    })
}

/// An amendment and where it stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AmendmentBody {
    /// The amendment's id.
    pub id: AmendmentId,
    /// The trace it would change.
    pub original_trace_id: TraceId,
    /// Who proposed it.
    pub submitter_id: UserId,
    /// The whole solution as it should read.
    pub improved_solution: String,
    /// What is better about it.
    pub explanation: String,
    /// Where it stands.
    pub status: AmendmentStatus,
    /// Who accepted or rejected it.
    pub decided_by: Option<UserId>,
    /// When that was.
    pub decided_at: Option<DateTime<Utc>>,
    /// When it was proposed.
    pub created_at: DateTime<Utc>,
    /// Secrets and personal data that were replaced before storing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub redactions: Vec<Redaction>,
}

/// A trace's amendments, oldest first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Amendments {
    /// The amendments.
    pub amendments: Vec<AmendmentBody>,
}

/// An amendment that was decided, and what the trace's revision is now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Decided {
    /// The amendment.
    pub amendment: AmendmentBody,
    /// The trace's revision; higher by one if the amendment was accepted.
    pub revision: i64,
}

//! What came of a trace.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commontrace_core::trace::METADATA_MAX;
use commontrace_core::{Outcome, OutcomeCounts, TraceId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::votes::{REVISION_MAX, Standing};
use crate::{Bounded, Object, Text};

/// What came of somebody else's trace that was read before.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(example = example())]
pub struct ReportOutcome {
    /// What came of it.
    pub outcome: Outcome,
    /// The environment: language, framework, os, package_manager, runtime, environment, version. A report from
    /// another environment stands beside this one; one from the same replaces it.
    #[serde(default)]
    pub context: Option<Object<METADATA_MAX>>,
    /// Anything else, such as what had to be changed.
    #[serde(default)]
    pub note: Option<Text<0, 5000>>,
    /// The revision that was read. A report on a text that was replaced since is refused.
    #[serde(default)]
    pub revision: Option<Bounded<1, REVISION_MAX>>,
}

fn example() -> Value {
    json!({
        "outcome": "worked_with_changes",
        "context": { "os": "linux", "language": "python", "version": "3.13" },
        "note": "needs pip 24 or newer",
    })
}

/// A report that counts.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OutcomeBody {
    /// The trace.
    pub trace_id: TraceId,
    /// Who reported.
    pub reporter_id: UserId,
    /// What came of it.
    pub outcome: Outcome,
    /// The environment as understood; null if nothing of it was.
    pub context_fingerprint: Option<BTreeMap<String, String>>,
    /// Anything else, redacted.
    pub note: Option<String>,
    /// The revision that it is about; it counts for as long as the text of that revision stands.
    pub revision: i64,
    /// Whether it took the place of the account's report from the same environment.
    pub replaced: bool,
    /// When it was reported.
    pub created_at: DateTime<Utc>,
    /// The trace's standing with this report.
    pub standing: Standing,
}

/// What was reported from one environment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EnvironmentOutcomes {
    /// The environment; null if it was not said.
    pub context_fingerprint: Option<BTreeMap<String, String>>,
    /// Reports from there.
    #[serde(flatten)]
    pub outcomes: OutcomeCounts,
}

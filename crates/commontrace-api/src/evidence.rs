//! What running tests proved of a trace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the server found out by running the tests of a session before and after its fix. No client and
/// no model can set it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// `verified`, `refuted`, `no_evidence`, `unstable`, `invalid_run`, `infrastructure` or `not_run`.
    pub status: String,
    /// The same as a sentence or two, with the figures.
    pub summary: String,
    /// Tests that turned green with the fix.
    pub fail_to_pass: u64,
    /// Tests that passed and still pass.
    pub pass_to_pass: u64,
    /// Tests that passed and do not any more.
    pub pass_to_fail: u64,
    /// Tests that change by chance.
    pub flaky: u64,
    /// How often the tests ran before the fix, and how often after it.
    pub runs_per_side: u64,
    /// What contained them.
    pub isolation: Vec<String>,
    /// What a reader should know first, such as `tests_weakened`.
    pub flags: Vec<String>,
    /// How the reasoning was judged, 1 to 5; null without a model.
    pub reasoning_score: Option<f64>,
    /// The session's score, 0 to 1; null where a half of it is missing.
    pub score: Option<f64>,
}

/// Evidence as it stands with a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceEvidence {
    /// What was found out.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// Whether trust counts it: it is verified or refuted, the tests were not weakened, and the text shows
    /// the change that was verified and has not been replaced since.
    pub counts: bool,
    /// The trace's revision that it was given to.
    pub revision: i64,
}

/// Whose verdict to give to a trace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct AttachEvidence {
    /// An own session with a verdict.
    #[schemars(length(min = 1, max = 128))]
    pub session_id: String,
}

/// A trace's evidence with what anybody can check it by.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EvidenceBody {
    /// What was found out.
    pub evidence: TraceEvidence,
    /// The verdict as it was signed. Written to a file it is checked by `commontrace verify`.
    pub signed_verdict: Value,
}

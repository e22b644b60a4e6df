//! Flagging and moderating.

use chrono::{DateTime, Utc};
use commontrace_core::trace::FlagCategory;
use commontrace_core::{TraceId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::traces::TraceBody;
use crate::{Bounded, Text};

/// Says what is wrong with a trace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct FlagTrace {
    /// Why it should be looked at.
    pub reason: Text<1, 1000>,
    /// What kind of fault it is.
    pub category: FlagCategory,
}

/// A flag that was taken in.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FlagBody {
    /// The trace.
    pub trace_id: TraceId,
    /// Always true: the trace waits for a moderator.
    pub flagged: bool,
    /// What kind of fault was named.
    pub category: FlagCategory,
    /// Whether the trace is hidden by now.
    pub hidden: bool,
    /// What happens next, for a person.
    pub message: String,
}

/// Which part of the queue to show.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct ListFlagged {
    /// Traces at most.
    #[serde(default = "fifty")]
    pub limit: Bounded<1, 100>,
    /// Traces to leave out at the beginning.
    #[serde(default = "zero")]
    pub offset: Bounded<0, 100_000>,
}

fn fifty() -> Bounded<1, 100> {
    Bounded::new(50)
}

fn zero() -> Bounded<0, 100_000> {
    Bounded::new(0)
}

/// A trace in the moderators' queue.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FlaggedTrace {
    /// The trace.
    #[serde(flatten)]
    pub trace: TraceBody,
    /// When it was last flagged.
    pub flagged_at: Option<DateTime<Utc>>,
    /// What was said of it, newest first.
    pub flags: Vec<FlagReason>,
}

/// One flag.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FlagReason {
    /// Who raised it.
    pub user_id: UserId,
    /// What kind of fault was named.
    pub category: FlagCategory,
    /// Why.
    pub reason: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A trace that everybody may see again.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Restored {
    /// Always true.
    pub restored: bool,
    /// The trace.
    pub trace_id: TraceId,
}

//! Recording sessions. Requests are checked by `commontrace-session`, which says of each place what is
//! wrong; the types here describe them.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use commontrace_core::RunId;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::evidence::Evidence;
use crate::finalize::RunRequest;
use crate::{Bounded, Timestamp};

/// A session to record. Members that are not named here are kept.
#[derive(Debug, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
#[expect(dead_code, reason = "only its schema is used")]
pub struct CreateSession {
    /// The version of this shape.
    #[serde(default)]
    schema_version: Option<String>,
    /// An id of the client's choice, unique among its own sessions. Without one the server makes it.
    #[serde(default)]
    #[schemars(regex(pattern = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$"))]
    trace_id: Option<String>,
    /// Who debugged.
    developer_id: String,
    /// The bug that it is about.
    #[serde(default)]
    bug_id: Option<String>,
    /// The repository.
    repo: SessionRepo,
    /// When it began; UTC where no offset is given.
    start_time: Timestamp,
    /// When it ended.
    #[serde(default)]
    end_time: Option<Timestamp>,
    /// What has happened so far.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    events: Option<Vec<SessionEvent>>,
    /// A verdict of the client's own. It is kept as a claim; verdicts come from the server.
    #[serde(default)]
    qa_results: Option<Map<String, Value>>,
}

/// The repository that a session is about.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct SessionRepo {
    /// Its name.
    name: String,
    /// Where to clone it from, or its path on the machine that verifies.
    url: String,
    /// The branch that was worked on.
    branch: String,
    /// The commit with the bug.
    commit_before: String,
    /// The commit with the fix.
    commit_after: String,
    /// The command that runs the tests.
    #[schemars(regex(pattern = r"^[^\u0000]*$"))]
    test_command: String,
}

/// Something that happened.
#[derive(Debug, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
#[expect(dead_code, reason = "only its schema is used")]
pub struct SessionEvent {
    /// The client's id: an event that is sent twice with the same one is stored once.
    #[serde(default)]
    #[schemars(length(max = 200), regex(pattern = r"^[^\u0000]*$"))]
    id: Option<String>,
    /// When it happened; null where that is not known.
    timestamp: MaybeTimestamp,
    /// What kind of thing happened.
    event_type: EventType,
    /// What happened, in the members that the type asks for.
    data: Map<String, Value>,
    /// Who did it: `human`, `agent` (which is assumed), `system` or `subagent:<id>`.
    #[serde(default)]
    #[schemars(regex(pattern = r"^(human|agent|system|subagent:.+)$"))]
    actor: Option<String>,
    /// The id of the event that it follows from.
    #[serde(default)]
    parent: Option<String>,
    /// The tool call that it makes or answers.
    #[serde(default)]
    tool_call_id: Option<String>,
}

/// A moment that has to be given, as `null` if nobody knows it.
#[derive(Debug)]
struct MaybeTimestamp;

impl JsonSchema for MaybeTimestamp {
    fn schema_name() -> Cow<'static, str> {
        "MaybeTimestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "null"], "format": "date-time" })
    }
}

/// The kinds of things that happen.
#[derive(Debug, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "only its schema is used, and the names say it")]
pub enum EventType {
    FileOpen,
    FileClose,
    FileRead,
    CodeEdit,
    TerminalCommand,
    TestResult,
    ReasoningStep,
    UserMessage,
    AgentMessage,
    ToolCall,
    ToolResult,
    Search,
    Commit,
    PullRequest,
    Compaction,
    Error,
    ApprovalDenied,
    Rollback,
}

/// Events to append to a session.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct AppendEvents {
    /// The events, in their order.
    #[schemars(length(min = 1, max = 10_000))]
    events: Vec<SessionEvent>,
}

/// How to append.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub struct AppendQuery {
    /// How many events the session must have for these to be appended; 409 if it has another number.
    #[serde(default)]
    pub expected_seq: Option<Bounded<0, 1_000_000>>,
}

/// What was replaced in a session before it was stored, by rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleRedaction {
    /// The rule.
    pub rule: String,
    /// How often.
    pub count: u64,
}

/// A session was stored.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SessionStored {
    /// Its id.
    pub trace_id: String,
    /// Always `stored`.
    pub status: String,
    /// What was replaced before it was stored.
    pub redactions: Vec<RuleRedaction>,
    /// What was taken in another sense than it may have been meant.
    pub warnings: Vec<String>,
}

/// Events were appended.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EventsAppended {
    /// The session.
    pub trace_id: String,
    /// How many were not there before.
    pub appended_events: i64,
    /// How many were.
    pub duplicates: i64,
    /// How many events the session has now.
    pub last_seq: i64,
    /// What was replaced before they were stored.
    pub redactions: Vec<RuleRedaction>,
    /// What was taken in another sense than it may have been meant.
    pub warnings: Vec<String>,
}

/// A session with its events, or without them in a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SessionBody {
    /// The version of this shape.
    pub schema_version: String,
    /// Its id.
    pub trace_id: String,
    /// Who debugged.
    pub developer_id: String,
    /// The bug that it is about.
    pub bug_id: Option<String>,
    /// The repository; texts are empty that nobody knows.
    pub repo: Value,
    /// When it began.
    pub start_time: DateTime<Utc>,
    /// When it ended.
    pub end_time: Option<DateTime<Utc>>,
    /// The verdict on it.
    pub qa_results: Option<Value>,
    /// The verdict that the client claims.
    pub claimed_qa_results: Option<Value>,
    /// The recording tool; null if a client posted it.
    pub format: Option<String>,
    /// What it is called.
    pub title: Option<String>,
    /// The model that acted most.
    pub model: Option<String>,
    /// The recording tool's version.
    pub tool_version: Option<String>,
    /// How many events it has.
    pub last_seq: i64,
    /// How many bytes it takes up in the store, as they are kept there.
    pub stored_bytes: i64,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// When something was last appended.
    pub updated_at: DateTime<Utc>,
    /// Members that have no place above.
    pub extra: Map<String, Value>,
    /// What happened, in the order of time. Not in a list of sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Value>>,
}

/// Which sessions to list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct ListSessions {
    /// Only this developer's.
    #[serde(default)]
    pub developer_id: Option<String>,
    /// Only those about this bug.
    #[serde(default)]
    pub bug_id: Option<String>,
    /// Only those in a repository of this name.
    #[serde(default)]
    pub repo: Option<String>,
    /// Only those that this tool recorded, such as `claude-code`.
    #[serde(default)]
    pub format: Option<String>,
    /// Only those that began at this moment or later.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Only those that began before this moment.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Sessions per page.
    #[serde(default = "twenty")]
    pub limit: Bounded<1, 100>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[schemars(regex(pattern = crate::traces::CURSOR))]
    pub cursor: Option<String>,
}

fn twenty() -> Bounded<1, 100> {
    Bounded::new(20)
}

/// A page of sessions, newest first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SessionPage {
    /// The sessions, without their events.
    pub traces: Vec<SessionBody>,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}

/// Which events to read.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub struct ListEvents {
    /// Only those behind the event of this number.
    #[serde(default = "none")]
    pub after_seq: Bounded<0, 1_000_000>,
    /// Events per page. A page may have fewer when they are large.
    #[serde(default = "hundred")]
    pub limit: Bounded<1, 1000>,
}

fn none() -> Bounded<0, 1_000_000> {
    Bounded::new(0)
}

fn hundred() -> Bounded<1, 1000> {
    Bounded::new(100)
}

/// A page of events, in the order in which they were stored.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Value>,
    /// What to give as `after_seq` for the next page; null on the last.
    pub next_after_seq: Option<i64>,
    /// How many events the session has.
    pub last_seq: i64,
}

/// Says that a session is gone.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SessionDeleted {
    /// Always true.
    pub deleted: bool,
    /// The session that was deleted.
    pub trace_id: String,
}

/// How to find out what a session is worth.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub struct FinalizeQuery {
    /// Seconds to wait for the verdict; then the answer is 202 with the place of the run. Without it, as
    /// long as the server allows, or not at all with `Prefer: respond-async`.
    #[serde(default)]
    pub wait: Option<Bounded<0, 3600>>,
    /// How often the tests run on each side; 3 unless said otherwise.
    #[serde(default)]
    pub repeats: Option<Bounded<1, 10>>,
    /// What is taken for the fix.
    #[serde(default)]
    pub fix: Option<FixSource>,
}

/// What is taken for a session's fix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FixSource {
    /// `commit_after` where the session names one, else its edits.
    #[default]
    Auto,
    /// `commit_after`.
    Commit,
    /// The session's edits, one after the other.
    Edits,
}

/// A run is on its way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunAccepted {
    /// The session.
    pub trace_id: String,
    /// The run.
    pub run_id: RunId,
    /// Where it is.
    pub state: String,
}

/// A run that finds out what a session is worth.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunBody {
    /// Its id.
    pub run_id: RunId,
    /// `queued`, `preparing`, `running`, `judging`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// What was asked for, with the hashes of the files of tests in place of the files.
    pub request: RunRequest,
    /// It is about the session's events up to this number.
    pub events_through_seq: i64,
    /// Where it is in more detail.
    pub progress: Option<Value>,
    /// The verdict, once it is done.
    pub verdict: Option<Value>,
    /// Why there is no verdict, if it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A session's runs, newest first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunBody>,
}

/// A draft of a trace for the commons. Sent to `POST /api/v1/traces` it is contributed, and the verdict
/// on the session with it, because it names the session.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TraceDraft {
    /// The session that it is made of, if that has a verdict.
    pub session_id: Option<String>,
    /// What failed, in one line.
    pub title: String,
    /// The problem: what was asked, what failed and how, what did not work.
    pub context_text: String,
    /// What solved it: in words, as a diff, with the command that checks it.
    pub solution_text: String,
    /// The language and the repository.
    pub tags: Vec<String>,
    /// The environment, as far as the session tells.
    pub context: Map<String, Value>,
    /// The model that worked.
    pub agent_model: Option<String>,
    /// The version of the program that recorded it.
    pub agent_version: Option<String>,
    /// What its tests proved; null before the session was finalized.
    pub evidence: Option<DraftEvidence>,
    /// The model that worded it; null where the words are copied from the events.
    pub worded_by: Option<String>,
    /// Why a model's words were not taken.
    pub not_worded: Option<String>,
}

/// What a session's tests proved.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DraftEvidence {
    /// What readers of the trace see at once.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// Whether something was appended to the session since.
    pub stale: bool,
    /// The whole verdict, which readers of the trace can see too.
    pub signed_verdict: Value,
}

/// One server-sent event of a run that is followed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunEvent {
    /// `progress`, or `end` for the last one.
    pub event: String,
    /// JSON with `run_id`, `state`, `progress` and `error`.
    pub data: String,
}

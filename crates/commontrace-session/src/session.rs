//! What a session says of itself besides its events.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A session without its events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its id in the tool that recorded it, or the client's.
    pub source_id: Option<String>,
    /// The tool and format it comes from, such as `claude-code`; `None` if a client posted it.
    pub format: Option<String>,
    /// What it is called, if anybody or the tool named it.
    pub title: Option<String>,
    /// Who debugged; importers say `unknown` where the record names nobody.
    pub developer_id: String,
    /// The bug that it is about, in the developer's tracker.
    pub bug_id: Option<String>,
    /// The repository, as far as it is known.
    pub repo: Repo,
    /// When it began.
    pub start_time: Option<DateTime<Utc>>,
    /// When it ended.
    pub end_time: Option<DateTime<Utc>>,
    /// The model that acted most, as `provider/model` where both are known.
    pub model: Option<String>,
    /// The recording tool's version.
    pub tool_version: Option<String>,
    /// Whatever else the record says of the session.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// A repository and the two commits between which a bug was mended. Empty strings stand for what an
/// importer does not know; clients have to give all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repo {
    /// Its name.
    pub name: String,
    /// Where to clone it from, or its path on the machine that verifies.
    pub url: String,
    /// The branch that was worked on.
    pub branch: String,
    /// The commit with the bug.
    pub commit_before: String,
    /// The commit with the fix; empty if only the session's own edits have it.
    pub commit_after: String,
    /// The command that runs the tests, for `sh -c` at the root of the repository.
    pub test_command: String,
}

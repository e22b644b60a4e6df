//! What finding out what a session is worth can be asked for, and what is kept of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sessions::FixSource;
use crate::{Bounded, members};

/// How a session's tests are to be run. Every member may be left out, and so may the whole body.
///
/// Nothing of it is replaced where it holds what must not be stored: another test, or another command, would
/// prove something else. Such a request is refused.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FinalizeRequest {
    /// Files by somebody else than the author of the fix, put over the repository's at the base and at the
    /// fix. What the fix did to tests is undone first.
    #[serde(deserialize_with = "members::each")]
    #[schemars(length(max = 100))]
    pub tests: Vec<TestFile>,
    /// The command that sets up dependencies, in place of what the repository's manifests ask for. It may use
    /// the network where the server allows it.
    #[schemars(length(max = 4000))]
    pub setup: Option<String>,
    /// Ids of tests that have to pass with the fix: those that turn green and those that stay it.
    #[schemars(length(max = 1000))]
    pub expected: Vec<String>,
    /// How often the tests run on each side; 3 unless said otherwise.
    pub repeats: Option<Bounded<1, 10>>,
    /// What is taken for the fix.
    pub fix: Option<FixSource>,
    /// What takes the place of what the session says of its repository, or does not say.
    #[serde(deserialize_with = "members::only")]
    pub repo: RepoOverride,
}

/// A file of tests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestFile {
    /// Its place, relative to the repository.
    #[schemars(length(min = 1, max = 1000))]
    pub path: String,
    /// What it holds; null removes what is there.
    pub content: Option<String>,
}

/// What takes the place of what a session says of its repository. Recordings of agents do not say how tests
/// are run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RepoOverride {
    /// Where to clone it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4000))]
    pub url: Option<String>,
    /// The commit with the bug.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4000))]
    pub commit_before: Option<String>,
    /// The commit with the fix; empty if only the session's edits have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4000))]
    pub commit_after: Option<String>,
    /// The command that runs the tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4000))]
    pub test_command: Option<String>,
}

/// What was asked for with a run. It is kept with the run and part of its verdict, with the hashes of the
/// files of tests in place of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunRequest {
    /// How often the tests run on each side.
    pub repeats: u8,
    /// What is taken for the fix.
    pub fix: FixSource,
    /// The files of tests by somebody else.
    pub tests: Vec<HeldBackTest>,
    /// The command that sets up dependencies, if it was said.
    pub setup: Option<String>,
    /// Ids of tests that have to pass with the fix.
    pub expected: Vec<String>,
    /// What takes the place of what the session says of its repository.
    pub repo: RepoOverride,
}

impl Default for RunRequest {
    fn default() -> Self {
        Self {
            repeats: 3,
            fix: FixSource::default(),
            tests: Vec::new(),
            setup: None,
            expected: Vec::new(),
            repo: RepoOverride::default(),
        }
    }
}

/// A file of tests that a run was asked for with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldBackTest {
    /// Its place, relative to the repository.
    pub path: String,
    /// SHA-256 of what it holds, in hexadecimal digits; null if what is there is removed.
    pub sha256: Option<String>,
    /// How many bytes it holds.
    pub bytes: u64,
}

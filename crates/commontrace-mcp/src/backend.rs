//! Who answers what the tools ask.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

/// Longest wait for what only reads.
const READ: Duration = Duration::from_secs(10);
/// Longest wait for what writes.
const WRITE: Duration = Duration::from_secs(30);

/// A request of the HTTP API, of those that tools make.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Searches with this body.
    Search(Value),
    /// Contributes this trace.
    Contribute(Value),
    /// Votes on a trace.
    Vote(Uuid, Value),
    /// Opens a trace.
    Trace(Uuid),
    /// Lists tags that begin so, with counts. The prefix holds only what stands in tags.
    Tags(String),
    /// Proposes a better solution for a trace.
    Amend(Uuid, Value),
    /// Reports what came of a trace.
    Outcome(Uuid, Value),
}

impl Call {
    /// Returns the HTTP method.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Trace(_) | Self::Tags(_) => "GET",
            Self::Search(_)
            | Self::Contribute(_)
            | Self::Vote(..)
            | Self::Amend(..)
            | Self::Outcome(..) => "POST",
        }
    }

    /// Returns the path with its query, from `/api/v1` on.
    pub fn path(&self) -> String {
        match self {
            Self::Search(_) => "/api/v1/traces/search".to_owned(),
            Self::Contribute(_) => "/api/v1/traces".to_owned(),
            Self::Vote(trace, _) => format!("/api/v1/traces/{trace}/votes"),
            Self::Trace(trace) => format!("/api/v1/traces/{trace}"),
            Self::Tags(prefix) => format!("/api/v1/tags?with_counts=true&prefix={prefix}"),
            Self::Amend(trace, _) => format!("/api/v1/traces/{trace}/amendments"),
            Self::Outcome(trace, _) => format!("/api/v1/traces/{trace}/outcomes"),
        }
    }

    /// Returns the body, if there is one.
    pub fn body(&self) -> Option<&Value> {
        match self {
            Self::Search(body)
            | Self::Contribute(body)
            | Self::Vote(_, body)
            | Self::Amend(_, body)
            | Self::Outcome(_, body) => Some(body),
            Self::Trace(_) | Self::Tags(_) => None,
        }
    }

    /// Returns whether it changes nothing, so that it can be sent again.
    pub fn reads(&self) -> bool {
        matches!(self, Self::Search(_) | Self::Trace(_) | Self::Tags(_))
    }

    /// Returns how long to wait for the answer.
    pub fn deadline(&self) -> Duration {
        if self.reads() { READ } else { WRITE }
    }
}

/// What came back, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Seconds to wait before the next attempt, where the answer says so.
    pub retry_after: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why nothing came back. Each says what happened, to what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Away {
    /// It was not asked, because it failed again and again, or cannot be opened.
    Unavailable(String),
    /// It was asked, and no whole answer came, or none in time.
    NoAnswer(String),
    /// It was not asked, because something is missing in the settings.
    Unconfigured(String),
}

/// Who answers.
pub trait Backend: Send + Sync + 'static {
    /// Sends the request and waits for the answer, no longer than the request's deadline.
    fn send(&self, call: &Call) -> impl Future<Output = Result<Answer, Away>> + Send;

    /// Says where keys come from and who can mend one that is not accepted.
    fn key_advice(&self) -> String {
        "The key in COMMONTRACE_API_KEY is missing, revoked or another server's; only the user can mend that.".to_owned()
    }
}

impl<B: Backend> Backend for Arc<B> {
    fn send(&self, call: &Call) -> impl Future<Output = Result<Answer, Away>> + Send {
        (**self).send(call)
    }

    fn key_advice(&self) -> String {
        (**self).key_advice()
    }
}

//! Writes sessions in the formats that others read.
//!
//! ```
//! use commontrace_session::export::{Export, Format, Verdict};
//! use commontrace_session::{Body, Event, Session};
//!
//! let session = Session { developer_id: "ada".to_owned(), ..Session::default() };
//! let event = Event { id: "e1".to_owned(), ..Event::new(Body::ReasoningStep { content: "Look.".to_owned() }) };
//! let export = Export { id: "t-1", session: &session, verdict: None, url: None };
//! let mut out = Vec::new();
//! export.write(Format::Markdown, [event], &mut out)?;
//! assert!(String::from_utf8_lossy(&out).contains("Look."));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Events are taken one by one and written as they come. What has to be put together (the line ranges of
//! Agent Trace, the steps of sub-agents in ATIF, a call until its result) is held, and nothing else.
//!
//! The same session and events give the same bytes: nothing here reads a clock or draws an id.

mod agent_trace;
mod atif;
mod json;
mod markdown;
mod otlp;
mod trace;
mod validate;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

pub use validate::{Violation, validate_atif};

use crate::{Event, Session};

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct Export<'e> {
    /// The id of the session where it is kept.
    pub id: &'e str,
    /// What it says of itself.
    pub session: &'e Session,
    /// What became of it when it was finalized.
    pub verdict: Option<&'e Verdict>,
    /// Where it can be read.
    pub url: Option<&'e str>,
}

/// A format that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Harbor's trajectories, ATIF 1.7. Read back by our importer, it gives the same events.
    Atif,
    /// What clients post to `/traces`, with `qa_results`.
    Trace,
    /// OTLP/JSON logs: one evaluation for each dimension, one of the whole, one of the verification.
    Otlp,
    /// Agent Trace 0.1.0: which lines the agent wrote.
    AgentTrace,
    /// For people.
    Markdown,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Atif,
        Self::Trace,
        Self::Otlp,
        Self::AgentTrace,
        Self::Markdown,
    ];

    /// The name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Atif => "atif",
            Self::Trace => "trace",
            Self::Otlp => "otlp",
            Self::AgentTrace => "agent-trace",
            Self::Markdown => "markdown",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What it is sent as.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Markdown => "text/markdown; charset=utf-8",
            _ => "application/json",
        }
    }
}

impl Export<'_> {
    /// Writes the session with its events, which come in their order.
    pub fn write(
        &self,
        format: Format,
        events: impl IntoIterator<Item = Event>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut events = events.into_iter();
        match format {
            Format::Atif => atif::write(self, &mut events, out),
            Format::Trace => trace::write(self, &mut events, out),
            Format::Otlp => otlp::write(self, &mut events, out),
            Format::AgentTrace => agent_trace::write(self, &mut events, out),
            Format::Markdown => markdown::write(self, &mut events, out),
        }
    }
}

/// What became of a session: `qa_results`, with what is known beyond the fields that every client knows.
/// `None` is what was not run or not judged, never 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the run after the fix was valid and nothing failed.
    pub tests_passed: Option<bool>,
    /// Its exit code.
    pub test_exit_code: Option<i64>,
    /// The head and the tail of its output.
    pub test_output_snippet: Option<String>,
    /// 1.0 to 5.0.
    pub reasoning_score: Option<f64>,
    /// In words.
    pub reasoning_feedback: Option<String>,
    /// What the verification found: `verified`, `refuted`, `no_evidence`, `unstable`, `invalid_run`,
    /// `infrastructure` or `not_run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The combined scalar, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combined: Option<f64>,
    /// What the judge found, by dimension.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, Dimension>,
}

/// What the judge found of one dimension.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dimension {
    /// 0 to 4; `None` if it was not or could not be judged.
    pub score: Option<f64>,
    /// The level in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// Why there is no score, such as `not_configured` or `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
}

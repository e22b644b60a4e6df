//! The answer to a session or event that is wrong in places: `detail` is a list, as clients that record
//! sessions know it.

use std::borrow::Cow;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, Operation};
use commontrace_session::posted::{Step, Wrong};
use schemars::JsonSchema;
use serde::Serialize;

use super::ProblemBody;
use crate::openapi::problem_response_of;

/// The body of an answer that lists what is wrong with a session.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SessionProblem")]
pub struct WrongBody {
    /// Identifies the kind of problem: a reference to its description, relative to the server.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same few words for every problem of this kind.
    pub title: Cow<'static, str>,
    /// The status of the answer, repeated.
    pub status: u16,
    /// Every part that was wrong.
    pub detail: Vec<Wrong>,
    /// Under which the server's log has this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl WrongBody {
    /// Says in a problem which parts are wrong.
    pub fn new(problem: ProblemBody, detail: Vec<Wrong>) -> Self {
        Self {
            kind: problem.kind,
            title: problem.title,
            status: problem.status,
            detail,
            request_id: problem.request_id,
        }
    }
}

/// The same in a sentence, for who is told of it without a list.
pub fn sentence(wrong: &[Wrong]) -> String {
    let parts = wrong.iter().map(|wrong| {
        let places = wrong.loc.iter().skip(1).map(|step| match step {
            Step::Name(name) => name.clone(),
            Step::Index(index) => index.to_string(),
        });
        let place = places.collect::<Vec<_>>().join(".");
        format!("{place}: {}", wrong.msg)
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// Documents the answer to a session or event that is wrong in places.
#[derive(Debug)]
pub enum WrongParts {}

impl OperationOutput for WrongParts {
    type Inner = WrongBody;

    fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        Some(problem_response_of::<WrongOrProblem>(ctx))
    }
}

/// What is wrong in places, or with the request as a whole.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum WrongOrProblem {
    Wrong(WrongBody),
    Problem(ProblemBody),
}

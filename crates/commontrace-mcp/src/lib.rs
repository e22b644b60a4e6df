//! What agents see of the commons: the tools of the Model Context Protocol, their texts and schemas.
//!
//! A tool turns its arguments into one request of the HTTP API, and the answer into text. Who answers
//! the request is the [`Backend`]'s affair: a server elsewhere, or the store on this machine. All five
//! revisions of the protocol, over pipes and over HTTP, are rmcp's affair.
//!
//! **Invariants.** Every result is one complete text, because hosts that get text and structure hand over
//! only one of them. Whatever is sent was redacted before it was cut. Stored text is shown as data:
//! without control characters, and never as part of a sentence of ours.
//!
//! This crate opens no connection, reads no clock and no settings.

mod backend;
pub mod http;
mod outcome;
mod server;
mod text;
mod tools;

pub use backend::{Answer, Away, Backend, Call};
pub use outcome::detail;
pub use server::Server;
pub use text::redact_request;
pub use tools::is_search_answer;

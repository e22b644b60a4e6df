//! What a trace is: its types, rules and formulas.
//!
//! Nothing here performs I/O, reads a clock, draws a random number or is `async`: given the same
//! input, every function returns the same answer.

pub mod backoff;
pub mod confidence;
pub mod email;
pub mod error;
pub mod fingerprint;
pub mod fusion;
pub mod hex;
pub mod husk;
pub mod id;
pub mod outcome;
pub mod reputation;
pub mod seed;
pub mod tag;
pub mod test_path;
pub mod text;
pub mod token_bucket;
pub mod trace;
pub mod trace_context;
pub mod vote;

pub use id::{AmendmentId, JobId, RunId, SessionKey, TraceId, UserId, VoteId};
pub use outcome::{Outcome, OutcomeCounts};
pub use trace::Status;
pub use trace_context::TraceContext;

//! Tells what a recorded command, path or output is: tests, a look around, a set-up, the code itself.
//!
//! Everything here goes by names and words. What it does not know it says nothing about.

mod command;
mod diff;
mod output;
mod path;

pub use command::{Purpose, TestCommand, normal, purpose, test_command};
pub use commontrace_session::test_output::Outcome;
pub use diff::{Change, creates, lines};
pub use output::{Count, Counted, counts, failed_names, outcome};
pub use path::{PathKind, file_name, path_kind, stem};

//! What happens beside a coding agent: events of its host come in, and now and then a few facts go out.
//!
//! Nothing here connects to anything or starts an async runtime.

mod command;
pub mod commons;
pub mod event;
pub mod facts;
mod failure;
mod fields;
pub mod history;
pub mod host;
pub mod hosts;
mod places;
pub mod respond;
mod text;

pub use failure::Failure;
pub use text::output;

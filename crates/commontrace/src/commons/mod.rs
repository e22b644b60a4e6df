//! The commons as this machine's programs use it: the store on this machine and, if the settings name one,
//! a server that is shared with others.
//!
//! **Invariants.** Nothing leaves this machine that was not first written to the log of what is sent, and
//! nothing that the redactor still finds something in. The API key goes to its own server and stands in no
//! file but the settings file. What was contributed while no server answers is sent once.

pub mod account;
mod both;
mod breaker;
pub mod files;
mod local;
mod merge;
pub mod outbox;
pub mod remote;
pub mod sent;

pub use both::{Both, Delivered};

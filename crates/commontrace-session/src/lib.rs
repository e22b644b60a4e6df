//! What a debugging session is: a header, and events in the order in which they were recorded.
//!
//! One shape for what every agent records. It is a superset of what clients post to `/traces`: each
//! event has an identity, an actor and a link to the call that it belongs to, and what nobody knows is
//! absent instead of zero.
//!
//! [`import`] reads what agents record, [`export`] writes what others read. [`shell`] tells what commands do.
//!
//! Nothing here stores, reads a clock or makes up an id that does not follow from the record.

pub mod diff;
pub mod event;
pub mod export;
pub mod import;
pub mod posted;
pub mod session;
pub mod shell;
pub mod stored;
pub mod test_output;
pub mod text;
mod time;

pub use event::{Actor, Body, Ended, Event, RawRef, Source};
pub use session::{Repo, Session};

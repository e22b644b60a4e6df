//! Recorded sessions, their events and the large texts of both.
//!
//! Appending costs the same however long a session is: its row counts its events, and whoever appends
//! holds that row, so that numbers have neither gaps nor doubles. What a client sends twice is stored
//! once. A session that was deleted is gone at once; its events are removed in small steps, because one
//! long transaction would hold up every other write on SQLite.

mod append;
mod blobs;
mod create;
mod delete;
mod leases;
mod read;
mod runs;
mod usage;

pub use append::changed::warning as changed_warning;
pub use append::{Append, AppendEvents, NewEvent, SESSION_EVENTS_MAX};
pub use blobs::NewBlob;
pub use create::{CreateSession, NewSession};
pub use leases::{ClaimedRun, RunEnd, RunHold};
pub use read::{Event, EventOrder, Session, SessionCursor, SessionFilter};
pub use runs::{NewRun, Run, RunState, StartRun};

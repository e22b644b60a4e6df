//! What a server has acknowledged to clients that write while it or its surroundings are killed, and
//! whether all of it is still there.

mod ledger;
mod verify;
mod writer;

pub use ledger::{KINDS, Kind, Ledger, Losses};
pub use verify::{Scope, verify};
pub use writer::{Clients, Writer};

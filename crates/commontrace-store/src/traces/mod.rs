//! Traces: contributing, reading, listing, changing and deleting them.

mod contribute;
mod list;
pub(crate) mod read;
mod update;

pub use contribute::{Contribute, FIRST_REVISION, NewTrace};
pub use list::{Cursor, ListFilter};
pub use read::{Relation, Trace};
pub use update::{Patch, UpdateTrace};
pub(crate) use update::{delete, owned, revise};

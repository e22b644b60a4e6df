//! What goes over the wire: requests and answers of the HTTP API, with their limits.
//!
//! The same types give the OpenAPI document. A request member that a type does not name is
//! ignored; one that it names is checked here, so a handler only meets values within limits.

pub mod amendments;
pub mod evidence;
pub mod finalize;
pub mod health;
pub mod keys;
mod members;
pub mod moderation;
pub mod number;
pub mod object;
pub mod outcomes;
pub mod reputation;
pub mod search;
pub mod sessions;
pub mod tags;
pub mod telemetry;
pub mod text;
pub mod time;
pub mod traces;
pub mod votes;

pub use number::Bounded;
pub use object::Object;
pub use text::{Line, Text};
pub use time::Timestamp;

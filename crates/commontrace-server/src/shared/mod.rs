//! What several nodes share through Redis, and what happens while it is away.
//!
//! Nothing here is the truth of anything: a node without Redis goes on alone, and what Redis forgets
//! costs a full bucket or a computation.

mod address;
mod condition;
mod link;
mod query_vectors;
mod write_positions;

pub use address::RedisAddress;
pub use condition::{Condition, Eviction, Unseen};
pub use link::{PATIENCE, Redis};
pub use query_vectors::QueryVectors;
pub use write_positions::WritePositions;

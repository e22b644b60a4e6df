//! One file per subcommand: what is asked of the server, and what is counted.

pub mod capacity;
pub mod cold_start;
pub mod contribute;
pub mod crash;
pub mod embedding_endpoint;
pub mod eval;
pub mod hook;
pub mod known_item;
pub mod latency;
pub mod limiter;
pub mod load;
pub mod mcp;
pub mod sandbox;
pub mod sessions;
pub mod soak;

//! What an agent meets that is connected by `commontrace mcp`.

mod agent;
mod away;
mod protocol;
mod tools;

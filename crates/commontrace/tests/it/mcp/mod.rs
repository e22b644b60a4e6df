//! What an agent meets that is connected by `commontrace mcp`, or by `/mcp` of a server.

pub mod agent;
mod away;
mod caller;
mod over_http;
mod protocol;
mod tools;

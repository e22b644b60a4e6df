//! `commontrace mcp`: connects a coding agent with the commons, by the Model Context Protocol on standard
//! input and output. Standard output carries nothing else; the log goes to standard error.
//!
//! The host waits for the first answer, so nothing is opened before a tool is called.

use std::sync::Arc;

use commontrace_mcp::Server;

use crate::commons::{Both, remote};
use crate::config::Config;
use crate::failure::Failure;

/// Answers the agent until it goes away: from the store on this machine and from the configured server.
pub async fn run(config: Config) -> Result<(), Failure> {
    let interruption = super::interruption()?;
    let both = Arc::new(Both::new(config, "mcp")?);
    let server = Server::new(Arc::clone(&both), remote::now);
    let served = tokio::select! {
        ended = server.serve_stdio() => ended.map_err(|why| {
            Failure::new(format!("the conversation with the agent failed: {why}")).hint(
                "`commontrace mcp` is started by an agent's host and speaks JSON-RPC, one message per line",
            )
        }),
        () = interruption => Ok(()),
        () = both.keep_delivering() => Ok(()),
    };
    both.close().await;
    served
}

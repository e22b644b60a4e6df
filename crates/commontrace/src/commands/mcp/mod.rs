//! `commontrace mcp`: connects a coding agent with the commons, by the Model Context Protocol on standard
//! input and output. Standard output carries nothing else; the log goes to standard error.
//!
//! The host waits for the first answer, so nothing is opened before a tool is called.

mod breaker;
mod local;
mod remote;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use commontrace_mcp::Server;
use commontrace_server::clock::Clock;

use self::local::Local;
use self::remote::Remote;
use crate::config::Config;
use crate::failure::Failure;

/// Answers the agent until it goes away: from the configured server, or from the store on this machine.
pub async fn run(config: Config) -> Result<(), Failure> {
    let interruption = super::interruption()?;
    let served = async {
        match Remote::of(&config)? {
            Some(remote) => serve(Server::new(remote, now), interruption).await,
            None => {
                let local = Arc::new(Local::new(config));
                let served = serve(Server::new(Arc::clone(&local), now), interruption).await;
                local.close().await;
                served
            }
        }
    };
    served.await
}

async fn serve<B: commontrace_mcp::Backend>(
    server: Server<B>,
    interruption: impl Future<Output = ()>,
) -> Result<(), Failure> {
    tokio::select! {
        ended = server.serve_stdio() => ended.map_err(|why| {
            Failure::new(format!("the conversation with the agent failed: {why}")).hint(
                "`commontrace mcp` is started by an agent's host and speaks JSON-RPC, one message per line",
            )
        }),
        () = interruption => Ok(()),
    }
}

fn now() -> DateTime<Utc> {
    Clock::System.now()
}

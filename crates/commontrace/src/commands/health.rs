//! `commontrace health`: asks the server that runs with these settings how it is. For the health
//! check of a container, whose image has no other program that could ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use commontrace_server::error::chain;

use super::say;
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// Longest wait for the answer; a server that needs longer is not well.
const WAIT: Duration = Duration::from_secs(4);

/// What to ask.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ask whether it can answer requests now, not only whether it runs
    #[arg(long)]
    ready: bool,
}

/// Asks, and fails unless the answer is yes.
pub async fn run(config: Config, args: Args) -> Result<(), Failure> {
    let path = if args.ready { "ready" } else { "live" };
    let url = format!("http://{}/health/{path}", reachable(config.server.listen));
    let failed = |why: String| {
        Failure::new(format!("{url}: {why}"))
            .hint("`commontrace doctor` with the server's settings looks for the cause")
    };
    // The server is on this machine, where no proxy leads.
    let client = start::http_client_builder().no_proxy().timeout(WAIT);
    let client = client.build().map_err(|err| failed(chain(&err)))?;
    let answer = client.get(&url).send().await;
    let answer = answer.map_err(|err| failed(chain(&err.without_url())))?;
    let status = answer.status();
    if status.is_success() {
        say("healthy");
        return Ok(());
    }
    let body = answer.text().await.unwrap_or_default();
    Err(failed(format!("answered {status}: {body}")))
}

/// Returns an address to connect to for one that was listened on: all networks include the machine
/// itself.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

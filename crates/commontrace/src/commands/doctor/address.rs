//! The address to listen on: whether it can be had, and if not, who has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use commontrace_server::error::chain;
use commontrace_server::serve;

use super::Finding::{self, Fine, Wrong};
use crate::config::Config;
use crate::start;

/// Takes the address for a moment.
pub async fn address(config: &Config) -> Finding {
    let address = config.server.listen;
    match serve::bind(address).await {
        Ok(_) => Fine(format!("{address} is free; no server runs there")),
        Err(serve::BindError::InUse(_)) => neighbour(address).await,
        Err(err) => Wrong(format!("{} ({})", chain(&err), err.hint())),
    }
}

/// Asks whoever has the address who they are.
async fn neighbour(address: SocketAddr) -> Finding {
    /// Longest time a server on this machine may take to say that it lives.
    const PATIENCE: Duration = Duration::from_secs(2);
    let reachable = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let reachable = SocketAddr::new(reachable, address.port());
    let client = match start::local_http_client() {
        Ok(client) => client,
        Err(failure) => return Wrong(failure.to_string()),
    };
    let asked = async {
        let url = format!("http://{reachable}/health/live");
        let answer = client.get(url).timeout(PATIENCE).send().await?;
        answer.error_for_status()?.json::<Live>().await
    };
    match asked.await {
        Ok(Live { status, version }) if status == "healthy" => {
            Fine(format!("a server of version {version} runs on {address}"))
        }
        Err(err) if err.is_timeout() => Wrong(format!(
            "{address} is in use, and what has it did not answer within {} s; a server that hangs must be restarted, \
             for anything else choose another address with COMMONTRACE_LISTEN",
            PATIENCE.as_secs()
        )),
        _ => Wrong(format!(
            "{address} is in use by another program; {}",
            serve::BindError::InUse(address).hint()
        )),
    }
}

/// What a server says of itself.
#[derive(Debug, serde::Deserialize)]
struct Live {
    status: String,
    version: String,
}

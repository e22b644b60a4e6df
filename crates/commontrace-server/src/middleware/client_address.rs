//! Finds out which network address a request came from: the peer's, or the one that a trusted proxy
//! says it forwards for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Extensions;
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

mod forwarded;

/// The address a request came from, behind all trusted proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientIp(pub IpAddr);

/// Notes the address on the request, for limits and for the log.
pub async fn resolve(
    State(trusted): State<Arc<[IpNet]>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = peer(request.extensions());
    let client = forwarded::client(peer, request.headers(), &trusted);
    request.extensions_mut().insert(ClientIp(client));
    next.run(request).await
}

fn peer(extensions: &Extensions) -> IpAddr {
    let peer = extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0);
    let peer = peer.or_else(|| Some(extensions.get::<MockConnectInfo<SocketAddr>>()?.0));
    // A request without a connection comes from a test that calls the router directly.
    let ip = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    ip.to_canonical()
}

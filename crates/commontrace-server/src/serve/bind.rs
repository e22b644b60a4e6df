//! Listening on an address, and what to do where that fails.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has it.
    #[error("the address {0} is already in use")]
    InUse(SocketAddr),
    /// The system does not let this user have it.
    #[error("this user may not listen on {0}")]
    NotAllowed(SocketAddr),
    /// No network of this machine has it.
    #[error("this machine has no address {0}")]
    NotHere(SocketAddr),
    /// Something else.
    #[error("could not listen on {0}: {1}")]
    Other(SocketAddr, #[source] io::Error),
}

impl BindError {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InUse(_) => {
                "stop the program that has it, or choose another with COMMONTRACE_LISTEN"
            }
            Self::NotAllowed(_) => "choose a port from 1024 up with COMMONTRACE_LISTEN",
            Self::NotHere(_) => {
                "choose one it has with COMMONTRACE_LISTEN: 127.0.0.1 for this machine only, \
                 0.0.0.0 for all its networks"
            }
            Self::Other(..) => "check the address in COMMONTRACE_LISTEN",
        }
    }
}

/// Starts to listen on `address`.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|err| match err.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            io::ErrorKind::PermissionDenied => BindError::NotAllowed(address),
            io::ErrorKind::AddrNotAvailable => BindError::NotHere(address),
            _ => BindError::Other(address, err),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_named_with_what_to_do() {
        let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = taken.local_addr().unwrap();
        let err = bind(address).await.unwrap_err();
        assert_eq!(
            err.to_string(),
            format!("the address {address} is already in use")
        );
        assert!(err.hint().contains("COMMONTRACE_LISTEN"));
        let err = bind("192.0.2.1:80".parse().unwrap()).await.unwrap_err();
        assert!(matches!(err, BindError::NotHere(_)), "{err}");
    }
}

//! The server that is this machine's shared commons: whether it answers, takes the key, and whether what is sent to it
//! can be written down.

use super::Finding::{self, Fine, Weak, Wrong};
use crate::commons::account::{self, Standing};
use crate::commons::remote::Remote;
use crate::commons::sent::SentLog;
use crate::config::Config;

/// Looks at the server and at the log of what is sent; nothing where no server is named.
pub async fn remote(config: &Config) -> Vec<(&'static str, Finding)> {
    let remote = match Remote::of(config, "doctor") {
        Ok(Some(remote)) => remote,
        Ok(None) => return Vec::new(),
        Err(failure) => return vec![("remote", Wrong(failure.to_string()))],
    };
    let log = SentLog::in_dir(&config.storage.data_dir);
    let path = log.path().display();
    let written = match log.check() {
        Ok(()) => Fine(format!("{path} can be written")),
        Err(err) => Wrong(format!(
            "{path} cannot be written, so nothing is sent to the server: {err}; make it and its directory this user's own"
        )),
    };
    let origin = remote.origin();
    let server = if config.remote.offline {
        Fine(format!("{origin} is not asked: offline"))
    } else {
        match account::standing(&remote).await {
            Standing::Good(_) => Fine(format!("{origin} answers and takes the key")),
            Standing::Refused(why) => Wrong(format!(
                "{origin} refuses the key: {why}; `commontrace remote add {origin} --register` gets a new one"
            )),
            Standing::Unknown(why) => Weak(format!(
                "{why} Searches find what is on this machine; contributions wait"
            )),
        }
    };
    vec![("remote", server), ("sent log", written)]
}

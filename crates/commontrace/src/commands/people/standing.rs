//! How this machine stands with the server, as `remote show` and `status` print it.

use std::process::ExitCode;

use serde::Serialize;

use super::terminal::one_line;
use crate::commons::Both;
use crate::commons::account::{self, Standing};
use crate::config::Config;
use crate::failure::Failure;

/// The server and what it says of the key.
#[derive(Debug, Serialize)]
pub struct ServerStanding {
    /// Its address.
    pub url: String,
    /// `good`, `refused`, `unknown` where it did not answer, or `offline` where it was not asked.
    pub key: &'static str,
    /// The account's id there.
    pub account: Option<String>,
    /// Why the key is not good.
    pub reason: Option<String>,
}

impl ServerStanding {
    /// Asks the server that the settings name; nothing if they name none.
    pub async fn of(both: &Both, config: &Config) -> Option<Self> {
        let (remote, base) = (both.remote()?, config.remote.api_base_url.as_ref()?);
        let stands = |key, account, reason| Self {
            url: base.as_str().trim_end_matches('/').to_owned(),
            key,
            account,
            reason,
        };
        if config.remote.offline {
            return Some(stands("offline", None, None));
        }
        Some(match account::standing(remote).await {
            Standing::Good(account) => stands("good", Some(account), None),
            Standing::Refused(why) => stands("refused", None, Some(why)),
            Standing::Unknown(why) => stands("unknown", None, Some(why)),
        })
    }

    /// The line for a person.
    pub fn to_line(&self) -> String {
        let line = match (self.key, &self.account, &self.reason) {
            ("good", Some(account), _) => {
                format!("{}: the key is good (account {account})", self.url)
            }
            ("refused", _, Some(why)) => format!(
                "{}: the key is refused: {why}. `commontrace remote add {} --register` gets a new one",
                self.url, self.url
            ),
            (_, _, Some(why)) => format!("{}: {why}", self.url),
            _ => format!("{}: offline, not asked", self.url),
        };
        one_line(&line)
    }

    /// The exit code of a command that looks at it.
    pub fn code(&self) -> ExitCode {
        match self.key {
            "refused" => ExitCode::from(Failure::REFUSED),
            "unknown" => ExitCode::from(Failure::AWAY),
            _ => ExitCode::SUCCESS,
        }
    }
}

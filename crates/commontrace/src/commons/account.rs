//! The account on a server: got without anything that says whose it is, and its key kept in the settings
//! file before anything else is done with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use commontrace_mcp::{Away, detail};
use commontrace_server::ids::Ids;
use serde::Deserialize;
use serde_json::json;

use super::remote::{Remote, Request};
use crate::config::{BaseUrl, Config, SettingsFile};
use crate::failure::Failure;

/// Longest wait for an account.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest key that is taken for one.
const KEY_MAX: usize = 1024;
/// The section of the settings file that names the server.
const SECTION: &str = "remote";

/// Where the key for a server is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFrom {
    /// It stood in the settings file already.
    Kept,
    /// It is a new account's.
    Registered,
}

/// Whether a server accepts a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It does; the account's id.
    Good(String),
    /// It does not, with what it says.
    Refused(String),
    /// It did not say, and why.
    Unknown(String),
}

/// Makes the settings file name this server with a key: the one that stands there, else that of a new
/// account. Of several processes at the same time, one makes an account and the others find its key.
///
/// `renew` makes a new account even so.
pub async fn ensure_key(
    config: &Config,
    file: &Path,
    base: &BaseUrl,
    renew: bool,
    command: &str,
) -> Result<KeyFrom, Failure> {
    let mut file = open(file.to_owned()).await?;
    let is_named = named(&file).is_some_and(|named| named.is_at(base));
    if is_named
        && !renew
        && file
            .get(SECTION, "api_key")
            .is_some_and(|key| !key.is_empty())
    {
        // The address may have got another path.
        file.set(SECTION, "api_base_url", base.as_str());
        file.save()?;
        return Ok(KeyFrom::Kept);
    }
    let remote = Remote::at(base.clone(), None, config, command)?;
    let key = register(&remote).await?;
    keep(&mut file, base, &key)?;
    Ok(KeyFrom::Registered)
}

/// Makes the settings file name this server with a key of the user's.
pub async fn keep_key(file: &Path, base: &BaseUrl, key: &str) -> Result<(), Failure> {
    let mut file = open(file.to_owned()).await?;
    keep(&mut file, base, key)
}

/// Takes the server and its key out of the settings file; returns the address that stood there.
pub async fn forget(file: &Path) -> Result<Option<String>, Failure> {
    let mut file = open(file.to_owned()).await?;
    let address = file.get(SECTION, "api_base_url").map(str::to_owned);
    file.remove(SECTION, "api_key");
    file.remove(SECTION, "api_base_url");
    file.save()?;
    Ok(address)
}

fn named(file: &SettingsFile) -> Option<BaseUrl> {
    BaseUrl::of(file.get(SECTION, "api_base_url")?)
}

fn keep(file: &mut SettingsFile, base: &BaseUrl, key: &str) -> Result<(), Failure> {
    file.set(SECTION, "api_base_url", base.as_str());
    file.set(SECTION, "api_key", key);
    Ok(file.save()?)
}

/// Opens the settings file without holding up what else this process does: another one may be registering.
async fn open(file: PathBuf) -> Result<SettingsFile, Failure> {
    let opened = tokio::task::spawn_blocking(move || SettingsFile::open(&file)).await;
    let opened =
        opened.map_err(|err| Failure::new(format!("cannot open the settings file: {err}")))?;
    Ok(opened?)
}

/// Gets an account under a name that nothing follows from, and returns its key.
async fn register(remote: &Remote) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Registered {
        api_key: String,
    }
    let name: String = Ids::Random
        .random_bytes::<4>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let body = json!({ "display_name": format!("agent-{name}") });
    let request = Request {
        method: "POST",
        path: "/api/v1/keys",
        body: Some(&body),
        idempotency_key: None,
        deadline: PATIENCE,
        twice: false,
    };
    let origin = remote.origin();
    let answer = remote
        .send(request)
        .await
        .map_err(|lost| away(lost.into()))?;
    if !(200..300).contains(&answer.status) {
        let said = detail(&answer.body).unwrap_or_else(|| "it gives no account".to_owned());
        return Err(Failure::new(format!("{origin} refused: {said} (HTTP {})", answer.status))
            .code(Failure::REFUSED)
            .hint("with a key from whoever runs that server: `commontrace remote add URL --key-stdin`"));
    }
    let read: Registered = serde_json::from_slice(&answer.body).map_err(|_| {
        Failure::new(format!(
            "{origin} is no CommonTrace server: its answer is none of this API"
        ))
        .code(Failure::REFUSED)
        .hint("see whether the address is right")
    })?;
    // What cannot be sent in a header would make the settings file one that no command reads.
    let is_key = (1..=KEY_MAX).contains(&read.api_key.len())
        && read.api_key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_key {
        return Err(Failure::new(format!("{origin} gave a key that is none"))
            .code(Failure::REFUSED)
            .hint("see whether the address is right; nothing was changed"));
    }
    Ok(read.api_key)
}

/// Asks a server whether its key is good.
pub async fn standing(remote: &Remote) -> Standing {
    #[derive(Deserialize)]
    struct Verified {
        user_id: String,
    }
    let request = Request {
        method: "GET",
        path: "/api/v1/keys/verify",
        body: None,
        idempotency_key: None,
        deadline: PATIENCE,
        twice: true,
    };
    match remote.send(request).await.map_err(Away::from) {
        Ok(answer) if answer.status == 200 => {
            match serde_json::from_slice::<Verified>(&answer.body) {
                Ok(verified) => Standing::Good(verified.user_id),
                Err(_) => {
                    Standing::Unknown(format!("{} is no CommonTrace server", remote.origin()))
                }
            }
        }
        Ok(answer) => {
            let said = detail(&answer.body).unwrap_or_else(|| "refused".to_owned());
            let said = format!("{said} (HTTP {})", answer.status);
            if matches!(answer.status, 401 | 403) {
                Standing::Refused(said)
            } else {
                Standing::Unknown(format!("{} answered: {said}", remote.origin()))
            }
        }
        Err(Away::Unavailable(why) | Away::NoAnswer(why) | Away::Unconfigured(why)) => {
            Standing::Unknown(why)
        }
    }
}

/// Says to a person that nothing came back.
pub fn away(away: Away) -> Failure {
    let is_unset = matches!(away, Away::Unconfigured(_));
    let (Away::Unavailable(why) | Away::NoAnswer(why) | Away::Unconfigured(why)) = away;
    let failure = Failure::new(why.trim_end_matches('.'));
    if is_unset {
        // What is missing stands in the sentence.
        failure.code(Failure::REFUSED)
    } else {
        failure
            .code(Failure::AWAY)
            .hint("`commontrace doctor` looks for the cause; --offline goes on without the server")
    }
}

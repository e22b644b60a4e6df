//! The commands of a person who uses the commons: search, read, contribute, vote, and see what left the
//! machine. What they share is here: asking both stores, saying what went wrong, and the exit codes.
//!
//! 0 found or done, 1 nothing found, 2 wrong usage or settings, 3 nobody answered, 4 refused, 5 held back.

pub mod amend;
mod asked;
mod consent;
pub mod contribute;
pub mod forget;
pub mod get;
pub mod log;
pub mod redact;
pub mod remote;
pub mod search;
mod show;
mod standing;
pub mod status;
mod template;
mod terminal;
pub mod vote;

use std::process::ExitCode;

use commontrace_mcp::{Answer, Backend as _, Call, detail};
use serde::de::DeserializeOwned;

use super::{complain, say};
use crate::commons::{Both, Delivered, account};
use crate::config::{Config, SearchScope};
use crate::failure::Failure;

/// Runs a command on this machine's store and the server's, sends what waited if the server answers, and
/// closes the store.
pub async fn with_both<T>(
    config: Config,
    command: &str,
    run: impl AsyncFnOnce(&Both) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let both = Both::new(config, command)?;
    let done = run(&both).await;
    if both
        .remote()
        .is_some_and(crate::commons::remote::Remote::has_answered)
    {
        tell_delivered(&both.deliver_waiting().await);
    }
    both.close().await;
    done
}

/// Says what became of contributions that had waited.
fn tell_delivered(done: &Delivered) {
    for (title, id) in &done.taken {
        complain(&format!(
            "published `{}`, which had waited: {id}",
            terminal::one_line(title)
        ));
    }
    for (title, reason) in &done.refused {
        complain(&format!(
            "not published, though it had waited: `{}`: {reason}",
            terminal::one_line(title)
        ));
    }
}

/// Sends a request and reads the answer. What is refused or not answered is a failure with its exit code.
pub async fn ask<T: DeserializeOwned>(both: &Both, call: &Call) -> Result<T, Failure> {
    let answer = both.send(call).await.map_err(account::away)?;
    read(&answer)
}

/// Reads an answer likewise.
pub fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    if !(200..300).contains(&answer.status) {
        return Err(refused(answer));
    }
    serde_json::from_slice(&answer.body).map_err(|err| {
        Failure::new(format!("the answer is none of this API ({err})"))
            .code(Failure::REFUSED)
            .hint("`commontrace remote show` names the server that was asked")
    })
}

/// Says why a request was refused and what to do.
fn refused(answer: &Answer) -> Failure {
    let said = detail(&answer.body).unwrap_or_else(|| "refused".to_owned());
    let failure = Failure::new(format!("{said} (HTTP {})", answer.status));
    let failure = failure.code(Failure::REFUSED);
    match answer.status {
        401 => failure.hint(
            "the key is missing, revoked or another server's; `commontrace remote add URL --register` gets a new one",
        ),
        404 => failure.code(1),
        429 => match answer.retry_after {
            Some(seconds) => failure.hint(format!("try again in {seconds} s")),
            None => failure.hint("try again in a minute"),
        },
        300..=399 => failure.hint("name the server's final address with `commontrace remote add URL`"),
        500.. => failure.code(Failure::AWAY).hint("try again later; --offline goes on without the server"),
        _ => failure,
    }
}

/// Shows what a request would send and where, byte for byte, and sends nothing.
pub async fn dry_run(config: &Config, both: &Both, call: &Call) -> Result<ExitCode, Failure> {
    match both.destination(call).await.map_err(account::away)? {
        Some(host) => {
            let path = config
                .remote
                .api_base_url
                .as_ref()
                .map(|base| base.path(&call.path()));
            say(format_args!(
                "{} {host}{}",
                call.method(),
                path.unwrap_or_else(|| call.path())
            ));
            if let Some(body) = call.body() {
                say(body);
            }
        }
        None if config.remote.search != SearchScope::Network && matches!(call, Call::Search(_)) => {
            say("It would go to this machine's store alone: the settings keep searches here.");
        }
        None => say("It would go to this machine's store alone."),
    }
    say("Nothing was sent.");
    Ok(ExitCode::SUCCESS)
}

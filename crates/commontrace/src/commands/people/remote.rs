//! `commontrace remote`: the server that is this machine's shared commons.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use commontrace_server::error::chain;

use super::standing::ServerStanding;
use super::terminal::{self, one_line};
use super::with_both;
use crate::commands::{complain, say};
use crate::commons::account::{self, KeyFrom, Standing};
use crate::commons::remote::Remote;
use crate::config::{BaseUrl, Config, ConfigArgs, Environment, settings_path};
use crate::failure::Failure;

/// What to do with the server.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Use a server's commons beside this machine's store; makes an account there unless a key is given
    Add {
        /// The server's address: https://…, or http://… on this machine
        #[arg(value_name = "URL", value_parser = address)]
        url: BaseUrl,
        /// Read your key for it from standard input
        #[arg(long, conflicts_with = "register")]
        key_stdin: bool,
        /// Make a new account even if the settings hold a key for it
        #[arg(long)]
        register: bool,
    },
    /// Use this machine's store alone; the settings file forgets server and key
    Remove,
    /// Show the server and ask it whether the key is good
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Reads the address of a server.
pub fn address(text: &str) -> Result<BaseUrl, &'static str> {
    BaseUrl::of(text).ok_or(
        "an address begins with https://, or with http:// if it is on this machine, and has no user, password or query",
    )
}

/// Runs a subcommand.
pub async fn run(
    config: Config,
    command: Command,
    flags: &ConfigArgs,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    let file = settings_path(flags, env).ok_or_else(|| {
        Failure::new("there is no place for a settings file: the home directory is unknown (HOME is not set)")
            .hint("name a file with --config")
    });
    match command {
        Command::Add {
            url,
            key_stdin,
            register,
        } => {
            let file = file?;
            if key_stdin {
                with_own_key(&config, &file, &url).await?;
            } else {
                with_account(&config, &file, &url, register).await?;
            }
            say(format_args!(
                "Searches go to this machine's store and to {0}. What you contribute is published on {0} after you have seen the \
                 text and agreed; `commontrace contribute --private` keeps it here.",
                url.origin()
            ));
            overruled(env);
            Ok(ExitCode::SUCCESS)
        }
        Command::Remove => remove(&file?).await,
        Command::Show { json } => show(config, json).await,
    }
}

/// Names the server with the key on standard input, once it is known to be good.
async fn with_own_key(config: &Config, file: &Path, url: &BaseUrl) -> Result<(), Failure> {
    let mut key = String::new();
    std::io::stdin().read_to_string(&mut key).map_err(|err| {
        Failure::new(format!("cannot read the key from standard input: {err}")).code(2)
    })?;
    let key = key.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(
            Failure::new("there is no key on standard input, or more than one")
                .code(2)
                .hint("for example: `commontrace remote add URL --key-stdin < key.txt`"),
        );
    }
    let remote = Remote::at(url.clone(), Some(key.to_owned()), config, "remote add")?;
    match account::standing(&remote).await {
        Standing::Good(account) => {
            account::keep_key(file, url, key).await?;
            say(format_args!(
                "The key is good (account {}) and kept in {}.",
                one_line(&account),
                file.display()
            ));
            Ok(())
        }
        Standing::Refused(why) => Err(Failure::new(format!(
            "{} refuses this key: {why}",
            url.origin()
        ))
        .code(Failure::REFUSED)
        .hint("nothing was changed; see whether it is the key for this server")),
        Standing::Unknown(why) => Err(Failure::new(why.trim_end_matches('.'))
            .code(Failure::AWAY)
            .hint("nothing was changed; see whether the address is right")),
    }
}

/// Names the server with the key that is kept for it, or that of a new account.
async fn with_account(
    config: &Config,
    file: &Path,
    url: &BaseUrl,
    renew: bool,
) -> Result<(), Failure> {
    let file_name = file.display();
    match account::ensure_key(config, file, url, renew, "remote add").await? {
        KeyFrom::Registered => say(format_args!(
            "Made an account without name or address; its key is kept in {file_name}."
        )),
        KeyFrom::Kept => say(format_args!("The key in {file_name} stays in use.")),
    }
    Ok(())
}

/// Warns of variables that win over what was just written.
fn overruled(env: &Environment) {
    for name in ["COMMONTRACE_API_BASE_URL", "COMMONTRACE_API_KEY"] {
        if env.get(name).is_some_and(|value| !value.is_empty()) {
            complain(&format!(
                "warning: {name} is set and wins over the settings file"
            ));
        }
    }
}

async fn remove(file: &Path) -> Result<ExitCode, Failure> {
    if !file.exists() {
        complain("no server is named: there is no settings file");
        return Ok(ExitCode::from(1));
    }
    match account::forget(file).await? {
        Some(address) => {
            say(format_args!(
                "{} no longer names {address} nor holds a key for it. The account there goes on to exist.",
                file.display()
            ));
            Ok(ExitCode::SUCCESS)
        }
        None => {
            complain(&format!("no server is named in {}", file.display()));
            Ok(ExitCode::from(1))
        }
    }
}

async fn show(config: Config, json: bool) -> Result<ExitCode, Failure> {
    with_both(config.clone(), "remote show", async |both| {
        let standing = ServerStanding::of(both, &config).await;
        if json {
            let text = serde_json::to_string_pretty(&standing);
            say(terminal::harmless_json(&text.map_err(|err| Failure::new(chain(&err)))?));
        } else {
            match &standing {
                Some(standing) => say(standing.to_line()),
                None => say("No server: this machine's store alone. `commontrace remote add URL` names one."),
            }
        }
        Ok(standing.map_or(ExitCode::from(1), |standing| standing.code()))
    })
    .await
}

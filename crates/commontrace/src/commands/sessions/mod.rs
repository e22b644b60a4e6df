//! `commontrace sessions`: recorded sessions in the store of this machine's settings.

mod draft;
pub mod events;
mod export;
mod finalize;
mod import;
mod list;
mod prune;
mod validate;
mod watch;

use commontrace_core::UserId;
use commontrace_store::Store;
use uuid::Uuid;

use crate::config::{Config, Environment};
use crate::failure::Failure;
use crate::local_user;

/// What to do with sessions.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Import what coding agents have recorded
    Import(import::Args),
    /// Write a session in a format that others read
    Export(export::Args),
    /// Check a file against the rules of ATIF
    Validate(validate::Args),
    /// List sessions, newest first
    List(list::Args),
    /// Run a session's tests before and after the fix, and judge it
    Finalize(finalize::Args),
    /// Draft a trace of a session
    Draft(draft::Args),
    /// Delete sessions that nothing was added to for long
    Prune(prune::Args),
    /// Follow the folders of coding agents and import what they add
    Watch(watch::Args),
}

/// Whose sessions.
#[derive(Debug, clap::Args)]
pub struct Owner {
    /// The account that the sessions belong to; without it, that of the local user
    #[arg(long, value_name = "USER_ID")]
    account: Option<Uuid>,
}

/// Runs a subcommand.
pub async fn run(config: Config, env: Environment, command: Command) -> Result<(), Failure> {
    match command {
        Command::Import(args) => import::run(config, args).await,
        Command::Export(args) => export::run(config, args).await,
        Command::Validate(args) => validate::run(&args),
        Command::List(args) => list::run(config, args).await,
        Command::Finalize(args) => Box::pin(finalize::run(config, env, args)).await,
        Command::Draft(args) => draft::run(config, args).await,
        Command::Prune(args) => prune::run(config, args).await,
        Command::Watch(args) => watch::run(config, env, args).await,
    }
}

impl Owner {
    /// Returns the account, which is made if it is the local user's and new.
    pub async fn account(&self, store: &Store) -> Result<UserId, Failure> {
        if let Some(id) = self.account {
            let id = UserId(id);
            return match store.account(id).await? {
                Some(_) => Ok(id),
                None => Err(Failure::new(format!("no account has the id {id}"))
                    .hint("GET /api/v1/keys/verify answers with the id of a key's account")),
            };
        }
        local_user::ensure(store).await?;
        Ok(local_user::ID)
    }
}

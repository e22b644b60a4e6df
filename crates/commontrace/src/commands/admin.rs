//! `commontrace admin`: what the operator does past the API.

use std::io::Read as _;
use std::str::FromStr;

use commontrace_core::{TraceId, UserId, email};
use commontrace_server::clock::Clock;
use commontrace_server::ids::Ids;
use commontrace_store::{CreateAccount, NewAccount, Store};

use super::{jobs, say};
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Create a moderator and print the API key, or make an existing account one
    CreateModerator {
        /// Make this account a moderator instead of creating one
        #[arg(long, value_name = "ID", value_parser = id::<UserId>, conflicts_with_all = ["email", "name"])]
        user: Option<UserId>,
        /// The new account's e-mail address
        #[arg(long, value_parser = email::normalize)]
        email: Option<String>,
        /// The name to show
        #[arg(long)]
        name: Option<String>,
    },
    /// Revoke all keys of an account, or one key read from standard input
    RevokeKey {
        /// The account whose keys are revoked; without it the key is read from standard input
        #[arg(long, value_name = "ID", value_parser = id::<UserId>)]
        user: Option<UserId>,
    },
    /// Hide a trace from everybody but its contributor and moderators
    Hide {
        /// The trace's id
        #[arg(value_parser = id::<TraceId>)]
        trace: TraceId,
    },
    /// Show a hidden trace again and settle its flags
    Restore {
        /// The trace's id
        #[arg(value_parser = id::<TraceId>)]
        trace: TraceId,
    },
    /// Show the embedding jobs, or try again those that were given up
    Jobs(jobs::Args),
    /// Count what is in the store
    Stats {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn id<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| {
        "must be an id such as 3f0c9a4e-5b1d-4c57-9c1e-2a7d8e6b0f14, as the API's answers carry it"
    })
}

/// Carries out one of them.
pub async fn run(config: Config, command: Command) -> Result<(), Failure> {
    let store = start::store(&config).await?;
    let done = match command {
        Command::CreateModerator {
            user: Some(user), ..
        } => promote(&store, user).await,
        Command::CreateModerator { email, name, .. } => {
            create_moderator(&config, &store, email, name).await
        }
        Command::RevokeKey { user } => revoke(&config, &store, user).await,
        Command::Hide { trace } => {
            let (audit, now) = (Ids::Random.uuid(), Clock::System.now());
            found(
                store.hide_trace(trace, None, audit, now).await?.is_some(),
                trace,
                "hidden",
            )
        }
        Command::Restore { trace } => {
            let (audit, now) = (Ids::Random.uuid(), Clock::System.now());
            found(
                store
                    .restore_trace(trace, None, audit, now)
                    .await?
                    .is_some(),
                trace,
                "restored",
            )
        }
        Command::Jobs(args) => jobs::run(&store, args).await,
        Command::Stats { json } => stats(&store, json).await,
    };
    store.close().await;
    done
}

async fn promote(store: &Store, user: UserId) -> Result<(), Failure> {
    if !store.make_moderator(user).await? {
        return Err(Failure::new(format!("no account has the id {user}")));
    }
    say(format_args!("{user} is a moderator now"));
    Ok(())
}

async fn create_moderator(
    config: &Config,
    store: &Store,
    email: Option<String>,
    name: Option<String>,
) -> Result<(), Failure> {
    let api_keys = start::api_keys(config, store).await?;
    let key = api_keys.generate(&Ids::Random);
    let new = NewAccount {
        id: Ids::Random.id(),
        email,
        display_name: name,
        can_contribute: true,
        is_moderator: true,
        is_seed: false,
        key_hash: Some(api_keys.hash(key.as_bytes()).to_vec()),
    };
    let id = new.id;
    match store.create_account(new, Clock::System.now()).await? {
        CreateAccount::EmailTaken => {
            Err(Failure::new("an account with this address exists already")
                .hint("make it a moderator with `commontrace admin create-moderator --user ID`"))
        }
        CreateAccount::Created => {
            say(format_args!("user_id: {id}"));
            say(format_args!("api_key: {key}"));
            Ok(())
        }
    }
}

async fn revoke(config: &Config, store: &Store, user: Option<UserId>) -> Result<(), Failure> {
    let now = Clock::System.now();
    if let Some(user) = user {
        let revoked = store.revoke_keys_of(user, now).await?;
        if revoked == 0 {
            return Err(Failure::new(format!(
                "no account with the id {user} has a key in use"
            )));
        }
        say(format_args!("revoked {revoked} keys of {user}"));
        return Ok(());
    }
    // A key on the command line would be seen by every user of the machine.
    let mut key = String::new();
    std::io::stdin()
        .take(1024)
        .read_to_string(&mut key)
        .map_err(|err| Failure::new(format!("cannot read the key from standard input: {err}")))?;
    let hash = start::api_keys(config, store)
        .await?
        .hash(key.trim().as_bytes())
        .to_vec();
    if !store.revoke_key(hash, now).await? {
        return Err(Failure::new(
            "no account has this key, or it was revoked before",
        ));
    }
    say("revoked the key");
    Ok(())
}

fn found(found: bool, id: TraceId, done: &str) -> Result<(), Failure> {
    if !found {
        return Err(Failure::new(format!("no trace has the id {id}")));
    }
    say(format_args!("{id} is {done}"));
    Ok(())
}

async fn stats(store: &Store, json: bool) -> Result<(), Failure> {
    let stats = store.stats().await?;
    let rows = [
        ("users", stats.users),
        ("api_keys", stats.api_keys),
        ("traces", stats.traces),
        ("seed_traces", stats.seed_traces),
        ("validated_traces", stats.validated_traces),
        ("hidden_traces", stats.hidden_traces),
        ("votes", stats.votes),
        ("amendments", stats.amendments),
        ("embeddings", stats.embeddings),
        ("queued_jobs", stats.queued_jobs),
        ("dead_jobs", stats.dead_jobs),
    ];
    if json {
        let object: serde_json::Map<_, _> = rows
            .iter()
            .map(|&(name, count)| (name.to_owned(), count.into()))
            .collect();
        say(serde_json::Value::Object(object));
        return Ok(());
    }
    for (name, count) in rows {
        say(format_args!("{name:<18}{count:>10}"));
    }
    Ok(())
}

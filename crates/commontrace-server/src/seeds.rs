//! Imports the starter traces: through the same gate as any contribution, once each.

use chrono::{DateTime, Utc};
use commontrace_core::reputation::Standing;
use commontrace_core::seed::{self, Seed, SeedError};
use commontrace_core::{Status, TraceId, UserId};
use commontrace_store::{NewAccount, NewJob, NewTrace, Patch, Store, Trace};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::intake::Redactor;

/// The account that owns the starter traces; the same in every store.
const SEED_ACCOUNT: UserId = UserId(Uuid::from_u128(0x5eed_0000_0000_4000_8000_0000_0000_0000));

/// A starter trace's file: its name and content.
pub type SeedFile<'a> = (&'a str, &'a str);

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Traces that were not there before.
    pub added: usize,
    /// Traces whose file had changed.
    pub updated: usize,
    /// Traces that were left as they are: the same, or deleted by a moderator.
    pub unchanged: usize,
}

/// Why an import stopped. What was imported before stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file is not a starter trace.
    #[error("starter trace {file}: {source}")]
    File {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        source: SeedError,
    },
    /// A file holds what the gate would replace.
    #[error("starter trace {file}: holds what looks like a secret or personal data ({rule})")]
    Redacted {
        /// The file's name.
        file: String,
        /// The rule that fired.
        rule: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] commontrace_store::Error),
}

/// Imports starter traces; running it again changes only what the files have changed.
///
/// All files are checked before the first is stored. `embed` makes the embedding jobs of a trace. Of
/// several processes that import at once, one does and the others find it done.
pub async fn import(
    store: &Store,
    files: &[SeedFile<'_>],
    embed: impl Fn() -> Vec<NewJob>,
    now: DateTime<Utc>,
) -> Result<Imported, ImportError> {
    let seeds = files.iter().map(check).collect::<Result<Vec<_>, _>>()?;
    let lock = store.lock().await?;
    let imported = import_checked(store, files, seeds, embed, now).await;
    lock.release().await;
    imported
}

async fn import_checked(
    store: &Store,
    files: &[SeedFile<'_>],
    seeds: Vec<Seed>,
    embed: impl Fn() -> Vec<NewJob>,
    now: DateTime<Utc>,
) -> Result<Imported, ImportError> {
    store.create_account(account(), now).await?;
    let mut imported = Imported::default();
    for ((name, _), seed) in files.iter().zip(seeds) {
        let id = trace_id(name);
        match store.trace(id).await? {
            Some(trace) if is_same(&trace, &seed) => imported.unchanged += 1,
            Some(_) => {
                store
                    .update_trace(id, SEED_ACCOUNT, patch(seed, embed()), now)
                    .await?;
                imported.updated += 1;
            }
            // What a moderator has deleted does not come back with the next start.
            None if store.was_deleted(id).await? => imported.unchanged += 1,
            None => {
                store
                    .contribute(new_trace(id, seed, embed()), None, now)
                    .await?;
                imported.added += 1;
            }
        }
    }
    Ok(imported)
}

/// Parses one file and makes sure that the gate would change nothing in it.
pub fn check((name, text): &SeedFile<'_>) -> Result<Seed, ImportError> {
    let seed = seed::parse(text).map_err(|source| ImportError::File {
        file: (*name).to_owned(),
        source,
    })?;
    let mut redactor = Redactor::default();
    for text in [&seed.title, &seed.context_text, &seed.solution_text] {
        redactor.text("", text);
    }
    match redactor.finish().into_iter().next() {
        Some(found) => Err(ImportError::Redacted {
            file: (*name).to_owned(),
            rule: found.rule,
        }),
        None => Ok(seed),
    }
}

/// Returns the id of the trace in a file: the same in every store, so that a second import finds
/// what the first has made.
fn trace_id(file: &str) -> TraceId {
    let hash = Sha256::digest(file.as_bytes());
    let (bytes, _) = hash
        .split_first_chunk::<16>()
        .expect("a SHA-256 hash has 32 bytes");
    TraceId(Builder::from_random_bytes(*bytes).into_uuid())
}

fn account() -> NewAccount {
    NewAccount {
        id: SEED_ACCOUNT,
        email: None,
        display_name: Some("CommonTrace".to_owned()),
        can_contribute: true,
        is_moderator: false,
        is_seed: true,
        key_hash: None,
    }
}

fn is_same(trace: &Trace, seed: &Seed) -> bool {
    trace.title == seed.title
        && trace.context_text == seed.context_text
        && trace.solution_text == seed.solution_text
        && trace.tags.0 == seed.tags
}

fn patch(seed: Seed, embed: Vec<NewJob>) -> Patch {
    Patch {
        title: Some(seed.title),
        context_text: Some(seed.context_text),
        solution_text: Some(seed.solution_text),
        tags: Some(seed.tags),
        embed,
        ..Patch::default()
    }
}

fn new_trace(id: TraceId, seed: Seed, embed: Vec<NewJob>) -> NewTrace {
    let standing = Standing {
        is_seed: true,
        ..Standing::default()
    };
    NewTrace {
        id,
        contributor_id: SEED_ACCOUNT,
        title: seed.title,
        context_text: seed.context_text,
        solution_text: seed.solution_text,
        tags: seed.tags,
        context: seed.context,
        metadata_json: None,
        agent_model: None,
        agent_version: None,
        is_seed: true,
        status: Status::Validated,
        trust_score: standing.trust(),
        review_after: None,
        watch_condition: None,
        supersedes: None,
        evidence: None,
        embed,
    }
}

//! `commontrace verify`: whether a verdict is the one that was signed, about the events that are here, and
//! whether running the tests again gives the same.

mod compare;
mod rerun;

use std::path::{Path, PathBuf};

use commontrace_judge::sign::{Fault, KEY_FILE, PublicKey, SignedVerdict, check_signature};
use commontrace_judge::verdict::Fix;
use commontrace_server::sessions::EventReader;
use commontrace_store::{Session, Store};
use serde_json::Value;

use super::sessions::{Owner, events};
use super::{read_text, say};
use crate::config::{Config, Environment};
use crate::examiner;
use crate::failure::Failure;
use crate::start;

/// The most bytes of a verdict.
const LONGEST: usize = 64 << 20;

/// What to verify, and how far.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The signed verdict, or the whole answer of GET /traces/ID/runs/RUN or
    /// GET /api/v1/traces/ID/evidence; `-` reads standard input
    #[arg(required_unless_present = "show_key")]
    file: Option<PathBuf>,
    /// The public key that it has to be signed with; without it, this machine's
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    key: Option<PublicKey>,
    /// The session in this store whose events it has to be about
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    owner: Owner,
    /// Run the session's tests again, from a fresh clone, and compare
    #[arg(long, requires = "session")]
    rerun: bool,
    /// Print the public key of this machine
    #[arg(long, conflicts_with_all = ["file", "key", "session", "rerun"])]
    show_key: bool,
}

fn public_key(text: &str) -> Result<PublicKey, &'static str> {
    PublicKey::parse(text).ok_or("a public key is 64 hexadecimal digits")
}

/// Says what holds, or fails with the first thing that does not.
pub async fn run(config: Config, env: Environment, args: Args) -> Result<(), Failure> {
    if args.show_key {
        say(examiner::signing_key(&config)?.public());
        return Ok(());
    }
    let signed = read(args.file.as_deref().unwrap_or(Path::new("-")))?;
    let trusted = match &args.key {
        Some(key) => key.clone(),
        None => own_key(&config)?,
    };
    check_signature(&signed, &trusted).map_err(|fault| failure(&fault))?;
    say(format_args!("signature: holds, by the key {trusted}"));
    say(format_args!("verdict: {}", summary(&signed)));
    say(format_args!("about: {}", about(&signed)));
    let Some(id) = &args.session else {
        say("events: not compared; --session names the session that they are in");
        return Ok(());
    };
    let store = start::store(&config).await?;
    let user = args.owner.account(&store).await?;
    let session = events::find(&store, user, id).await?;
    let added = compare_events(&store, &session, &signed).await?;
    say(format_args!(
        "events: all {} are those that it is about; {added} were added since",
        signed.chain.events
    ));
    if args.rerun {
        rerun::run(&config, &env, &store, session, &signed).await?;
    }
    store.close().await;
    Ok(())
}

/// Compares the events of a session with the chain, and returns how many there are beyond it.
async fn compare_events(
    store: &Store,
    session: &Session,
    signed: &SignedVerdict,
) -> Result<u64, Failure> {
    let reader = EventReader::as_stored(store.clone(), session.key, 0, session.last_seq);
    let chain = signed.chain.clone();
    events::take(reader, move |events| chain.check(events))
        .await?
        .map_err(|broken| failure(&Fault::Chain(broken)))
}

/// Reads a signed verdict, also where it is part of an answer about its run or about a trace's evidence.
fn read(path: &Path) -> Result<SignedVerdict, Failure> {
    let (name, text) = read_text(path, LONGEST)?;
    let wrong = |what: String| {
        Failure::new(format!("{name} holds no signed verdict: {what}"))
            .hint("GET /traces/ID/runs/RUN and GET /api/v1/traces/ID/evidence answer with one")
    };
    let mut value: Value = serde_json::from_str(&text).map_err(|err| wrong(err.to_string()))?;
    if value.get("run_id").is_some() {
        value = value["verdict"].take();
        if value.is_null() {
            return Err(wrong("the run has none".to_owned()));
        }
    } else if let Some(signed) = value.get_mut("signed_verdict") {
        value = signed.take();
    }
    serde_json::from_value(value).map_err(|err| wrong(err.to_string()))
}

/// The key of this machine. None is made here: nothing could be signed with it.
fn own_key(config: &Config) -> Result<PublicKey, Failure> {
    let file = config.storage.data_dir.join(KEY_FILE);
    if !file.exists() {
        return Err(
            Failure::new(format!("there is no key at {}", file.display())).hint(
                "give the key of whoever signed it with --key; `commontrace verify --show-key` prints it there",
            ),
        );
    }
    Ok(examiner::signing_key(config)?.public())
}

/// What a verdict says, in a few words.
fn summary(signed: &SignedVerdict) -> String {
    let Ok(results) = signed.results() else {
        return "of a shape that this version does not know".to_owned();
    };
    let status = serde_json::to_value(results.coverage.tests).unwrap_or_default();
    let score = results
        .score
        .map_or_else(|| "no score".to_owned(), |score| format!("score {score}"));
    format!(
        "{}, {score}, {} of {} dimensions judged",
        status.as_str().unwrap_or_default(),
        results.coverage.dimensions_judged,
        results.coverage.dimensions
    )
}

/// Which change a verdict is about.
fn about(signed: &SignedVerdict) -> String {
    let Some(about) = signed.results().ok().and_then(|results| results.about) else {
        return "which repository and commits, it does not say".to_owned();
    };
    // All three come from a file that anybody can have made; none may pretend to be a line of ours.
    let after = match about.fix {
        Fix::Commit => format!("{:?}", about.commit_after),
        Fix::Edits => "the session's edits".to_owned(),
    };
    format!(
        "{after} on {:?} of {:?}",
        about.commit_before, about.repository
    )
}

fn failure(fault: &Fault) -> Failure {
    let failure = Failure::new(format!("the verdict does not hold: {fault}"));
    match fault {
        Fault::Key { .. } => failure.hint(
            "if it was signed elsewhere, ask there for the key (`commontrace verify --show-key`) and give it \
             with --key",
        ),
        _ => failure,
    }
}

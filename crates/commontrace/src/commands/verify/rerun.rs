//! Running the tests of a verdict again.

use commontrace_judge::sign::SignedVerdict;
use commontrace_sandbox::CancellationToken;
use commontrace_server::sessions::examine::{Examiner as _, Stage, Subject, Watch};
use commontrace_server::sessions::present::Kept;
use commontrace_store::{RunState, Session, Store};
use commontrace_verify::{Status, Verdict};
use serde_json::Value;
use tokio::sync::watch;

use super::compare::differences;
use crate::commands::sessions::events;
use crate::commands::{complain, interruption, say};
use crate::config::{Config, Environment};
use crate::examiner;
use crate::failure::Failure;

/// Runs them and compares what comes out.
pub async fn run(
    config: &Config,
    env: &Environment,
    store: &Store,
    session: Session,
    signed: &SignedVerdict,
) -> Result<(), Failure> {
    let before: Verdict = serde_json::from_value(verification_of(signed).clone()).map_err(|err| {
        Failure::new(format!(
            "the verification that was signed is of a shape that this version does not know: {err}"
        ))
    })?;
    let through = signed.verdict["events_through_seq"].as_i64();
    let asked = verification_of(signed)["request"].clone();
    let request = serde_json::from_value(asked).map_err(|err| {
        Failure::new(format!(
            "the verdict does not say what was asked for: {err}"
        ))
    })?;
    let subject = Subject::new(
        store.clone(),
        session.key,
        through.unwrap_or(session.last_seq),
        Kept::parse(&session.header)
            .map_err(events::failure)?
            .session,
        request,
    );
    let again = verify(config, env, &subject).await?;
    if matches!(again.status, Status::Infrastructure | Status::NotRun)
        && again.status != before.status
    {
        return Err(
            Failure::new(format!("the tests could not be run again: {}", again.message)).hint(
                "this says nothing about the verdict; COMMONTRACE_VERIFY_PROTOCOLS says how repositories may be \
                 fetched, COMMONTRACE_VERIFY_SETUP_NETWORK whether dependencies may",
            ),
        );
    }
    let differences = differences(&before, &again);
    if !differences.is_empty() {
        return Err(Failure::new(format!(
            "running the tests again gives something else:\n{}",
            differences.join("\n")
        )));
    }
    say(format_args!(
        "rerun: {} again, with the same tests in every set; {} runs of each state",
        status(again.status),
        again.runs_per_side
    ));
    Ok(())
}

fn verification_of(signed: &SignedVerdict) -> &Value {
    &signed.verdict["verification"]
}

/// Runs the tests where nothing of an earlier run can be found.
async fn verify(config: &Config, env: &Environment, subject: &Subject) -> Result<Verdict, Failure> {
    let data = &config.storage.data_dir;
    let fresh = tempfile::Builder::new()
        .prefix("rerun-")
        .tempdir_in(data)
        .map_err(|err| {
            Failure::new(format!("cannot make a folder in {}: {err}", data.display()))
        })?;
    let examiner = examiner::verifier(config, env, fresh.path().to_owned())?;
    let (stage, mut watched) = watch::channel(Stage {
        state: RunState::Preparing,
        detail: Value::Null,
    });
    let watch = Watch {
        stage,
        cancel: CancellationToken::new(),
    };
    let interruption = interruption()?;
    let cancel = watch.cancel.clone();
    let waiting = tokio::spawn(async move {
        interruption.await;
        cancel.cancel();
    });
    let telling = tokio::spawn(async move {
        while watched.changed().await.is_ok() {
            complain(&step(&watched.borrow_and_update().detail));
        }
    });
    let done = examiner.verify(subject, &watch).await;
    waiting.abort();
    telling.abort();
    let done = done.map_err(Failure::new)?;
    if watch.cancel.is_cancelled() {
        return Err(Failure::new("it was interrupted"));
    }
    serde_json::from_value(done)
        .map_err(|err| Failure::new(format!("the verification is unreadable: {err}")))
}

/// A step in words: `running base 2 of 3`.
fn step(detail: &Value) -> String {
    let word = |name: &str| match &detail[name] {
        Value::String(text) => Some(text.replace('_', " ")),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let mut words: Vec<String> = ["phase", "side", "run"]
        .into_iter()
        .filter_map(word)
        .collect();
    if let Some(of) = word("of") {
        words.push(format!("of {of}"));
    }
    words.join(" ")
}

fn status(status: Status) -> String {
    match serde_json::to_value(status) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

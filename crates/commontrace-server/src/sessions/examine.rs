//! What a run asks of whoever can run tests and judge reasoning.

use std::fmt;

use async_trait::async_trait;
use commontrace_api::finalize::RunRequest;
use commontrace_core::SessionKey;
use commontrace_judge::words::Wording;
use commontrace_session::Session;
use commontrace_store::{RunState, Store};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::EventReader;

/// A session to examine.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where its events are.
    pub store: Store,
    /// Identifies it in the store.
    pub key: SessionKey,
    /// Its events up to this number are examined.
    pub events_through: i64,
    /// What it says of itself, with what the request says in its place.
    pub session: Session,
    /// The command by which its events ran tests: its own, whatever else is run to verify it.
    pub recorded_test_command: String,
    /// What was asked for.
    pub request: RunRequest,
}

impl Subject {
    /// Puts a session together with what is asked for it.
    pub fn new(
        store: Store,
        key: SessionKey,
        events_through: i64,
        mut session: Session,
        request: RunRequest,
    ) -> Self {
        let recorded = session.repo.test_command.clone();
        let (repo, said) = (&mut session.repo, &request.repo);
        for (text, instead) in [
            (&mut repo.url, &said.url),
            (&mut repo.commit_before, &said.commit_before),
            (&mut repo.commit_after, &said.commit_after),
            (&mut repo.test_command, &said.test_command),
        ] {
            if let Some(instead) = instead {
                text.clone_from(instead);
            }
        }
        let recorded_test_command = if recorded.is_empty() {
            session.repo.test_command.clone()
        } else {
            recorded
        };
        Self {
            store,
            key,
            events_through,
            session,
            recorded_test_command,
            request,
        }
    }

    /// Reads its events as they were stored, from the first one on.
    pub fn events(&self) -> EventReader {
        EventReader::as_stored(self.store.clone(), self.key, 0, self.events_through)
    }
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The state that its owner sees.
    pub state: RunState,
    /// More about it, such as which of how many runs of the tests.
    pub detail: Value,
}

/// What joins an examination with whoever waits for it.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Where it is.
    pub stage: watch::Sender<Stage>,
    /// Says that it is to end soon, whatever it has.
    pub cancel: CancellationToken,
}

impl Watch {
    /// Says where the examination is.
    pub fn enter(&self, state: RunState, detail: Value) {
        self.stage.send_replace(Stage { state, detail });
    }
}

/// Runs a session's tests and judges its reasoning.
///
/// Whatever goes wrong with the session, its repository or the machine is part of the answer; an `Err` is
/// for what another attempt may mend, in one sentence for the session's owner.
#[async_trait]
pub trait Examiner: fmt::Debug + Send + Sync {
    /// Runs the tests and returns what they prove, as JSON.
    async fn verify(&self, subject: &Subject, watch: &Watch) -> Result<Value, String>;

    /// Judges the session, given what its tests prove, and returns the whole verdict as JSON, signed.
    async fn judge(
        &self,
        subject: &Subject,
        verification: &Value,
        watch: &Watch,
    ) -> Result<Value, String>;

    /// Has a model word what the session found out; nothing if there is no model.
    async fn word(&self, _subject: &Subject, _watch: &Watch) -> Option<Wording> {
        None
    }
}

//! What a run asks of whoever can run tests and judge reasoning.

use std::fmt;

use async_trait::async_trait;
pub use commontrace_api::sessions::FixSource;
use commontrace_core::SessionKey;
use commontrace_session::Session;
use commontrace_store::{RunState, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::EventReader;

/// What a client asks for with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOptions {
    /// How often the tests run on each side.
    pub repeats: u8,
    /// What is taken for the fix.
    pub fix: FixSource,
}

/// A session to examine.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where its events are.
    pub store: Store,
    /// Identifies it in the store.
    pub key: SessionKey,
    /// Its events up to this number are examined.
    pub events_through: i64,
    /// What it says of itself.
    pub session: Session,
    /// What was asked for.
    pub options: RunOptions,
}

impl Subject {
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
}

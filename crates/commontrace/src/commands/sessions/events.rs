//! A session in the store, and its events for whoever takes them one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use commontrace_core::UserId;
use commontrace_server::error::ApiError;
use commontrace_server::sessions::EventReader;
use commontrace_session::Event;
use commontrace_store::{Session, Store};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// Events that are read ahead of whoever takes them.
const AHEAD: usize = 64;

/// Returns the account's session with this id.
pub async fn find(store: &Store, user: UserId, id: &str) -> Result<Session, Failure> {
    store.session(user, id).await?.ok_or_else(|| {
        Failure::new(format!("there is no session with the id {id}")).hint(
            "`commontrace sessions list` shows the ids; for sessions that a client posted, name its account \
             with --account",
        )
    })
}

/// What the server's half says, in words for who runs the command.
#[expect(
    clippy::needless_pass_by_value,
    reason = "map_err hands the error over"
)]
pub fn failure(err: ApiError) -> Failure {
    Failure::new(err.cause())
        .hint("`commontrace doctor` looks at the database and whether it can be reached")
}

/// The events of a session in their order, read while they are taken.
#[derive(Debug)]
pub struct Events {
    arriving: mpsc::Receiver<Event>,
    cut: Cut,
}

impl Events {
    /// Tells whether all were read, once there are no more.
    pub fn cut(&self) -> Cut {
        self.cut.clone()
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.arriving.blocking_recv()
    }
}

/// Whether reading failed before the last event.
#[derive(Debug, Clone, Default)]
pub struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Returns it.
    pub fn is_cut(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Hands the events to `work`, which runs on a thread where it may block, and returns what it makes of them.
/// An error is that of reading.
pub async fn take<T: Send + 'static>(
    reader: EventReader,
    work: impl FnOnce(Events) -> T + Send + 'static,
) -> Result<T, Failure> {
    let (found, arriving) = mpsc::channel(AHEAD);
    let cut = Cut::default();
    let events = Events {
        arriving,
        cut: cut.clone(),
    };
    let working = tokio::task::spawn_blocking(move || work(events));
    let sent = send(reader, &found).await;
    if sent.is_err() {
        cut.0.store(true, Ordering::Release);
    }
    drop(found);
    let done = working
        .await
        .map_err(|err| Failure::new(format!("the session's events were not all taken: {err}")))?;
    sent.map(|()| done)
}

async fn send(mut reader: EventReader, found: &mpsc::Sender<Event>) -> Result<(), Failure> {
    while let Some((seq, event)) = reader.next().await.map_err(failure)? {
        let event = serde_json::from_value(event).map_err(|err| {
            Failure::new(format!("event {seq} of the session is unreadable: {err}"))
        })?;
        if found.send(event).await.is_err() {
            // Whoever takes them has seen enough.
            break;
        }
    }
    Ok(())
}

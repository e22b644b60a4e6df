//! Writing: on SQLite through one writer that commits in groups, on PostgreSQL in transactions.
//!
//! SQLite allows one writer at a time and waits for the disk on every commit. So all writes queue
//! for one task; it runs what has queued up in one transaction, each in a savepoint of its own,
//! commits once, and only then answers. Under load the wait for the disk is shared; alone, a write
//! waits for nobody.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::{Executor, PgPool, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::tx::Tx;
use crate::{Error, Result, Store};

/// Writes that wait at most, before callers wait to queue.
const QUEUE: usize = 1024;
/// Writes that share one commit at most, which bounds how long the first of them waits.
const GROUP: usize = 128;

/// Tells a write's caller how its group's commit went.
type Reply = Box<dyn FnOnce(Result<()>) + Send>;

/// A queued write: runs inside a savepoint, says whether to keep it, and how to answer.
type Queued = Box<dyn for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, (bool, Reply)> + Send>;

/// Where writes go.
#[derive(Debug, Clone)]
pub(crate) enum Writer {
    Sqlite(Arc<SqliteWriter>),
    Postgres(PgPool),
}

#[derive(Debug)]
pub(crate) struct SqliteWriter {
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    task: Mutex<Option<JoinHandle<SqliteConnection>>>,
}

impl Writer {
    pub(crate) fn sqlite(connection: SqliteConnection) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        let task = tokio::spawn(write_groups(connection, queued));
        Self::Sqlite(Arc::new(SqliteWriter {
            queue: Mutex::new(Some(queue)),
            task: Mutex::new(Some(task)),
        }))
    }

    pub(crate) fn postgres(pool: PgPool) -> Self {
        Self::Postgres(pool)
    }

    /// Lets the queue run empty, ends the writer and hands back its connection if it has one.
    pub(crate) async fn close(&self) -> Option<SqliteConnection> {
        let Self::Sqlite(writer) = self else {
            return None;
        };
        lock(&writer.queue).take();
        let task = lock(&writer.task).take()?;
        // It ends by itself when the queue is empty; a panic in it was logged there.
        task.await.ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Runs `op` in a transaction, commits it, and only then returns its result.
    ///
    /// An error from `op` undoes everything it did. The write goes on if the caller goes away.
    pub(crate) async fn write<T, F>(&self, op: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        match &self.writer {
            Writer::Sqlite(writer) => writer.write(op).await,
            Writer::Postgres(pool) => {
                let pool = pool.clone();
                // A task of its own: a client that hangs up must not undo half a decision.
                tokio::spawn(async move {
                    let mut tx = pool.begin().await?;
                    let result = op(&mut Tx::Postgres(&mut tx)).await?;
                    tx.commit().await?;
                    Ok(result)
                })
                .await
                .unwrap_or_else(|_| Err(Error::Unavailable("a write was aborted".to_owned())))
            }
        }
    }
}

impl SqliteWriter {
    async fn write<T, F>(&self, op: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let queued: Queued = Box::new(move |tx| {
            Box::pin(async move {
                let result = AssertUnwindSafe(op(tx))
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|_| Err(Error::Unavailable("a write panicked".to_owned())));
                let keep = result.is_ok();
                let reply: Reply = Box::new(move |committed| {
                    // Nobody listens any more when the caller went away.
                    let _ = answer.send(committed.and(result));
                });
                (keep, reply)
            })
        });
        let closed = || Error::Unavailable("the store is shutting down".to_owned());
        let queue = lock(&self.queue).clone().ok_or_else(closed)?;
        queue.send(queued).await.map_err(|_| closed())?;
        answered.await.map_err(|_| {
            Error::Unavailable("the write was not carried out; try again".to_owned())
        })?
    }
}

async fn write_groups(
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Queued>,
) -> SqliteConnection {
    let mut group = Vec::with_capacity(GROUP);
    while queue.recv_many(&mut group, GROUP).await > 0 {
        let size = group.len();
        let mut replies = Vec::with_capacity(size);
        let outcome = write_group(&mut connection, group.drain(..), &mut replies).await;
        if let Err(err) = &outcome {
            tracing::error!(error = %err, "a group of {size} writes failed: {err}");
            // Harmless when the failure has ended the transaction already.
            let _ = connection.execute("ROLLBACK").await;
        }
        for reply in replies {
            reply(
                outcome
                    .as_ref()
                    .map(drop)
                    .map_err(|err| Error::Unavailable(err.to_string())),
            );
        }
    }
    connection
}

/// Runs a group in one transaction. A write that was not begun when this fails is dropped, which
/// its caller sees; those that were begun have their reply in `replies`.
async fn write_group(
    connection: &mut SqliteConnection,
    group: impl Iterator<Item = Queued>,
    replies: &mut Vec<Reply>,
) -> Result<(), sqlx::Error> {
    // Immediate: a transaction that begins by reading cannot wait for the lock later.
    connection.execute("BEGIN IMMEDIATE").await?;
    for queued in group {
        connection.execute("SAVEPOINT write").await?;
        let (keep, reply) = queued(&mut Tx::Sqlite(connection)).await;
        replies.push(reply);
        if !keep {
            connection.execute("ROLLBACK TO write").await?;
        }
        connection.execute("RELEASE write").await?;
    }
    connection.execute("COMMIT").await.map(drop)
}

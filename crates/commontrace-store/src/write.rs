//! Writing: on SQLite through one writer that commits in groups, on PostgreSQL in transactions.
//!
//! SQLite allows one writer at a time and waits for the disk on every commit. So all writes queue
//! for one task; it runs what has queued up in one transaction, each in a savepoint of its own,
//! commits once, and only then answers. Under load the wait for the disk is shared; alone, a write
//! waits for nobody.

use std::panic::{AssertUnwindSafe, Location};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::{Connection, Executor, PgPool, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::replica::NoteTaker;
use crate::search::Derived;
use crate::tx::Tx;
use crate::{Error, Result, Store, WalPosition, spans};

/// Writes that wait at most, before callers wait to queue.
const QUEUE: usize = 1024;
/// Writes that share one commit at most, which bounds how long the first of them waits.
const GROUP: usize = 128;

/// Times that a transaction is tried which PostgreSQL undoes for the sake of others.
const ATTEMPTS: u32 = 4;

/// Tells a write's caller how its group's commit went.
type Reply = Box<dyn FnOnce(Result<()>) + Send>;

/// A queued write: runs inside a savepoint, says why to undo it if it failed, and how to answer.
type Queued = Box<
    dyn for<'t> FnOnce(&'t mut SqliteConnection) -> BoxFuture<'t, (Option<Error>, Reply)> + Send,
>;

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

/// Runs one statement in a transaction of its own, and returns how many rows it has changed.
macro_rules! execute {
    ($store:expr, $query:expr) => {
        $store
            .write(move |tx| {
                futures_util::FutureExt::boxed(async move {
                    Ok($crate::tx::on_tx!(tx, |db| $query
                        .execute(db)
                        .await
                        .map(|done| done.rows_affected()))?)
                })
            })
            .await
    };
}
pub(crate) use execute;

impl Store {
    /// Runs `op` in a transaction, commits it, and only then returns its result.
    ///
    /// An error from `op` undoes everything it did. The write goes on if the caller goes away.
    /// PostgreSQL may undo a transaction for the sake of another one; then `op` runs again.
    #[track_caller]
    pub(crate) fn write<T, F>(&self, op: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T>> + Clone + Send + 'static,
    {
        // Taken here, because a future does not know who has called.
        let span = spans::statement(Location::caller().file(), "write", self.engine());
        self.carry_out(op).instrument(span)
    }

    async fn carry_out<T, F>(&self, op: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T>> + Clone + Send + 'static,
    {
        let written = match &self.writer {
            Writer::Sqlite(writer) => writer.write(self.derived.unwrap_or_default(), op).await,
            Writer::Postgres(pool) => {
                let (pool, derived, notes) = (pool.clone(), self.derived, self.note_taker());
                let wanted = self.demand.one();
                // A task of its own: a client that hangs up must not undo half a decision.
                tokio::spawn(async move {
                    let _wanted = wanted;
                    for _ in 1..ATTEMPTS {
                        match transaction(&pool, derived, op.clone(), notes.as_ref()).await {
                            Err(Error::Undone(reason)) => {
                                tracing::debug!(error = reason, "a write runs again: {reason}");
                            }
                            done => return done,
                        }
                    }
                    transaction(&pool, derived, op, notes.as_ref()).await
                })
                .await
                .unwrap_or_else(|_| Err(Error::Unavailable("a write was aborted".to_owned())))
            }
        };
        written.inspect_err(|err| self.trouble.note(err))
    }
}

/// Runs one transaction on PostgreSQL.
async fn transaction<T, F>(
    pool: &PgPool,
    derived: Option<Derived>,
    op: F,
    notes: Option<&NoteTaker>,
) -> Result<T>
where
    F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T>>,
{
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin().await?;
    let result = op(&mut Tx::Postgres(&mut tx, derived)).await?;
    tx.commit().await.map_err(commit_failure)?;
    if let Some(notes) = notes {
        // After the commit: what is behind this position includes it.
        let position =
            sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
                .fetch_one(&mut *connection)
                .await;
        notes.note(position.ok().map(WalPosition::from_bigint));
    }
    Ok(result)
}

/// Tells a commit that was refused from one whose outcome nobody knows.
fn commit_failure(err: sqlx::Error) -> Error {
    match Error::from(err) {
        Error::Unavailable(reason) => Error::Unsettled(reason),
        err => err,
    }
}

impl SqliteWriter {
    async fn write<T, F>(&self, derived: Derived, op: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let queued: Queued = Box::new(move |db| {
            Box::pin(async move {
                let mut tx = Tx::Sqlite(db, derived);
                let result = AssertUnwindSafe(op(&mut tx))
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|_| Err(Error::Unavailable("a write panicked".to_owned())));
                let failure = result.as_ref().err().map(Error::for_each_write);
                let reply: Reply = Box::new(move |committed| {
                    // Nobody listens any more when the caller went away.
                    let _ = answer.send(committed.and(result));
                });
                (failure, reply)
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
            reply(outcome.as_ref().map(drop).map_err(Error::for_each_write));
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
) -> Result<()> {
    // Immediate: a transaction that begins by reading cannot wait for the lock later.
    connection
        .execute("BEGIN IMMEDIATE; SAVEPOINT write")
        .await?;
    for queued in group {
        let (failure, reply) = queued(connection).await;
        replies.push(reply);
        let Some(failure) = failure else {
            connection.execute("RELEASE write; SAVEPOINT write").await?;
            continue;
        };
        if connection.execute("ROLLBACK TO write").await.is_err() {
            // A full disk or the like makes SQLite undo the whole transaction by itself.
            return Err(failure);
        }
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::Executor;
    use tokio::sync::Notify;

    use super::*;
    use crate::Location;

    async fn store(dir: &tempfile::TempDir) -> Store {
        let location = Location::File(dir.path().join("commontrace.db"));
        Store::open(&location).await.expect("an empty directory")
    }

    /// Runs plain SQL as a write.
    async fn run(store: &Store, sql: &'static str) -> Result<()> {
        store
            .write(move |tx| async move { execute(tx, sql).await }.boxed())
            .await
    }

    async fn execute(tx: &mut Tx<'_>, sql: &'static str) -> Result<()> {
        match tx {
            Tx::Sqlite(db, _) => Ok(db.execute(sql).await.map(drop)?),
            Tx::Postgres(..) => unreachable!("these tests are about SQLite's writer"),
        }
    }

    async fn names(store: &Store) -> Vec<String> {
        let crate::pool::Pool::Sqlite(db) = &store.pool else {
            unreachable!("it is SQLite")
        };
        let names = sqlx::query_scalar("SELECT name FROM meta ORDER BY name")
            .fetch_all(db)
            .await;
        names.expect("the table is there")
    }

    #[tokio::test]
    async fn a_write_goes_on_when_its_caller_goes_away() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = store(&dir).await;
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let caller = tokio::spawn({
            let (store, begun, go) = (store.clone(), begun.clone(), go.clone());
            async move {
                store
                    .write(move |tx| {
                        async move {
                            begun.notify_one();
                            go.notified().await;
                            execute(tx, "INSERT INTO meta VALUES ('kept', '')").await
                        }
                        .boxed()
                    })
                    .await
            }
        });
        begun.notified().await;
        caller.abort();
        go.notify_one();
        store.close().await;
        let store = super::tests::store(&dir).await;
        assert_eq!(names(&store).await, ["kept"]);
    }

    #[tokio::test]
    async fn a_write_that_panics_fails_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = store(&dir).await;
        let (before, panicked, behind) = tokio::join!(
            run(&store, "INSERT INTO meta VALUES ('before', '')"),
            store.write(|tx| {
                async move {
                    execute(tx, "INSERT INTO meta VALUES ('lost', '')").await?;
                    if true {
                        panic!("on purpose");
                    }
                    Ok(())
                }
                .boxed()
            }),
            run(&store, "INSERT INTO meta VALUES ('behind', '')"),
        );
        assert!(before.is_ok() && behind.is_ok());
        assert!(panicked.is_err_and(|err| err.is_unavailable()));
        assert_eq!(names(&store).await, ["before", "behind"]);
    }

    #[tokio::test]
    async fn a_full_database_refuses_writes_whole_and_recovers() {
        const LARGE: &str = "INSERT INTO meta VALUES ('large', hex(zeroblob(1000000)))";
        let dir = tempfile::tempdir().expect("a directory");
        let store = store(&dir).await;
        run(&store, "PRAGMA max_page_count = 1")
            .await
            .expect("it cannot shrink below its size");
        // SQLite undoes the whole transaction then, so what shared it is refused too.
        let (beside, large) = tokio::join!(
            run(&store, "INSERT INTO meta VALUES ('beside', '')"),
            run(&store, LARGE)
        );
        for refused in [beside, large] {
            let err = refused.expect_err("it is full");
            assert!(err.is_unavailable(), "{err:?}");
            assert!(matches!(&err, Error::Full(_)), "{err:?}");
        }
        assert_eq!(store.trouble(), Some("no room to write"));
        assert_eq!(names(&store).await, [""; 0]);
        run(&store, "INSERT INTO meta VALUES ('small', '')")
            .await
            .expect("that much room there is");
        run(&store, "PRAGMA max_page_count = 1000000")
            .await
            .expect("there is room again");
        run(&store, LARGE).await.expect("now it fits");
        assert_eq!(store.trouble(), Some("no room to write"));
        let noon = "2026-01-02T12:00:00Z".parse().expect("a time");
        store.check(noon).await.expect("it can be written");
        assert_eq!(store.trouble(), None);
        assert_eq!(names(&store).await, ["large", "last_check", "small"]);
    }
}

//! Announcing new jobs to workers in other processes, through PostgreSQL.
//!
//! An announcement says no more than "look": it may get lost, come twice or come for nothing. It is
//! not part of the transaction that enqueues, because PostgreSQL lets transactions that notify
//! commit one after the other, disk writes included.

use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::timeout;

use crate::pool::Pool;
use crate::{Error, Result, Store};

const CHANNEL: &str = "commontrace_jobs";
/// How long the server may take to answer a listener.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may be silent before it is asked whether it still is one.
const SILENCE: Duration = Duration::from_secs(60);

impl Store {
    /// Tells whoever listens that there are new jobs. On SQLite nobody can.
    pub async fn announce_jobs(&self) -> Result<()> {
        if let Pool::Postgres(pool) = &self.pool {
            let _wanted = self.demand.one();
            sqlx::query("SELECT pg_notify($1, '')")
                .bind(CHANNEL)
                .execute(pool)
                .await?;
        }
        Ok(())
    }

    /// Listens for announcements from now on, over a connection beside the pool's; `None` on
    /// SQLite, where all jobs come from this process.
    pub async fn announcements(&self) -> Result<Option<Announcements>> {
        let Pool::Postgres(pool) = &self.pool else {
            return Ok(None);
        };
        let one = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(PgConnectOptions::clone(&pool.connect_options()));
        let listening = timeout(PATIENCE, async {
            let mut listener = PgListener::connect_with(&one).await?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        });
        let listener = listening.await.map_err(|_| no_answer())??;
        Ok(Some(Announcements(listener)))
    }
}

/// A connection that hears announcements.
#[derive(Debug)]
pub struct Announcements(PgListener);

impl Announcements {
    /// Waits for the next announcement. After an error nothing more is heard.
    pub async fn next(&mut self) -> Result<()> {
        loop {
            match timeout(SILENCE, self.0.try_recv()).await {
                Ok(Ok(Some(_))) => return Ok(()),
                Ok(Ok(None)) => {
                    return Err(Error::Unavailable("the connection was lost".to_owned()));
                }
                Ok(Err(err)) => return Err(err.into()),
                // A connection that was cut in between looks as one on which nothing happens.
                Err(_) => {
                    let answered = timeout(PATIENCE, self.0.execute("SELECT 1")).await;
                    answered.map_err(|_| no_answer())??;
                }
            }
        }
    }
}

fn no_answer() -> Error {
    Error::Unavailable(format!("no answer within {} s", PATIENCE.as_secs()))
}

//! The connection to Redis, and whether it can be counted on at the moment.
//!
//! One multiplexed connection serves all requests. The first failure takes it out of use, so that
//! only the requests already waiting have waited in vain; a task in the background then looks every
//! second whether Redis does its work again. The crate's own `ConnectionManager` is of no help here:
//! it keeps a connection that hangs, and one that was refused for its password stays refused.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult, Script};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::address::RedisAddress;
use crate::metrics;

/// Longest wait of a request for an answer of Redis.
pub const PATIENCE: Duration = Duration::from_millis(250);
/// Longest wait for a new connection.
const CONNECT: Duration = Duration::from_secs(1);
/// How often Redis is looked after in the background.
const LOOK: Duration = Duration::from_secs(1);
/// Commands that may queue up before callers wait; the crate's own number is 50.
const QUEUE: usize = 1024;

/// Does what the limits do, to find out whether they could: run as a script, and write. A replica,
/// a full one and one whose rules forbid it answer PING as if all were well.
const TRIAL: &str = "return redis.call('SET', KEYS[1], '1', 'PX', 1000)";
const TRIAL_KEY: &str = "rl:trial";

/// A Redis that may come and go; cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Link>);

struct Link {
    address: RedisAddress,
    patience: Duration,
    connection: RwLock<Connection>,
}

/// The connection in use.
#[derive(Default)]
struct Connection {
    /// Nothing while Redis is away.
    line: Option<MultiplexedConnection>,
    /// Counts connections, so that a late failure of an old one says nothing about the new one.
    number: u64,
}

impl Redis {
    /// Connects, and keeps looking after the connection until the last clone is dropped. That Redis
    /// is away is no failure: it is used from when it is there.
    ///
    /// `patience` is the longest wait of a request for an answer.
    pub async fn connect(address: RedisAddress, patience: Duration) -> Self {
        let redis = Self(Arc::new(Link {
            address,
            patience,
            connection: RwLock::default(),
        }));
        match open(&redis.0.address).await {
            Ok(line) => redis.0.connected(line, "there"),
            Err(err) => redis.0.report_away(&err),
        }
        tokio::spawn(look_after(Arc::downgrade(&redis.0)));
        redis
    }

    /// Returns whether Redis answered when it was asked last.
    pub fn is_there(&self) -> bool {
        self.0.line().is_some()
    }

    /// Does something with Redis; nothing comes back while it is away, and when it does not answer in
    /// time or with an error, from which moment on it is away.
    pub(crate) async fn ask<T, F>(&self, work: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        self.0.ask(work).await
    }
}

impl Link {
    fn writing(&self) -> RwLockWriteGuard<'_, Connection> {
        // A panic cannot leave it half-changed.
        self.connection
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connection in use with its number.
    fn line(&self) -> Option<(MultiplexedConnection, u64)> {
        let connection = self.connection.read();
        let connection = connection.unwrap_or_else(PoisonError::into_inner);
        Some((connection.line.clone()?, connection.number))
    }

    async fn ask<T, F>(&self, work: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (line, number) = self.line()?;
        match timeout(self.patience, work(line)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(err)) => self.lost(number, &err),
            Err(_) => self.lost(number, &"it does not answer"),
        }
    }

    // What changes is reported before the lock is released, so that log and metric follow the order
    // in which Redis went and came.

    fn lost<T>(&self, number: u64, why: &dyn fmt::Display) -> Option<T> {
        let mut connection = self.writing();
        if connection.number == number && connection.line.take().is_some() {
            self.report_away(why);
        }
        None
    }

    fn report_away(&self, why: &dyn fmt::Display) {
        metrics::rate_limiter_fallback(true);
        warn!("{self} is away, until it is back each node limits and caches by itself: {why}");
    }

    fn connected(&self, line: MultiplexedConnection, news: &str) {
        let mut connection = self.writing();
        connection.number += 1;
        connection.line = Some(line);
        metrics::rate_limiter_fallback(false);
        info!("{self} is {news}, nodes share limits and query vectors through it");
    }

    /// Looks whether Redis is well if it was, or whether it is again.
    async fn look(&self) {
        if self.line().is_some() {
            self.ask(try_out).await;
            return;
        }
        match open(&self.address).await {
            Ok(line) => self.connected(line, "back"),
            Err(err) => debug!("{self} is still away: {err}"),
        }
    }
}

/// Opens a connection on which Redis has proved that it can do its work.
pub(super) async fn open(address: &RedisAddress) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_pipeline_buffer_size(QUEUE)
        // Each use of the connection has a limit of its own.
        .set_response_timeout(None)
        .set_connection_timeout(None);
    let opened = timeout(CONNECT, async {
        let line = address
            .client()
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        try_out(line.clone()).await?;
        Ok(line)
    });
    opened
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

async fn try_out(mut line: MultiplexedConnection) -> RedisResult<()> {
    let trial = Script::new(TRIAL);
    trial.key(TRIAL_KEY).invoke_async(&mut line).await
}

async fn look_after(link: Weak<Link>) {
    loop {
        sleep(LOOK).await;
        let Some(link) = link.upgrade() else { return };
        link.look().await;
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis at {}", self.address)
    }
}

impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

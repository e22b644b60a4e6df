//! Connecting to a PostgreSQL server: limits on waiting, and the pool.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::error::reason;
use crate::{Error, Result};

/// How the server lists our connections, unless the address says otherwise.
const APPLICATION_NAME: &str = "commontrace";
/// The oldest major version whose SQL is enough; older ones are no longer maintained either.
const OLDEST: u32 = 14;
/// How long a start waits for a server that is starting too.
const START: Duration = Duration::from_secs(5);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// A process that hangs in the middle of a transaction gives its locks back after this time.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(60);
/// A connection that was used more recently is taken without asking whether it still lives.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How many connections to PostgreSQL are kept, and how long anything may wait.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Connections at most, to the primary and to the replica each.
    pub max: u32,
    /// Connections that stay open when there is nothing to do.
    pub min: u32,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// Longest time that one statement may take; zero for no limit.
    pub statement_timeout: Duration,
    /// Longest wait for a lock that another transaction holds; zero for no limit.
    pub lock_timeout: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 10,
            min: 1,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(3),
        }
    }
}

impl Connections {
    /// Makes a pool that connects when it is asked for a connection.
    pub(crate) fn pool(&self, options: &PgConnectOptions) -> PgPool {
        PgPoolOptions::new()
            .max_connections(self.max)
            .min_connections(self.min.min(self.max))
            .acquire_timeout(self.acquire_timeout)
            // Asking a connection before each use would be a round trip for each statement.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(self.limit(options.clone()))
    }

    fn limit(&self, options: PgConnectOptions) -> PgConnectOptions {
        // Statements are short: to compile one takes longer than to run it.
        let options = options.options([("jit", "off")]);
        options.options([
            ("statement_timeout", self.statement_timeout.as_millis()),
            ("lock_timeout", self.lock_timeout.as_millis()),
            (
                "idle_in_transaction_session_timeout",
                IDLE_IN_TRANSACTION.as_millis(),
            ),
        ])
    }
}

/// Reads the address of a server.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions> {
    // The driver's own message may repeat the address, and with it the password.
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| Error::Address("it is not a valid PostgreSQL address".to_owned()))?
        .disable_statement_logging();
    Ok(match options.get_application_name() {
        Some(_) => options,
        None => options.application_name(APPLICATION_NAME),
    })
}

/// Opens a connection outside of the pool, for statements that may take as long as they need. Waits
/// a little for a server that is starting.
pub(crate) async fn unhurried(options: &PgConnectOptions) -> Result<PgConnection> {
    let options = options
        .clone()
        .options([("statement_timeout", "0"), ("lock_timeout", "0")]);
    let begun = Instant::now();
    loop {
        let left = START.saturating_sub(begun.elapsed());
        match tokio::time::timeout(left, options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(err)) if is_starting(&err) && begun.elapsed() + TRY_AGAIN_AFTER < START => {}
            Ok(Err(err)) => return Err(refusal(err)),
            Err(_) => {
                return Err(Error::Unavailable(format!(
                    "the server did not answer within {} s",
                    START.as_secs()
                )));
            }
        }
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
    }
}

/// Refuses a server that is too old; `number` is as 160004, and none if the server did not say.
pub(crate) fn check_version(number: Option<u32>) -> Result<()> {
    match number.map(|number| number / 10_000) {
        Some(major) if major < OLDEST => Err(Error::TooOld(major)),
        _ => Ok(()),
    }
}

/// Returns whether this is how a server looks that is starting, or has no room just now.
fn is_starting(err: &sqlx::Error) -> bool {
    match err {
        sqlx::Error::Io(err) => err.kind() == ErrorKind::ConnectionRefused,
        err => result_code(err).is_some_and(|code| matches!(code.as_ref(), "57P03" | "53300")),
    }
}

pub(crate) fn result_code(err: &sqlx::Error) -> Option<Cow<'_, str>> {
    err.as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
}

/// Tells a server that does not let this program in from one that is away.
fn refusal(err: sqlx::Error) -> Error {
    // PostgreSQL's classes of codes for credentials (28) and for a database that is not there (3D).
    let refused =
        result_code(&err).is_some_and(|code| code.starts_with("28") || code.starts_with("3D"));
    if refused {
        Error::Address(reason(&err))
    } else {
        err.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_refused_with_its_version() {
        for accepted in [Some(160_004), Some(140_000), None] {
            check_version(accepted).expect("it is recent enough");
        }
        let err = check_version(Some(130_022)).expect_err("it is too old");
        assert!(err.to_string().contains("PostgreSQL 13"), "{err}");
    }
}

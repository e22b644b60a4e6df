//! An open write transaction on either engine.

use sqlx::{PgConnection, SqliteConnection};

/// The connection that a transaction runs on.
pub(crate) enum Tx<'c> {
    /// SQLite, inside the writer's batch.
    Sqlite(&'c mut SqliteConnection),
    /// PostgreSQL, a transaction of its own.
    Postgres(&'c mut PgConnection),
}

/// Runs one body on whichever connection a [`Tx`] holds.
macro_rules! on_tx {
    ($tx:expr, |$c:ident| $body:expr) => {
        match $tx {
            $crate::tx::Tx::Sqlite(connection) => {
                let $c = &mut **connection;
                $body
            }
            $crate::tx::Tx::Postgres(connection) => {
                let $c = &mut **connection;
                $body
            }
        }
    };
}
pub(crate) use on_tx;

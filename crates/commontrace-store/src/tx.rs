//! An open write transaction on either engine.

use sqlx::{PgConnection, SqliteConnection};

use crate::search::Derived;

/// The connection that a transaction runs on.
pub(crate) enum Tx<'c> {
    /// SQLite, inside the writer's batch, and its tables to search in.
    Sqlite(&'c mut SqliteConnection, Derived),
    /// PostgreSQL, a transaction of its own, and the tables to search in if there are any.
    Postgres(&'c mut PgConnection, Option<Derived>),
}

/// Runs one body on whichever connection a [`Tx`] holds.
macro_rules! on_tx {
    ($tx:expr, |$c:ident| $body:expr) => {
        match $tx {
            $crate::tx::Tx::Sqlite(connection, _) => {
                let $c = &mut **connection;
                $body
            }
            $crate::tx::Tx::Postgres(connection, _) => {
                let $c = &mut **connection;
                $body
            }
        }
    };
}
pub(crate) use on_tx;

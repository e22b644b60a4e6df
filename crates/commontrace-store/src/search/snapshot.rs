//! Telling whether two statements saw the same database.

/// Which transactions a statement saw. Two statements with equal snapshots saw the same rows, because
/// every change is one of a transaction that one of them did not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(String);

impl Snapshot {
    /// Takes a snapshot as PostgreSQL writes it.
    pub fn of(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// The snapshot of the statement that it is part of, in PostgreSQL's notation. None on a standby,
/// whose snapshots do not list the transactions in progress.
pub(super) const SNAPSHOT: &str =
    "(SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_snapshot()::TEXT END)";

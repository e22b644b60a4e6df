//! What can go wrong with the store itself. A refusal of the domain is an outcome, not an error.

/// The result of asking the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot serve this now: away, locked, out of connections, read-only or full.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The address of the database is not one that can be used.
    #[error("the database address is not usable: {0}")]
    Address(String),
    /// The database undid a transaction for the sake of another one, more often than is tried.
    #[error("the database is not available: {0}")]
    Undone(String),
    /// The database was lost while a transaction was committed.
    #[error(
        "the database was lost in the middle of a commit, which may or may not have been done: {0}"
    )]
    Unsettled(String),
    /// The schema was migrated by a newer version of this program.
    #[error(
        "the database schema has version {found}, and this version of the program knows schemas up to version {known}; start the newer version that migrated it"
    )]
    Newer {
        /// The schema's version.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// A migration was begun and did not come to its end.
    #[error("migration {0} of the database schema was begun and not finished")]
    HalfMigrated(i64),
    /// Migrating the schema failed.
    #[error("the database schema could not be migrated: {0}")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A row does not hold what its column promises, or a statement is wrong: a bug or damage.
    #[error("the database answered unexpectedly: {0}")]
    Database(#[source] sqlx::Error),
}

impl Error {
    /// Returns whether waiting and asking again can help.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Undone(_) | Self::Unsettled(_)
        )
    }
}

impl From<sqlx::Error> for Error {
    fn from(err: sqlx::Error) -> Self {
        if let sqlx::Error::Database(db) = &err
            && db.code().is_some_and(|code| is_undone(&code))
        {
            return Self::Undone(err.to_string());
        }
        let unavailable = match &err {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(db) => db.code().is_some_and(|code| is_transient(&code)),
            _ => false,
        };
        if unavailable {
            Self::Unavailable(err.to_string())
        } else {
            Self::Database(err)
        }
    }
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(err: sqlx::migrate::MigrateError) -> Self {
        match err {
            sqlx::migrate::MigrateError::Dirty(version) => Self::HalfMigrated(version),
            sqlx::migrate::MigrateError::Execute(err)
            | sqlx::migrate::MigrateError::ExecuteMigration(err, _) => err.into(),
            err => Self::Migrate(err),
        }
    }
}

/// Returns whether PostgreSQL has undone a whole transaction that may be tried again: it could not be
/// put in order with others (40001), or waited in a circle with them (40P01).
fn is_undone(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

/// Returns whether a result code says "not now" and not "never".
///
/// SQLite codes are numbers whose low byte is the primary code: busy, locked, read-only,
/// input/output error, full, cannot open. PostgreSQL's are five characters in classes: connection
/// (08), transaction rollback (40), resources (53), operator intervention (57), system (58), and a
/// server that is a read-only standby (25006), and lock not available (55P03).
fn is_transient(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "40", "53", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class))
            || code == "25006"
            || code == "55P03";
    }
    const BUSY: [u32; 6] = [5, 6, 8, 10, 13, 14];
    code.parse::<u32>()
        .is_ok_and(|code| BUSY.contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::is_transient;

    #[test]
    fn a_full_disk_and_a_lost_server_are_worth_another_try_and_a_constraint_is_not() {
        for code in ["5", "517", "13", "8", "08006", "40P01", "53300", "57P01"] {
            assert!(is_transient(code), "{code}");
        }
        for code in ["1", "19", "2067", "23505", "42601", ""] {
            assert!(!is_transient(code), "{code}");
        }
    }
}

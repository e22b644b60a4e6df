//! What can go wrong with the store itself. A refusal of the domain is an outcome, not an error.

use sqlx::postgres::PgDatabaseError;

use crate::postgres::result_code;

/// The result of asking the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot serve this now: away, locked, or out of connections.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// There is no room to write: the disk, a quota or the database is full.
    #[error("the database has no room to write: {0}")]
    Full(String),
    /// Reading works and writing is refused: a standby, or a file that may not be written.
    #[error("the database is read-only: {0}")]
    ReadOnly(String),
    /// The role that the address names lacks a right.
    #[error("the database does not permit this: {0}")]
    Denied(String),
    /// The address of the database is not one that can be used.
    #[error("the database address is not usable: {0}")]
    Address(String),
    /// The database undid a transaction for the sake of another one, more often than is tried.
    #[error("the database is not available: {0}")]
    Undone(String),
    /// The file is a database whose pages contradict each other.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The file is not a database of this program.
    #[error("this is not a database of this program: {0}")]
    Foreign(String),
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
    /// The server is of a version that this program cannot work with.
    #[error(
        "the server is PostgreSQL {0}, which is too old; version 14 is the oldest that works, and 16 the one this program is tested with"
    )]
    TooOld(u32),
    /// A migration was begun and did not come to its end.
    #[error("migration {0} of the database schema was begun and not finished")]
    HalfMigrated(i64),
    /// Migrating the schema failed.
    #[error("the database schema could not be migrated: {0}")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A row does not hold what its column promises, or a statement is wrong: a bug or damage.
    #[error("the database answered unexpectedly: {}", reason(.0))]
    Database(sqlx::Error),
}

impl Error {
    /// Returns whether waiting and asking again can help.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Full(_)
                | Self::ReadOnly(_)
                | Self::Denied(_)
                | Self::Undone(_)
                | Self::Unsettled(_)
        )
    }

    /// Returns what is wrong in a few words that give nothing away, for those who may not read the
    /// log.
    pub fn summary(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::Undone(_) | Self::Unsettled(_) => "not available",
            Self::Full(_) => "no room to write",
            Self::ReadOnly(_) => "read-only",
            Self::Denied(_) => "not permitted",
            _ => "not usable",
        }
    }

    /// Rewrites what the database said; other errors stay.
    pub(crate) fn map_reason(self, map: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Unavailable(reason) => Self::Unavailable(map(reason)),
            Self::Full(reason) => Self::Full(map(reason)),
            Self::ReadOnly(reason) => Self::ReadOnly(map(reason)),
            Self::Damaged(reason) => Self::Damaged(map(reason)),
            Self::Foreign(reason) => Self::Foreign(map(reason)),
            err => err,
        }
    }

    /// Returns what a write is told that failed with this, or shared a commit that did.
    pub(crate) fn for_each_write(&self) -> Self {
        match self {
            Self::Unavailable(reason) => Self::Unavailable(reason.clone()),
            Self::Full(reason) => Self::Full(reason.clone()),
            Self::ReadOnly(reason) => Self::ReadOnly(reason.clone()),
            err => Self::Unavailable(err.to_string()),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(err: sqlx::Error) -> Self {
        if let sqlx::Error::Database(db) = &err
            && db.code().is_some_and(|code| is_undone(&code))
        {
            return Self::Undone(reason(&err));
        }
        let outage = match &err {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Some(Self::Unavailable as fn(String) -> Self),
            sqlx::Error::Database(db) => db.code().and_then(|code| outage(&code)),
            _ => None,
        };
        match outage {
            Some(outage) => outage(reason(&err)),
            None => Self::Database(err),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(err: sqlx::migrate::MigrateError) -> Self {
        match err {
            sqlx::migrate::MigrateError::Dirty(version) => Self::HalfMigrated(version),
            sqlx::migrate::MigrateError::Execute(err)
            | sqlx::migrate::MigrateError::ExecuteMigration(err, _) => match result_code(&err) {
                // What is to be created is there: a table, an index, or a function of somebody else's.
                Some(code) if matches!(&*code, "42P07" | "42710" | "42723") => {
                    Self::Foreign(reason(&err))
                }
                _ => err.into(),
            },
            err => Self::Migrate(err),
        }
    }
}

/// Returns what went wrong in words for a person: without the line of PostgreSQL's own source that the
/// driver adds to each of its messages.
pub(crate) fn reason(err: &sqlx::Error) -> String {
    let of_postgres = err
        .as_database_error()
        .and_then(|err| err.try_downcast_ref::<PgDatabaseError>());
    match of_postgres {
        Some(err) => format!("PostgreSQL says: {}", err.message()),
        None => err.to_string(),
    }
}

/// Returns whether PostgreSQL has undone a whole transaction that may be tried again: it could not be
/// put in order with others (40001), or waited in a circle with them (40P01).
fn is_undone(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

/// Returns the kind of outage that a result code stands for, if it says "not now" and not "never".
///
/// SQLite codes are numbers whose low byte is the primary code: busy, locked, read-only,
/// input/output error, full, cannot open; 4874 is an index of the write-ahead log that cannot grow.
/// PostgreSQL's are five characters in classes: connection (08), transaction rollback (40), resources
/// (53, with 53100 for the disk), operator intervention (57), system (58); and two single ones: a
/// server that is a read-only standby (25006), and a lock that is not available (55P03).
fn outage(code: &str) -> Option<fn(String) -> Error> {
    if code.len() == 5 {
        return match (code, &code[..2]) {
            ("53100", _) => Some(Error::Full),
            ("25006", _) => Some(Error::ReadOnly),
            ("42501", _) => Some(Error::Denied),
            ("55P03", _) | (_, "08" | "40" | "53" | "57" | "58") => Some(Error::Unavailable),
            _ => None,
        };
    }
    let code: u32 = code.parse().ok()?;
    match (code, code & 0xff) {
        (4874, _) | (_, 13) => Some(Error::Full),
        (_, 8) => Some(Error::ReadOnly),
        (_, 5 | 6 | 10 | 14) => Some(Error::Unavailable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_lost_server_are_worth_another_try_and_a_constraint_is_not() {
        for (code, summary) in [
            ("5", "not available"),
            ("517", "not available"),
            ("778", "not available"),
            ("13", "no room to write"),
            ("4874", "no room to write"),
            ("8", "read-only"),
            ("1032", "read-only"),
            ("08006", "not available"),
            ("40P01", "not available"),
            ("53300", "not available"),
            ("53100", "no room to write"),
            ("25006", "read-only"),
            ("42501", "not permitted"),
            ("57P01", "not available"),
        ] {
            let err = outage(code).map(|outage| outage(String::new()));
            let err = err.unwrap_or_else(|| panic!("{code} is an outage"));
            assert!(err.is_unavailable(), "{code}");
            assert_eq!(err.summary(), summary, "{code}");
        }
        for code in ["1", "19", "2067", "23505", "42601", ""] {
            assert!(outage(code).is_none(), "{code}");
        }
    }
}

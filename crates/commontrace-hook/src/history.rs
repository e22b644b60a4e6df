//! What happened in the projects on this machine: commands that failed, what changed, and which of them ended well
//! afterwards. One small SQLite file, which any number of hooks use at once.
//!
//! Texts come redacted. Nothing of it is sent anywhere.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

/// Which tables the file has; raised with each change of them.
const VERSION: i64 = 1;

/// How long to wait for another hook that writes. Hosts go on after five seconds.
const PATIENCE: Duration = Duration::from_millis(3500);

/// Pages of changes that are kept beside the file before they are put into it.
const LOG_PAGES: i64 = 50;

const DAY: i64 = 24 * 60 * 60;
/// Days that an open failure is looked for, its session's traces are remembered, and solved failures are kept.
const OPEN: i64 = 7 * DAY;
const SESSIONS: i64 = 90 * DAY;
const SOLVED: i64 = 180 * DAY;
/// Failures that are kept of one project, and changes while one of them is open.
const FAILURES_MAX: i64 = 2000;
const CHANGES_MAX: i64 = 40;

const SCHEMA: &str = "
    CREATE TABLE failures (
        id INTEGER PRIMARY KEY,
        project TEXT NOT NULL,
        session TEXT NOT NULL,
        -- What the runs of the same command have in common, and the command as it was typed first.
        command_key TEXT NOT NULL,
        command TEXT NOT NULL,
        signature INTEGER NOT NULL,
        headline TEXT NOT NULL,
        runs INTEGER NOT NULL,
        -- The host's name for the run that was counted last.
        call TEXT,
        began_at INTEGER NOT NULL,
        failed_at INTEGER NOT NULL,
        -- When the command ended well again after something had changed, and what had, as JSON.
        solved_at INTEGER,
        changes TEXT
    );
    CREATE INDEX failures_open ON failures (project, command_key) WHERE solved_at IS NULL;
    CREATE INDEX failures_solved ON failures (project, signature, solved_at);
    -- Files changed and commands run while a failure was open.
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY,
        project TEXT NOT NULL,
        session TEXT NOT NULL,
        at INTEGER NOT NULL,
        what TEXT NOT NULL
    );
    CREATE INDEX changes_of ON changes (project, at);
    -- What a session was told and has read, so that nothing is said twice.
    CREATE TABLE told (
        session TEXT NOT NULL,
        what TEXT NOT NULL,
        signature INTEGER NOT NULL,
        trace TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (session, what, signature, trace)
    ) WITHOUT ROWID;
    -- When events came last, by host and name.
    CREATE TABLE fired (
        host TEXT NOT NULL,
        event TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (host, event)
    ) WITHOUT ROWID;
    -- Single values, such as until when the network is left alone.
    CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";

/// Why the history cannot be used.
pub type Error = rusqlite::Error;

/// The history of all projects.
#[derive(Debug)]
pub struct History {
    db: Connection,
}

/// A change that was made while a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A file was changed.
    Edited {
        /// Which, from the project's root.
        path: String,
        /// The lines that went, cut.
        old: String,
        /// The lines that came, cut.
        new: String,
    },
    /// A command ended well that does more than look.
    Ran {
        /// The command.
        command: String,
    },
}

/// A failed command, to be noted.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    /// The project's folder.
    pub project: &'a str,
    /// The session.
    pub session: &'a str,
    /// What its runs have in common.
    pub key: &'a str,
    /// The command, redacted.
    pub command: &'a str,
    /// The failure.
    pub signature: i64,
    /// The line that names it, redacted.
    pub headline: &'a str,
    /// The host's name for this run.
    pub call: Option<&'a str>,
    /// Seconds since 1970.
    pub at: i64,
}

/// A failure that was solved in this project before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solved {
    /// The line that named it.
    pub headline: String,
    /// The command that failed, and ended well when it was solved.
    pub command: String,
    /// How often it failed until then.
    pub runs: i64,
    /// When it was solved, in seconds since 1970.
    pub at: i64,
    /// What had changed.
    pub changes: Vec<Change>,
    /// How often the same was solved here in all.
    pub times: i64,
}

/// A failure that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its row.
    pub id: i64,
    /// The session in which it happened last.
    pub session: String,
    /// The command.
    pub command: String,
    /// What failed.
    pub signature: i64,
    /// The line that named it.
    pub headline: String,
    /// How often it failed.
    pub runs: i64,
    /// When it failed first and last, in seconds since 1970.
    pub began_at: i64,
    /// See above.
    pub at: i64,
}

impl History {
    /// Opens the file, and makes it if it is not there, readable for its owner alone.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            create(path)?;
        }
        let db = Connection::open(path)?;
        db.busy_timeout(PATIENCE)?;
        // Whoever closes the file last would wait for the disk each time; so one in many does, when it writes.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let mut history = Self { db };
        if history.version()? != VERSION {
            // A file that somebody has emptied.
            history.make()?;
        }
        // What the last second brought may be lost with the machine, and never more.
        history.db.pragma_update(None, "synchronous", "NORMAL")?;
        history
            .db
            .pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        Ok(history)
    }

    fn version(&self) -> Result<i64, Error> {
        self.db
            .pragma_query_value(None, "user_version", |row| row.get(0))
    }

    /// Makes the tables, once.
    fn make(&mut self) -> Result<(), Error> {
        self.db.pragma_update(None, "journal_mode", "WAL")?;
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found == 0 {
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "user_version", VERSION)?;
        }
        tx.commit()
    }

    /// Notes when an event came, once in an hour.
    pub fn note_fired(&self, host: &str, event: &str, now: i64) -> Result<(), Error> {
        let known = "SELECT 1 FROM fired WHERE host = ?1 AND event = ?2 AND at > ?3";
        let hour = now - 3600;
        if self.db.prepare(known)?.exists(params![host, event, hour])? {
            return Ok(());
        }
        let note =
            "INSERT INTO fired VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET at = excluded.at";
        self.db.execute(note, params![host, event, now]).map(drop)
    }

    /// Returns when which events came last: host, event, seconds since 1970.
    pub fn fired(&self) -> Result<Vec<(String, String, i64)>, Error> {
        let mut rows = self
            .db
            .prepare("SELECT host, event, at FROM fired ORDER BY host, event")?;
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    }

    /// Returns whether a command of the project failed lately and has not ended well since.
    pub fn has_open(&self, project: &str, now: i64) -> Result<bool, Error> {
        let query =
            "SELECT 1 FROM failures WHERE project = ?1 AND solved_at IS NULL AND failed_at > ?2";
        self.db.prepare(query)?.exists(params![project, now - OPEN])
    }

    /// Returns the commands of the project that failed lately and have not ended well since, newest first.
    pub fn open_failures(&self, project: &str, now: i64) -> Result<Vec<Open>, Error> {
        let mut rows = self.db.prepare(
            "SELECT id, session, command, signature, headline, runs, began_at, failed_at FROM failures
             WHERE project = ?1 AND solved_at IS NULL AND failed_at > ?2 ORDER BY failed_at DESC, id DESC LIMIT 20",
        )?;
        let rows = rows.query_map(params![project, now - OPEN], open)?;
        rows.collect()
    }

    /// Notes that a command failed. A run that was noted already is not counted twice.
    pub fn note_failed(&mut self, failed: &Failed<'_>) -> Result<(), Error> {
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known: Option<(i64, Option<String>)> = tx
            .query_row(
                "SELECT id, call FROM failures
                 WHERE project = ?1 AND command_key = ?2 AND solved_at IS NULL AND failed_at > ?3
                 ORDER BY id DESC LIMIT 1",
                params![failed.project, failed.key, failed.at - OPEN],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        match known {
            Some((_, Some(call))) if Some(call.as_str()) == failed.call => {}
            Some((id, _)) => {
                tx.execute(
                    "UPDATE failures SET session = ?2, signature = ?3, headline = ?4, call = ?5, failed_at = ?6,
                         runs = runs + 1 WHERE id = ?1",
                    params![id, failed.session, failed.signature, failed.headline, failed.call, failed.at],
                )?;
            }
            None => {
                tx.execute(
                    "INSERT INTO failures (project, session, command_key, command, signature, headline, runs, call,
                         began_at, failed_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?8)",
                    params![
                        failed.project, failed.session, failed.key, failed.command, failed.signature, failed.headline,
                        failed.call, failed.at
                    ],
                )?;
            }
        }
        tx.commit()
    }

    /// Notes a change, while a failure is open. The same again, such as by two hosts that tell of it, is noted once, as
    /// the latest.
    pub fn note_change(
        &mut self,
        project: &str,
        session: &str,
        change: &Change,
        now: i64,
    ) -> Result<(), Error> {
        let what = serde_json::to_string(change).unwrap_or_default();
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute(
            "DELETE FROM changes WHERE project = ?1 AND session = ?2 AND what = ?3",
            params![project, session, what],
        )?;
        tx.execute(
            "INSERT INTO changes (project, session, at, what) VALUES (?1, ?2, ?3, ?4)",
            params![project, session, now, what],
        )?;
        tx.execute(
            "DELETE FROM changes WHERE project = ?1 AND id <= (
                 SELECT id FROM changes WHERE project = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![project, CHANGES_MAX],
        )?;
        tx.commit()
    }

    /// Notes that a command ended well. If it had failed and something has changed since its first failure, that was
    /// solved, and what it was is returned.
    pub fn note_passed(
        &mut self,
        project: &str,
        key: &str,
        now: i64,
    ) -> Result<Option<(Open, Vec<Change>)>, Error> {
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = tx
            .query_row(
                "SELECT id, session, command, signature, headline, runs, began_at, failed_at FROM failures
                 WHERE project = ?1 AND command_key = ?2 AND solved_at IS NULL AND failed_at > ?3
                 ORDER BY id DESC LIMIT 1",
                params![project, key, now - OPEN],
                open,
            )
            .optional()?;
        let Some(failure) = found else {
            return Ok(None);
        };
        let changes: Vec<Change> = {
            let mut rows = tx.prepare(
                "SELECT what, at FROM changes WHERE project = ?1
                     AND at >= (SELECT began_at FROM failures WHERE id = ?2) ORDER BY id",
            )?;
            let rows = rows.query_map(params![project, failure.id], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
            })?;
            let noted: Vec<(String, i64)> = rows.collect::<Result<_, _>>()?;
            let since_last = noted.iter().any(|&(_, at)| at >= failure.at);
            let read = |(text, _): &(String, i64)| serde_json::from_str(text).ok();
            match since_last {
                true => noted.iter().filter_map(read).collect(),
                false => Vec::new(),
            }
        };
        if changes.is_empty() {
            // It fails now and then, and nothing is known of why.
            tx.execute("DELETE FROM failures WHERE id = ?1", [failure.id])?;
            tx.commit()?;
            return Ok(None);
        }
        let kept = serde_json::to_string(&changes).unwrap_or_default();
        tx.execute(
            "UPDATE failures SET solved_at = ?2, changes = ?3 WHERE id = ?1",
            params![failure.id, now, kept],
        )?;
        // Others that are open may have been waiting for the same.
        tx.execute(
            "DELETE FROM changes WHERE project = ?1 AND NOT EXISTS (
                 SELECT 1 FROM failures WHERE project = ?1 AND solved_at IS NULL AND failed_at > ?2)",
            params![project, now - OPEN],
        )?;
        tx.commit()?;
        Ok(Some((failure, changes)))
    }

    /// Returns how the same failure was solved in this project last.
    pub fn solved(&self, project: &str, signature: i64) -> Result<Option<Solved>, Error> {
        let mut rows = self.db.prepare(
            "SELECT headline, command, runs, solved_at, changes,
                 (SELECT COUNT(*) FROM failures WHERE project = ?1 AND signature = ?2 AND solved_at IS NOT NULL)
             FROM failures WHERE project = ?1 AND signature = ?2 AND solved_at IS NOT NULL
             ORDER BY solved_at DESC LIMIT 1",
        )?;
        let found = rows.query_row(params![project, signature], |row| {
            let changes: String = row.get(4)?;
            Ok(Solved {
                headline: row.get(0)?,
                command: row.get(1)?,
                runs: row.get(2)?,
                at: row.get(3)?,
                changes: serde_json::from_str(&changes).unwrap_or_default(),
                times: row.get(5)?,
            })
        });
        found.optional()
    }

    /// Returns what this session has solved, newest first.
    pub fn solved_in(&self, session: &str) -> Result<Vec<Open>, Error> {
        let mut rows = self.db.prepare(
            "SELECT id, session, command, signature, headline, runs, began_at, failed_at FROM failures
             WHERE session = ?1 AND solved_at IS NOT NULL ORDER BY solved_at DESC LIMIT 20",
        )?;
        let rows = rows.query_map([session], open)?;
        rows.collect()
    }

    /// Notes that a session was told something; false if it was before.
    pub fn tell(
        &self,
        session: &str,
        what: &str,
        signature: i64,
        trace: &str,
        now: i64,
    ) -> Result<bool, Error> {
        let noted = self.db.execute(
            "INSERT OR IGNORE INTO told VALUES (?1, ?2, ?3, ?4, ?5)",
            params![session, what, signature, trace, now],
        )?;
        Ok(noted > 0)
    }

    /// Returns the traces that a session was told of for a failure (`shown`), or has read (`read`, with failure 0), from
    /// this moment on.
    pub fn told(
        &self,
        session: &str,
        what: &str,
        signature: i64,
        since: i64,
    ) -> Result<Vec<String>, Error> {
        let mut rows = self.db.prepare(
            "SELECT trace FROM told WHERE session = ?1 AND what = ?2 AND signature = ?3 AND at >= ?4
             ORDER BY at DESC LIMIT 20",
        )?;
        let rows = rows.query_map(params![session, what, signature, since], |row| row.get(0))?;
        rows.collect()
    }

    /// Returns a single value.
    pub fn fact(&self, name: &str) -> Result<Option<i64>, Error> {
        let mut query = self.db.prepare("SELECT value FROM facts WHERE name = ?1")?;
        query.query_row([name], |row| row.get(0)).optional()
    }

    /// Sets a single value.
    pub fn set_fact(&self, name: &str, value: i64) -> Result<(), Error> {
        let set =
            "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
        self.db.execute(set, params![name, value]).map(drop)
    }

    /// Returns how much there is: failures that are open, and solved.
    pub fn counts(&self) -> Result<(i64, i64), Error> {
        self.db.query_row(
            "SELECT COUNT(*) FILTER (WHERE solved_at IS NULL), COUNT(solved_at) FROM failures",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Removes what is too old, and the oldest of what is too much.
    pub fn tidy(&mut self, project: &str, now: i64) -> Result<(), Error> {
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute(
            "DELETE FROM failures WHERE COALESCE(solved_at, failed_at) < ?1 OR (solved_at IS NULL AND failed_at < ?2)",
            params![now - SOLVED, now - SESSIONS],
        )?;
        tx.execute(
            "DELETE FROM failures WHERE project = ?1 AND id <= (
                 SELECT id FROM failures WHERE project = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![project, FAILURES_MAX],
        )?;
        tx.execute("DELETE FROM changes WHERE at < ?1", [now - OPEN])?;
        tx.execute("DELETE FROM told WHERE at < ?1", [now - SESSIONS])?;
        tx.commit()
    }

    /// Removes everything.
    pub fn forget(&mut self) -> Result<(), Error> {
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch("DELETE FROM failures; DELETE FROM changes; DELETE FROM told; DELETE FROM fired; DELETE FROM facts;")?;
        tx.commit()?;
        self.db
            .execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")
    }
}

/// Makes the file beside its place and then puts it there, whole: while others have a file open, SQLite cannot change
/// how it is written, and does not wait for them. Of several hooks that come first one does; the others wait.
fn create(path: &Path) -> Result<(), Error> {
    let failed = |err: std::io::Error| {
        Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(format!("{}: {err}", path.display())),
        )
    };
    let mine = |path: &Path| {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true).mode(0o600).open(path)
    };
    let lock = mine(&path.with_extension("db-lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if path.exists() {
        return Ok(());
    }
    let fresh = path.with_extension("db-new");
    // What one left behind that was killed meanwhile.
    for suffix in ["", "-wal", "-shm"] {
        let mut name = fresh.clone().into_os_string();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(failed(err)),
            _ => {}
        }
    }
    // SQLite gives the files beside it the same mode.
    mine(&fresh).map_err(failed)?;
    let mut history = History {
        db: Connection::open(&fresh)?,
    };
    history.make()?;
    // All of it is in the file then, and nothing beside it.
    history.db.close().map_err(|(_, err)| err)?;
    std::fs::rename(&fresh, path).map_err(failed)
}

fn open(row: &rusqlite::Row<'_>) -> Result<Open, Error> {
    Ok(Open {
        id: row.get(0)?,
        session: row.get(1)?,
        command: row.get(2)?,
        signature: row.get(3)?,
        headline: row.get(4)?,
        runs: row.get(5)?,
        began_at: row.get(6)?,
        at: row.get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn history() -> (tempfile::TempDir, History) {
        let dir = tempfile::tempdir().expect("a folder");
        let history = History::open(&dir.path().join("history.db")).expect("a fresh file");
        (dir, history)
    }

    fn failed<'a>(call: &'a str, at: i64) -> Failed<'a> {
        Failed {
            project: "/p",
            session: "s",
            key: "npm test",
            command: "npm test",
            signature: 7,
            headline: "Error: x",
            call: Some(call),
            at,
        }
    }

    fn edit() -> Change {
        Change::Edited {
            path: "a.js".to_owned(),
            old: "x".to_owned(),
            new: "y".to_owned(),
        }
    }

    #[test]
    fn what_failed_and_passes_after_a_change_is_solved() {
        let (_dir, mut history) = history();
        history.note_failed(&failed("1", NOW)).unwrap();
        history.note_failed(&failed("1", NOW)).unwrap();
        history.note_failed(&failed("2", NOW + 1)).unwrap();
        assert!(history.has_open("/p", NOW + 2).unwrap());
        assert!(!history.has_open("/other", NOW + 2).unwrap());
        history.note_change("/p", "s", &edit(), NOW + 2).unwrap();
        history.note_change("/p", "s", &edit(), NOW + 2).unwrap();
        let (open, changes) = history
            .note_passed("/p", "npm test", NOW + 3)
            .unwrap()
            .expect("solved");
        assert_eq!((open.runs, changes), (2, vec![edit()]));
        let solved = history.solved("/p", 7).unwrap().expect("known");
        assert_eq!(
            (solved.changes, solved.times, solved.at),
            (vec![edit()], 1, NOW + 3)
        );
        assert!(!history.has_open("/p", NOW + 4).unwrap());
        assert_eq!(history.solved("/other", 7).unwrap(), None);
    }

    #[test]
    fn what_passes_without_a_change_was_not_solved() {
        let (_dir, mut history) = history();
        history.note_failed(&failed("1", NOW)).unwrap();
        assert_eq!(
            history.note_passed("/p", "npm test", NOW + 3).unwrap(),
            None
        );
        assert!(!history.has_open("/p", NOW + 4).unwrap());
        assert_eq!(history.solved("/p", 7).unwrap(), None);
    }

    #[test]
    fn nothing_is_told_twice_and_old_things_go() {
        let (_dir, mut history) = history();
        assert!(history.tell("s", "shown", 7, "t", NOW).unwrap());
        assert!(!history.tell("s", "shown", 7, "t", NOW).unwrap());
        history.note_failed(&failed("1", NOW)).unwrap();
        history.tidy("/p", NOW + SOLVED + 1).unwrap();
        assert_eq!(history.counts().unwrap(), (0, 0));
        assert!(history.tell("s", "shown", 7, "t", NOW).unwrap());
    }
}

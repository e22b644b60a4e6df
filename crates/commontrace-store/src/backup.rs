//! A consistent copy of a live store.

use std::fs::File;
use std::path::Path;

use sqlx::{ConnectOptions, Connection};

use crate::pool::{name_file, open_private, sqlite_options};
use crate::{Error, Location, Store};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target is there already, and a backup is never written over something.
    #[error("{0} exists already; choose another name or remove it")]
    Exists(String),
    /// There is no store to copy.
    #[error("there is no database {0}, so nothing to back up")]
    Nothing(String),
    /// PostgreSQL has its own tool.
    #[error("a PostgreSQL database is backed up with `pg_dump --format=custom`")]
    Postgres,
    /// The store could not be read or the copy not written.
    #[error(transparent)]
    Store(#[from] Error),
    /// The copy could not be written.
    #[error("cannot write the backup to {path}: {source}")]
    Write {
        /// The target.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Store {
    /// Copies the store at `location` into the new file `target` as of one moment, while other
    /// processes read and write it. The copy is complete or, after an error, absent.
    pub async fn backup(location: &Location, target: &Path) -> Result<(), BackupError> {
        let Location::File(path) = location else {
            return Err(BackupError::Postgres);
        };
        let name = target.display().to_string();
        if target.exists() {
            return Err(BackupError::Exists(name));
        }
        if !path.exists() {
            return Err(BackupError::Nothing(path.display().to_string()));
        }
        let cannot_write = |source| BackupError::Write {
            path: name.clone(),
            source,
        };
        let mut partial = target.as_os_str().to_owned();
        partial.push(".partial");
        let partial = Path::new(&partial);
        // An empty file is as good as none to SQLite, which would not say why it cannot make one.
        match std::fs::remove_file(partial) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                return Err(cannot_write(err));
            }
            _ => open_private(partial).map_err(cannot_write)?,
        };
        let copied = vacuum_into(path, partial).await;
        let renamed = copied.and_then(|()| put_in_place(partial, target).map_err(cannot_write));
        if renamed.is_err() {
            let _ = std::fs::remove_file(partial);
        }
        renamed
    }
}

async fn vacuum_into(path: &Path, target: &Path) -> Result<(), BackupError> {
    let mut connection = sqlite_options(path)
        .create_if_missing(false)
        .connect()
        .await
        .map_err(|err| name_file(path, err.into()))?;
    sqlx::query("VACUUM INTO $1")
        .bind(target.to_string_lossy().as_ref())
        .execute(&mut connection)
        .await
        .map_err(|err| match Error::from(err) {
            err @ Error::Database(_) => name_file(path, err),
            err => err.map_reason(|reason| {
                format!(
                    "cannot copy {} to {}: {reason}",
                    path.display(),
                    target.display()
                )
            }),
        })?;
    connection.close().await.map_err(Error::from)?;
    Ok(())
}

/// Gives the finished copy its name; both are on the disk when this returns.
fn put_in_place(partial: &Path, target: &Path) -> std::io::Result<()> {
    File::open(partial)?.sync_all()?;
    std::fs::rename(partial, target)?;
    let parent = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

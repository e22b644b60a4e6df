//! `commontrace backup`: a consistent copy of a live store.

use std::path::PathBuf;

use commontrace_server::error::chain;
use commontrace_store::{BackupError, Error, Store};

use super::say;
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// What to back up to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to create; it must not exist
    file: PathBuf,
}

/// Copies the store into the file.
pub async fn run(config: Config, args: Args) -> Result<(), Failure> {
    let location = start::location(&config)?;
    Store::backup(&location, &args.file)
        .await
        .map_err(|err| match err {
            BackupError::Store(Error::Full(_)) => Failure::new(chain(&err))
                .hint("free some space on the disk of the backup, or choose another for it"),
            BackupError::Store(err) => err.into(),
            BackupError::Write { .. } => Failure::new(chain(&err))
                .hint("choose a file in a directory that exists and that this user may write"),
            BackupError::Nothing(_) => Failure::new(chain(&err))
                .hint("set COMMONTRACE_DATA_DIR or --data-dir to where the database is"),
            BackupError::Exists(_) | BackupError::Postgres => Failure::new(chain(&err)),
        })?;
    let size = std::fs::metadata(&args.file).map_or(0, |file| file.len());
    say(format_args!(
        "wrote {} ({} KiB)",
        args.file.display(),
        size / 1024
    ));
    Ok(())
}

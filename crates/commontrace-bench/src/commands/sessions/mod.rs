//! `sessions`: how fast recordings are read and events are appended.

mod append;
mod import_speed;

use anyhow::Result;

use crate::report::Report;
use crate::server::ServerArgs;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Parse the recordings of a folder on one core, without and with redaction, and store nothing
    ImportSpeed(import_speed::ImportSpeed),
    /// Append events one by one to a short and to a long session, and by many writers at once
    Append(append::Args),
}

impl Command {
    /// Returns which server is measured, if one is.
    pub fn server(&self) -> Option<&ServerArgs> {
        match self {
            Self::ImportSpeed(_) => None,
            Self::Append(args) => Some(&args.server),
        }
    }
}

/// Measures.
pub async fn run(command: &Command) -> Result<Report> {
    match command {
        Command::ImportSpeed(args) => import_speed::run(args),
        Command::Append(args) => append::run(args).await,
    }
}

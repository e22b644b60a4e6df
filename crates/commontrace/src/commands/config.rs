//! `commontrace config show`: every setting, its value and where that came from.

use super::say;
use crate::config::Config;
use crate::failure::Failure;

/// What to see.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print every setting, its value and its source
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Prints the settings.
pub fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    let Command::Show { json } = command;
    let text = if *json {
        config.to_json()
    } else {
        config.to_text()
    };
    say(text.trim_end());
    Ok(())
}

//! `commontrace sessions validate`: whether a file is what other tools expect of an ATIF trajectory.

use std::path::PathBuf;

use commontrace_session::export::validate_atif;
use commontrace_session::import::LONGEST_DOCUMENT;

use crate::commands::{read_text, say};
use crate::failure::Failure;

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An ATIF trajectory, 1.0 to 1.7; `-` reads standard input
    file: PathBuf,
}

/// Prints each rule that the file breaks, with its place, and fails if there is one.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (name, text) = read_text(&args.file, LONGEST_DOCUMENT)?;
    let document = serde_json::from_str(&text)
        .map_err(|err| Failure::new(format!("{name} is no JSON document: {err}")))?;
    let found = validate_atif(&document);
    for violation in &found {
        say(violation);
    }
    match found.len() {
        0 => {
            say(format_args!("{name} is valid ATIF"));
            Ok(())
        }
        1 => Err(Failure::new(format!("{name} breaks a rule of ATIF"))),
        many => Err(Failure::new(format!(
            "{name} breaks rules of ATIF in {many} places"
        ))),
    }
}

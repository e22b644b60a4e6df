//! `commontrace sessions validate`: whether a file is what other tools expect of an ATIF trajectory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use commontrace_session::export::validate_atif;
use commontrace_session::import::LONGEST_DOCUMENT;

use crate::commands::say;
use crate::failure::Failure;

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An ATIF trajectory, 1.0 to 1.7; `-` reads standard input
    file: PathBuf,
}

/// Prints each rule that the file breaks, with its place, and fails if there is one.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (name, text) = read(&args.file)?;
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

/// What to call the file, and what it holds.
fn read(path: &Path) -> Result<(String, String), Failure> {
    let longest = LONGEST_DOCUMENT as u64;
    let mut text = String::new();
    let (name, read) = if path == Path::new("-") {
        let read = io::stdin()
            .lock()
            .take(longest + 1)
            .read_to_string(&mut text);
        ("standard input".to_owned(), read)
    } else {
        let read =
            File::open(path).and_then(|file| file.take(longest + 1).read_to_string(&mut text));
        (path.display().to_string(), read)
    };
    match read {
        Ok(_) if text.len() > LONGEST_DOCUMENT => Err(Failure::new(format!(
            "{name} is longer than {} MiB, which is the most that is read as one document",
            LONGEST_DOCUMENT >> 20
        ))),
        Ok(_) => Ok((name, text)),
        Err(err) => Err(Failure::new(format!("cannot read {name}: {err}"))),
    }
}

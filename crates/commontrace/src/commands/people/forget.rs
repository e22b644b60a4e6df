//! `commontrace forget`: what this machine remembers besides traces, for how long, and how to be rid of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use super::terminal::{self, plural};
use crate::commands::say;
use crate::commons::outbox::Outbox;
use crate::config::Config;
use crate::failure::Failure;

/// What to forget.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to remove; without it, what there is is listed
    what: Vec<What>,
    /// Remove it without being asked
    #[arg(short, long)]
    yes: bool,
    /// Only list what would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The log of everything that was sent
    Sent,
    /// Contributions that wait, and those that were refused
    Outbox,
    /// Texts of contributions that were not finished
    Drafts,
    /// Which commands failed and how that was solved, as hooks have seen it
    History,
}

impl What {
    const ALL: [Self; 4] = [Self::Sent, Self::Outbox, Self::Drafts, Self::History];

    fn retention(self) -> &'static str {
        match self {
            Self::Sent => "kept up to 40 MiB, the oldest dropped",
            Self::Outbox => "kept until it is sent",
            Self::Drafts => "kept until it is contributed",
            Self::History => "180 days",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Outbox => "outbox",
            Self::Drafts => "drafts",
            Self::History => "history",
        }
    }

    /// The files that hold it.
    fn files(self, data_dir: &Path) -> Vec<PathBuf> {
        let beginning = |beginning: &str| files_in(data_dir, |name| name.starts_with(beginning));
        match self {
            Self::Sent => beginning("sent.jsonl"),
            Self::History => beginning("history.db"),
            Self::Drafts => files_in(&data_dir.join("drafts"), |_| true),
            Self::Outbox => {
                let folder = data_dir.join("outbox");
                let mut files = files_in(&folder, |_| true);
                files.extend(files_in(&folder.join("refused"), |_| true));
                files
            }
        }
    }
}

fn files_in(folder: &Path, is_meant: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files
        .filter(|entry| is_meant(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect()
}

/// Lists or removes.
pub fn run(config: &Config, args: &Args) -> Result<ExitCode, Failure> {
    let data_dir = &config.storage.data_dir;
    let chosen = if args.what.is_empty() {
        What::ALL.to_vec()
    } else {
        args.what.clone()
    };
    let mut found = 0;
    for what in &chosen {
        let files = what.files(data_dir);
        let bytes: u64 = files
            .iter()
            .filter_map(|file| std::fs::metadata(file).ok())
            .map(|file| file.len())
            .sum();
        found += files.len();
        say(format_args!(
            "{:<8} {:>4} file{:1} {:>9} bytes   {}",
            what.name(),
            files.len(),
            plural(files.len()),
            bytes,
            what.retention()
        ));
    }
    if args.what.is_empty() {
        say(format_args!(
            "All in {}. `commontrace forget sent` removes the first, and so on. Recorded sessions: `commontrace sessions prune`.",
            data_dir.display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    if args.dry_run || found == 0 {
        return Ok(ExitCode::from(u8::from(found == 0)));
    }
    if !args.yes {
        let question = format!("Remove {found} file{} for good? [y/N]", plural(found));
        if !matches!(terminal::ask(&question).as_deref(), Some("y" | "yes")) {
            return Err(Failure::new("nothing was removed: you did not agree")
                .code(Failure::HELD_BACK)
                .hint("--yes agrees where there is no terminal to ask on"));
        }
    }
    for what in chosen {
        let removed = match what {
            // Whatever is being sent at the moment is left to whoever sends it.
            What::Outbox => Outbox::in_dir(data_dir).clear(),
            what => what
                .files(data_dir)
                .iter()
                .try_for_each(std::fs::remove_file),
        };
        removed.map_err(|err| {
            Failure::new(format!("cannot remove all of {}: {err}", what.name())).code(Failure::AWAY)
        })?;
    }
    say("removed");
    Ok(ExitCode::SUCCESS)
}

//! `commontrace import-seeds`: the starter traces of this binary, or of a folder.

use std::path::{Path, PathBuf};

use commontrace_server::clock::Clock;
use commontrace_server::seeds;

use super::say;
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// Which traces to import.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of starter traces (*.md) instead of those in the binary
    folder: Option<PathBuf>,
    /// Only check the files and import nothing
    #[arg(long)]
    check: bool,
}

/// Imports, and says what changed.
pub async fn run(config: Config, args: Args) -> Result<(), Failure> {
    let own = args.folder.as_deref().map(read_folder).transpose()?;
    let files: Vec<_> = match &own {
        Some(own) => own
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect(),
        None => start::SEEDS.to_vec(),
    };
    if args.check {
        for file in &files {
            seeds::check(file)?;
        }
        say(format_args!("{} starter traces are fine", files.len()));
        return Ok(());
    }
    let store = start::store(&config).await?;
    // A server that runs, or starts later, sees that they have no vector and makes one.
    let done = seeds::import(&store, &files, Vec::new, Clock::System.now()).await?;
    store.close().await;
    say(format_args!(
        "imported {}, updated {}, left {} as they are",
        done.added, done.updated, done.unchanged
    ));
    Ok(())
}

fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files)
        .map_err(|(path, err)| Failure::new(format!("cannot read {}: {err}", path.display())))?;
    if files.is_empty() {
        return Err(Failure::new(format!(
            "{} holds no *.md files",
            folder.display()
        )));
    }
    files.sort();
    Ok(files)
}

fn collect(
    root: &Path,
    folder: &Path,
    files: &mut Vec<(String, String)>,
) -> Result<(), (PathBuf, std::io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |err| (path, err)
    };
    for entry in std::fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string();
            files.push((name, std::fs::read_to_string(&path).map_err(at(&path))?));
        }
    }
    Ok(())
}

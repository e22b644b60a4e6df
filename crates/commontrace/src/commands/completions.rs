//! `commontrace completions` and `commontrace man`: made of the command line's own declaration, by this program, so
//! that an installed binary needs no other file and they cannot be those of another version.

use std::io::Write as _;
use std::path::PathBuf;

use clap_complete::Shell;

use crate::failure::Failure;

/// For which shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell whose completions are printed
    shell: Shell,
}

/// Where man pages go.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Folder to write the pages to, such as ~/.local/share/man/man1
    folder: PathBuf,
}

/// Prints the completions of a shell.
pub fn print(args: &Args, mut command: clap::Command) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "commontrace", &mut script);
    // A reader that has gone away is not an error.
    let _ = std::io::stdout().lock().write_all(&script);
}

/// Writes a man page for each command.
pub fn write_man_pages(args: &ManArgs, command: clap::Command) -> Result<(), Failure> {
    let folder = &args.folder;
    let failed = |err: std::io::Error| {
        let folder = folder.display();
        Failure::new(format!("cannot write man pages to {folder}: {err}"))
            .hint("name a folder that this user may write to, such as ~/.local/share/man/man1")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    super::say(format_args!("man pages are in {}", folder.display()));
    Ok(())
}

//! `commontrace setup`: what it does to the files of hosts, in a home of its own.

mod damaged;
mod plugin;
mod shapes;
mod undisturbed;

use std::collections::BTreeMap;
use std::path::Path;

use crate::place::{Place, Ran};

/// All hosts, by their names on the command line.
pub const HOSTS: [&str; 7] = [
    "claude", "codex", "cursor", "gemini", "vscode", "copilot", "opencode",
];

/// A home where the data directory is at its usual place, as for hosts.
pub fn home() -> Place {
    Place::new().without("COMMONTRACE_DATA_DIR")
}

/// Runs `commontrace setup` with these words.
pub async fn setup(place: &Place, words: &[&str]) -> Ran {
    let words: Vec<&str> = ["setup"].into_iter().chain(words.iter().copied()).collect();
    place.run(&words).await
}

/// The files of hosts in a home, by path, without our own data directory.
pub fn files(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let home = place.path("");
    collect(&home, &home, &mut files);
    files.retain(|path, _| !path.starts_with(".local/share/commontrace"));
    files
}

fn collect(home: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            collect(home, &path, files);
        } else {
            let name = path.strip_prefix(home).unwrap().display().to_string();
            files.insert(name, std::fs::read(&path).unwrap_or_default());
        }
    }
}

/// How many lines begin with each word that tells what became of a file.
pub fn outcomes(ran: &Ran) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in ran.stdout.lines().chain(ran.stderr.lines()) {
        let word = line.split_whitespace().next().unwrap_or_default();
        if ["created", "updated", "unchanged", "removed", "skipped"].contains(&word) {
            *counts.entry(word.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

/// The words for what became of files, without how often.
pub fn words(ran: &Ran) -> Vec<String> {
    outcomes(ran).into_keys().collect()
}

//! Whether the edited files are about where the failure is.

use std::collections::HashSet;

use commontrace_session::{Actor, Body};

use super::{Check, Missing, Name, number};
use crate::facts::Facts;
use crate::recognise::{PathKind, file_name, path_kind, stem};
use crate::text::start;

/// The most bytes of one output that are read for names.
const READ: usize = 256 << 10;
/// The most names that are kept.
const NAMES: usize = 20_000;

pub fn scope(facts: &Facts<'_>) -> Check {
    let name = Name::Scope;
    if facts.fixes().next().is_none() {
        return Check::unknown(name, Missing::Edits, "no code was edited for good");
    }
    let mut named = Named::default();
    for event in facts.events {
        match &event.body {
            Body::UserMessage { content, .. } if event.actor == Actor::Human => named.read(content),
            Body::Error { message, .. } => named.read(message),
            _ => {}
        }
    }
    for run in facts.runs.iter().filter(|run| run.passed == Some(false)) {
        named.read(run.output);
        named.read(run.command);
        run.failed_tests.iter().for_each(|test| named.read(test));
    }
    if named.stems.is_empty() {
        return Check::unknown(
            name,
            Missing::NamedFiles,
            "no failure and no person names a file",
        );
    }
    let (mut of, mut outside, mut seen) = (0, Vec::new(), HashSet::new());
    for edit in facts.fixes() {
        if !seen.insert(edit.path) {
            continue;
        }
        of += 1;
        if !named.has(edit.path) {
            outside.push(edit);
        }
    }
    let inside = of - outside.len();
    match outside.first() {
        None => Check::pass(
            name,
            format!(
                "{} edited, each where the failure points to",
                number(of, "file")
            ),
        ),
        Some(first) => {
            let message = format!(
                "{} edited that no failure and no person points to, first {}",
                number(outside.len(), "file"),
                start(first.path, 80)
            );
            Check::fail(name, message).at(facts.events, outside.iter().map(|edit| edit.at))
        }
    }
    .counting(inside, of)
}

/// The files that were named, by their names without ending, and the folders that these are in.
#[derive(Default)]
struct Named {
    stems: HashSet<String>,
    /// Folders of no tests.
    folders: HashSet<String>,
    /// What these end with, from one of their parts on.
    folder_ends: HashSet<String>,
}

impl Named {
    fn read(&mut self, text: &str) {
        let end = text.floor_char_boundary(text.len().min(READ));
        let words = text[..end].split(|c: char| !(c.is_alphanumeric() || "._-/:\\".contains(c)));
        for word in words {
            let word = word.trim_matches(['.', ':', '/', '-']);
            if self.stems.len() >= NAMES || word.len() < 3 || word.len() > 300 {
                continue;
            }
            // `a/b.py:12`, `a.b.c` and `a::b` all name files or modules.
            let path = word.split(':').next().unwrap_or(word).replace('\\', "/");
            if let Some((folder, _)) = path.rsplit_once('/') {
                self.add_folder(folder.trim_start_matches("./"));
            }
            if path.contains(['/', '.']) || word.contains("::") {
                for part in word.split(['.', ':', '/']) {
                    if part.len() > 2 && part.parse::<f64>().is_err() {
                        self.stems.insert(plain(part));
                    }
                }
            }
        }
    }

    fn has(&self, path: &str) -> bool {
        let name = stem(file_name(path));
        if self.stems.contains(&plain(name)) {
            return true;
        }
        let folder = path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .trim_start_matches("./");
        // Beside a named file that is no test; a module's other files are about the same.
        !folder.is_empty()
            && (self.folder_ends.contains(folder)
                || ends(folder).any(|end| self.folders.contains(end)))
    }

    fn add_folder(&mut self, folder: &str) {
        let tests = path_kind(&format!("{folder}/x")) == PathKind::Test;
        if tests
            || folder.is_empty()
            || self.folders.len() >= NAMES
            || self.folders.contains(folder)
        {
            return;
        }
        self.folders.insert(folder.to_owned());
        self.folder_ends.extend(ends(folder).map(str::to_owned));
    }
}

/// A path, and what is left of it without its first part, its first two parts, and so on.
fn ends(path: &str) -> impl Iterator<Item = &str> {
    let behind = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
    std::iter::once(path)
        .chain(behind)
        .filter(|end| !end.is_empty())
        .take(16)
}

/// A name without the words that tests add to that of what they test.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let name = name.strip_prefix("test_").unwrap_or(&name);
    let name = ["_tests", "_test", "_spec", "tests", "test"]
        .iter()
        .find_map(|end| name.strip_suffix(end).filter(|rest| rest.len() > 2))
        .unwrap_or(name);
    name.to_owned()
}

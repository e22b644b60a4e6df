//! The files of an import: which there are, and what lies beside one of them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Folders are followed this deep.
const DEEPEST: usize = 16;

/// The files below a path that may hold sessions, in an order in which what continues a session comes after
/// what begins it. A file is its own only answer, whatever it is called.
///
/// Of a plain and a compressed file of one name the plain one is taken. Side files of other files, version
/// control and symbolic links to folders are left out.
pub fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    walk(path, 0, &mut found)?;
    let plain: BTreeSet<PathBuf> = found.iter().cloned().collect();
    found.retain(|file| {
        file.extension().is_none_or(|end| end != "zst") || !plain.contains(&file.with_extension(""))
    });
    found.sort_by_cached_key(|file| order(file));
    Ok(found)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() {
            if depth < DEEPEST
                && !name.starts_with(".git")
                && !matches!(&*name, "tool-results" | "node_modules")
            {
                walk(&path, depth + 1, found)?;
            }
        } else if is_recording(&name) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_recording(name: &str) -> bool {
    let ends = [".jsonl", ".jsonl.zst", ".json", ".traj"];
    let is_other = OTHERS.contains(&name) || name.ends_with(".meta.json");
    ends.iter().any(|end| name.ends_with(end)) && !is_other
}

/// What agents and projects keep in the same folders under such names, and is no session. Named one by one
/// they are read all the same.
const OTHERS: &[&str] = &[
    "history.jsonl",
    "logs.json",
    "package.json",
    "package-lock.json",
    "projects.json",
    "sessions-index.json",
    "session_index.jsonl",
    "settings.json",
    "settings.local.json",
    "tsconfig.json",
];

/// Files of agents that others have set to work come after those that tell of it, and `x.cont-1.json` after
/// `x.json`.
fn order(file: &Path) -> (PathBuf, bool, String) {
    let mut folder = file.parent().map(Path::to_owned).unwrap_or_default();
    let mut inner = false;
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if folder.ends_with("subagents") {
        // `SESSION/subagents/agent-1.jsonl` belongs to `SESSION.jsonl`.
        inner = true;
        folder = folder
            .parent()
            .and_then(Path::parent)
            .map(Path::to_owned)
            .unwrap_or_default();
    }
    (folder, inner, name.replace(".cont-", "~cont-"))
}

/// What lies beside a file.
pub(crate) struct Beside {
    folder: Option<PathBuf>,
    /// What Claude Code notes of a sub-agent.
    meta: Option<PathBuf>,
}

impl Beside {
    pub(crate) fn none() -> Self {
        Self {
            folder: None,
            meta: None,
        }
    }

    /// The folder of Claude Code beside a session's file, or around the file of a sub-agent.
    pub(crate) fn of(path: &Path) -> Self {
        let parent = path.parent();
        match parent {
            Some(parent) if parent.ends_with("subagents") => Self {
                folder: parent.parent().map(Path::to_owned),
                meta: Some(path.with_extension("meta.json")),
            },
            _ => Self {
                folder: Some(path.with_extension("")),
                meta: None,
            },
        }
    }

    /// The call that set a sub-agent to work, from the file beside the agent's.
    pub(crate) fn tool_use(&self) -> Option<String> {
        const LONGEST: u64 = 64 * 1024;
        let mut text = String::new();
        let file = super::open(self.meta.as_ref()?).ok()?;
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        let meta: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(meta.get("toolUseId")?.as_str()?.to_owned())
    }

    /// A text that was too large for the record which names it. Only the last part of the name counts, so
    /// that no record can name a file elsewhere.
    pub(crate) fn tool_result(&self, name: &str) -> Option<String> {
        let name = super::paths::last_part(name.trim());
        if name.is_empty() || name == ".." {
            return None;
        }
        let path = self.folder.as_ref()?.join("tool-results").join(name);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|about| about.is_file());
        if !is_file {
            return None;
        }
        let mut bytes = Vec::new();
        super::open(&path)
            .ok()?
            .take(super::lines::LONGEST_LINE as u64)
            .read_to_end(&mut bytes)
            .ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_come_before_what_continues_them_and_other_files_are_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "{}").expect("a file");
        };
        for name in [
            "p/s1/subagents/agent-a.jsonl",
            "p/s1/subagents/agent-a.meta.json",
            "p/s1/tool-results/b.json",
            "p/s1.jsonl",
            "p/t.cont-1.json",
            "p/t.json",
            "p/u.jsonl",
            "p/u.jsonl.zst",
            "p/v.jsonl.zst",
            "p/settings.json",
            "p/notes.txt",
        ] {
            write(name);
        }
        let found = files(folder.path()).expect("a folder can be read");
        let names: Vec<_> = found
            .iter()
            .map(|path| {
                path.strip_prefix(folder.path())
                    .expect("below")
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        assert_eq!(
            names,
            [
                "p/s1.jsonl",
                "p/t.json",
                "p/t.cont-1.json",
                "p/u.jsonl",
                "p/v.jsonl.zst",
                "p/s1/subagents/agent-a.jsonl"
            ]
        );
        let one = folder.path().join("p/settings.json");
        assert_eq!(files(&one).expect("a file"), [one]);
    }

    #[test]
    fn a_record_names_no_file_but_those_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("s/tool-results")).expect("a folder");
        fs::write(folder.path().join("s/tool-results/b.txt"), "whole").expect("a file");
        fs::write(folder.path().join("s/secret"), "secret").expect("a file");
        let beside = Beside::of(&folder.path().join("s.jsonl"));
        assert_eq!(
            beside
                .tool_result("/anywhere/tool-results/b.txt")
                .as_deref(),
            Some("whole")
        );
        for name in [
            "../secret",
            "..",
            "",
            "/etc/hosts",
            "tool-results/../../secret",
            ".",
        ] {
            assert_eq!(beside.tool_result(name), None, "{name}");
        }
    }
}

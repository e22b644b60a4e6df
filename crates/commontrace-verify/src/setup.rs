//! Dependencies: a phase of its own before the tests, cached, and the only one that may use a network.
//!
//! What a set-up puts into its folder is there in the tests, read-only; what it adds to the tree itself
//! (`node_modules`) is kept too and put into every tree that has the same manifests.

use std::collections::BTreeSet;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::git::remove_folder;
use crate::runner::Folders;

/// Files that say what a project depends on, in the root of a tree.
const MANIFESTS: [&str; 18] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "requirements.txt",
    "requirements-dev.txt",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "poetry.lock",
    "uv.lock",
    "package.json",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "go.mod",
    "go.sum",
    "Gemfile.lock",
    "Makefile",
];

/// The folder, within that of the dependencies, for what a set-up added to the tree.
const ADDED: &str = "added-to-tree";

/// Which set-up is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setup {
    /// None.
    None,
    /// What the manifests ask for.
    #[default]
    Detect,
    /// This command.
    Command(String),
}

/// How to set up the dependencies of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipe {
    /// The command; empty if there is nothing to do.
    pub command: String,
    /// What to run before the tests in their shell.
    pub prelude: String,
    /// Variables for the set-up and the tests.
    pub env: Vec<(String, String)>,
    /// What could not be set up, and why.
    pub warnings: Vec<String>,
}

impl Recipe {
    fn add(&mut self, command: &str) {
        if !self.command.is_empty() {
            self.command.push_str(" && ");
        }
        self.command.push_str(command);
    }

    fn env(&mut self, name: &str, value: String) {
        self.env.push((name.to_owned(), value));
    }
}

/// The recipe for a tree. Without a network only what can be done without one is tried.
#[must_use]
pub fn recipe(setup: &Setup, tree: &Path, inside: &Folders, network: bool) -> Recipe {
    let mut recipe = Recipe::default();
    let dependencies = inside.dependencies.display();
    match setup {
        Setup::None => return recipe,
        Setup::Command(command) => {
            recipe.add(command);
            return recipe;
        }
        Setup::Detect => {}
    }
    let has = |name: &str| tree.join(name).is_file();
    if has("Cargo.toml") {
        let locked = if has("Cargo.lock") { " --locked" } else { "" };
        let offline = if network { "" } else { " --offline" };
        recipe.add(&format!(
            "CARGO_NET_OFFLINE={} cargo fetch{locked}{offline}",
            !network
        ));
        // Without a network what is on the machine has to do.
        if network {
            recipe.env("CARGO_HOME", format!("{dependencies}/cargo"));
        }
    }
    if has("go.mod") {
        if network {
            recipe.env("GOMODCACHE", format!("{dependencies}/go"));
        }
        recipe.env("GOTOOLCHAIN", "local".to_owned());
        recipe.env("GOFLAGS", "-modcacherw".to_owned());
        if has("go.sum") && !tree.join("vendor").is_dir() {
            let proxy = if network { "" } else { "GOPROXY=off " };
            recipe.add(&format!("{proxy}go mod download"));
        }
    }
    let python = ["requirements.txt", "requirements-dev.txt"]
        .into_iter()
        .filter(|name| has(name));
    let mut python: Vec<String> = python.map(|name| format!("-r {name}")).collect();
    if (has("pyproject.toml") || has("setup.py")) && !has("Cargo.toml") {
        python.push("-e .".to_owned());
    }
    if !python.is_empty() {
        if network {
            let venv = format!("{dependencies}/venv");
            recipe.add(&format!(
                "python3 -m venv --system-site-packages {venv} && {venv}/bin/pip install --quiet \
                 --disable-pip-version-check --no-cache-dir {}",
                python.join(" ")
            ));
            recipe.prelude = format!("PATH={venv}/bin:$PATH; export PATH; ");
        } else {
            recipe
                .warnings
                .push("Python packages were not installed: there is no network".into());
        }
    }
    if has("package-lock.json") {
        if network {
            recipe.add("npm ci --no-audit --no-fund");
        } else if !tree.join("node_modules").is_dir() {
            recipe
                .warnings
                .push("npm packages were not installed: there is no network".into());
        }
    }
    recipe
}

/// What a set-up depends on: the recipe, the manifests, and where it runs.
#[must_use]
pub fn key(recipe: &Recipe, tree: &Path, identity: &str, network: bool) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(recipe.command.as_bytes());
    part(identity.as_bytes());
    part(&[u8::from(network)]);
    for name in MANIFESTS {
        part(name.as_bytes());
        let path = tree.join(name);
        if path.is_file() && !path.is_symlink() {
            part(&std::fs::read(&path).unwrap_or_default());
        }
    }
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Every path below a folder, relative to it. Links are not followed.
///
/// # Errors
/// If a folder cannot be read.
pub fn paths(root: &Path) -> std::io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path);
        }
    }
    Ok(found)
}

/// Moves what a set-up added to a tree to its dependencies. `before` is what was there.
///
/// # Errors
/// If something cannot be moved.
pub fn keep_added(
    tree: &Path,
    before: &BTreeSet<PathBuf>,
    dependencies: &Path,
) -> std::io::Result<()> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(tree.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if !before.contains(&path) {
                let kept = dependencies.join(ADDED).join(&path);
                if let Some(parent) = kept.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::rename(entry.path(), kept)?;
            } else if entry.file_type()?.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

/// Puts what the set-up added into a tree. What the tree has itself stays.
///
/// # Errors
/// If something cannot be copied.
pub fn put_added(dependencies: &Path, tree: &Path) -> std::io::Result<()> {
    let from = dependencies.join(ADDED);
    if !from.is_dir() {
        return Ok(());
    }
    // Folders come before what is in them, as their paths are shorter.
    for path in paths(&from)? {
        let (source, target) = (from.join(&path), tree.join(&path));
        let through_link = target
            .ancestors()
            .take_while(|p| *p != tree)
            .any(Path::is_symlink);
        let kind = source.symlink_metadata()?.file_type();
        if through_link || (target.symlink_metadata().is_ok() && !kind.is_dir()) {
            continue;
        }
        if kind.is_dir() {
            std::fs::create_dir_all(&target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            std::fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// The most set-ups that are kept.
const MAX_KEPT: usize = 20;

/// Where the dependencies of a key are. While there is a value of this, nobody else sets them up anew or
/// removes them.
#[derive(Debug)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    done: PathBuf,
    lock: std::fs::File,
}

impl Place {
    /// The place of a key under `cache`: to be read by any number if it is complete, otherwise for this
    /// caller alone, who has to set it up. `None` while another is doing that.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn try_lock(cache: &Path, key: &str) -> std::io::Result<Option<Self>> {
        std::fs::create_dir_all(cache)?;
        let path = cache.join(format!("{key}.lock"));
        let lock = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)?;
        let place = Self {
            folder: cache.join(key),
            done: cache.join(format!("{key}.done")),
            lock,
        };
        let locked = match place.lock.try_lock_shared() {
            Ok(()) if place.is_done() => return Ok(Some(place)),
            Ok(()) => {
                place.lock.unlock()?;
                place.lock.try_lock()
            }
            Err(error) => Err(error),
        };
        match locked {
            Ok(()) => Ok(Some(place)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether the set-up was carried through.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done.is_file() && self.folder.is_dir()
    }

    /// Makes the folder anew: what a set-up that was stopped has left is not to be trusted.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn begin(&self) -> std::io::Result<()> {
        remove_if_there(&self.done)?;
        remove_folder(&self.folder)?;
        std::fs::create_dir_all(&self.folder)
    }

    /// Notes that the set-up was carried through, and lets others read.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn done(&self) -> std::io::Result<()> {
        std::fs::write(&self.done, "")?;
        // Turns the lock into one that others can have too.
        self.lock.lock_shared()
    }
}

/// Removes the oldest set-ups beyond what is kept, unless they are in use.
///
/// # Errors
/// If the folder cannot be read.
pub fn prune(cache: &Path) -> std::io::Result<()> {
    prune_to(cache, MAX_KEPT)
}

fn prune_to(cache: &Path, keep: usize) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(cache) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut done = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "done")
        {
            done.push((entry.metadata()?.modified()?, path));
        }
    }
    done.sort_unstable();
    let excess = done.len().saturating_sub(keep);
    for (_, path) in done.into_iter().take(excess) {
        let lock = std::fs::File::options()
            .append(true)
            .open(path.with_extension("lock"))?;
        if lock.try_lock().is_ok() {
            remove_if_there(&path)?;
            remove_folder(&path.with_extension(""))?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> Folders {
        let folder = |name: &str| PathBuf::from(format!("/{name}"));
        Folders {
            tree: folder("src"),
            reports: folder("out"),
            scratch: folder("scratch"),
            dependencies: folder("deps"),
        }
    }

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(tree.path().join(file), "").unwrap();
        }
        tree
    }

    #[test]
    fn manifests_tell_the_recipe() {
        for (files, network, expected) in [
            (
                vec!["Cargo.toml", "Cargo.lock"],
                false,
                "CARGO_NET_OFFLINE=true cargo fetch --locked --offline",
            ),
            (
                vec!["Cargo.toml"],
                true,
                "CARGO_NET_OFFLINE=false cargo fetch",
            ),
            (vec!["go.mod"], true, ""),
            (vec!["go.mod", "go.sum"], true, "go mod download"),
            (
                vec!["package.json", "package-lock.json"],
                true,
                "npm ci --no-audit --no-fund",
            ),
            (vec!["package.json"], true, ""),
            (vec!["requirements.txt"], false, ""),
        ] {
            let tree = tree(&files);
            let recipe = recipe(&Setup::Detect, tree.path(), &folders(), network);
            assert_eq!(recipe.command, expected, "{files:?}");
        }
        let tree = tree(&["requirements.txt"]);
        let recipe = recipe(&Setup::Detect, tree.path(), &folders(), true);
        assert!(
            recipe.command.contains("/deps/venv/bin/pip install")
                && recipe.prelude.contains("/deps/venv/bin:")
        );
    }

    #[test]
    fn another_lock_file_is_another_set_up() {
        let (one, two) = (tree(&["Cargo.toml"]), tree(&["Cargo.toml", "Cargo.lock"]));
        let recipe = Recipe::default();
        let key = |tree: &tempfile::TempDir| key(&recipe, tree.path(), "x", false);
        assert_ne!(key(&one), key(&two));
        assert_eq!(key(&one), key(&tree(&["Cargo.toml", "README"])));
    }

    #[test]
    fn what_a_set_up_adds_to_the_tree_goes_into_other_trees() {
        let (tree, other, kept) = (tree(&["a"]), tree(&["a"]), tempfile::tempdir().unwrap());
        let before = paths(tree.path()).unwrap();
        std::fs::create_dir_all(tree.path().join("node_modules/x")).unwrap();
        std::fs::write(tree.path().join("node_modules/x/y"), "1").unwrap();
        std::os::unix::fs::symlink("x/y", tree.path().join("node_modules/link")).unwrap();
        keep_added(tree.path(), &before, kept.path()).unwrap();
        assert_eq!(paths(tree.path()).unwrap(), before);
        put_added(kept.path(), other.path()).unwrap();
        assert_eq!(
            std::fs::read_to_string(other.path().join("node_modules/link")).unwrap(),
            "1"
        );
    }

    #[test]
    fn nothing_is_added_through_a_link() {
        let (kept, other, outside) = (tempfile::tempdir().unwrap(), tree(&[]), tree(&[]));
        std::fs::create_dir_all(kept.path().join(ADDED).join("lib")).unwrap();
        std::fs::write(kept.path().join(ADDED).join("lib/x"), "1").unwrap();
        std::os::unix::fs::symlink(outside.path(), other.path().join("lib")).unwrap();
        put_added(kept.path(), other.path()).unwrap();
        assert!(paths(outside.path()).unwrap().is_empty());
    }

    #[test]
    fn a_set_up_that_was_stopped_begins_anew() {
        let cache = tempfile::tempdir().unwrap();
        let lock = || Place::try_lock(cache.path(), "k").unwrap();
        let place = lock().unwrap();
        assert!(lock().is_none());
        place.begin().unwrap();
        std::fs::write(place.folder.join("half"), "").unwrap();
        drop(place);
        let place = lock().unwrap();
        assert!(!place.is_done());
        place.begin().unwrap();
        assert!(!place.folder.join("half").exists());
        place.done().unwrap();
        // What is complete can be read by any number.
        assert!(lock().unwrap().is_done() && lock().unwrap().is_done());
    }

    #[test]
    fn the_oldest_set_ups_make_room_unless_they_are_in_use() {
        let cache = tempfile::tempdir().unwrap();
        let mut used = Vec::new();
        for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
            let place = Place::try_lock(cache.path(), key).unwrap().unwrap();
            place.begin().unwrap();
            place.done().unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(n as u64);
            std::fs::File::open(&place.done)
                .unwrap()
                .set_modified(time)
                .unwrap();
            used.push(place);
        }
        used.truncate(1);
        prune_to(cache.path(), 1).unwrap();
        let left = ["a", "b", "c"].map(|key| cache.path().join(key).is_dir());
        assert_eq!(left, [true, false, true]);
    }
}

//! Dependencies: a phase of its own before the tests, cached, and the only one that may use a network.
//!
//! What a set-up puts into its folder is there in the tests, read-only; what it adds to the tree itself
//! (`node_modules`) is kept too and put into every tree of a verification that has the same manifests. It runs
//! scripts of the tree it is made in, so another verification gets it only for that very tree.

mod added;
mod place;

use std::path::Path;

use commontrace_core::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::runner::Folders;

pub use added::{keep_added, paths, put_added};
pub use place::{Place, prune};

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

/// What states of one verification share a set-up by: the recipe, the manifests, and where it runs.
#[must_use]
pub fn kind(recipe: &Recipe, tree: &Path, identity: &str, network: bool) -> String {
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
    hex::encode(&hash.finalize()[..16])
}

/// What a set-up is kept by: its kind and the hash of the tree that it is made in. By its kind alone, whoever
/// has other files beside the same manifests would get what the scripts of this tree leave, and the other way
/// round.
#[must_use]
pub fn key(kind: &str, tree: &str) -> String {
    hex::encode(&Sha256::digest(format!("{kind} {tree}"))[..16])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
    fn another_lock_file_is_another_kind_of_set_up() {
        let (one, two) = (tree(&["Cargo.toml"]), tree(&["Cargo.toml", "Cargo.lock"]));
        let recipe = Recipe::default();
        let kind = |tree: &tempfile::TempDir| kind(&recipe, tree.path(), "x", false);
        assert_ne!(kind(&one), kind(&two));
        assert_eq!(kind(&one), kind(&tree(&["Cargo.toml", "README"])));
    }
}

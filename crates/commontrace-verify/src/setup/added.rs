//! What a set-up adds to the tree itself, such as `node_modules`: taken out, and put into other trees.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder, within that of the dependencies, for what a set-up added to the tree.
const ADDED: &str = "added-to-tree";

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

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(tree.path().join(file), "").unwrap();
        }
        tree
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
}

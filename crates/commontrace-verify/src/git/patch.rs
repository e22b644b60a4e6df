//! Patches as text: which files they touch, and their line ends.

use std::path::Path;

use super::GitError;
use super::edit::inside;
use crate::reason::Reason;

/// One file's part of a patch.
#[derive(Debug)]
struct Section<'a> {
    /// The path it changes, without `a/` or `b/`.
    path: Option<String>,
    lines: Vec<&'a [u8]>,
}

/// The patch with the line ends that its targets have: agents' tools often deliver CRLF for files with
/// LF. Where a target has CRLF itself, nothing is changed.
///
/// # Errors
/// With [`Reason::PatchFailed`] if a path leaves the folder.
pub(super) fn with_line_ends_of(patch: &[u8], folder: &Path) -> Result<Vec<u8>, GitError> {
    let mut out = Vec::with_capacity(patch.len());
    for section in sections(patch) {
        let strip = match &section.path {
            None => true,
            Some(path) => {
                let target = inside(folder, path)?;
                match std::fs::read(&target) {
                    Ok(content) => !content.windows(2).any(|pair| pair == b"\r\n"),
                    Err(_) => false,
                }
            }
        };
        for line in section.lines {
            let is_text = line.starts_with(b"+") && !line.starts_with(b"+++ ")
                || line.starts_with(b"-") && !line.starts_with(b"--- ")
                || line.starts_with(b" ");
            match line.strip_suffix(b"\r\n") {
                Some(start) if strip || !is_text => {
                    out.extend_from_slice(start);
                    out.push(b'\n');
                }
                _ => out.extend_from_slice(line),
            }
        }
    }
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    Ok(out)
}

/// The files that a patch touches.
///
/// # Errors
/// With [`Reason::PatchFailed`] if it touches none.
pub(super) fn paths(patch: &[u8]) -> Result<Vec<String>, GitError> {
    let paths: Vec<String> = sections(patch).into_iter().filter_map(|s| s.path).collect();
    if paths.is_empty() {
        return Err(GitError::new(
            Reason::PatchFailed,
            "the patch changes no file",
        ));
    }
    Ok(paths)
}

/// Parts a patch at each file: at `diff --git`, or at `--- ` followed by `+++ ` where that is missing.
fn sections(patch: &[u8]) -> Vec<Section<'_>> {
    let lines: Vec<&[u8]> = patch.split_inclusive(|byte| *byte == b'\n').collect();
    let mut sections = vec![Section {
        path: None,
        lines: Vec::new(),
    }];
    let mut has_git_line = false;
    for (at, line) in lines.iter().enumerate() {
        let next = lines.get(at + 1).copied().unwrap_or_default();
        let starts_git = line.starts_with(b"diff --git ");
        let starts_plain = line.starts_with(b"--- ") && next.starts_with(b"+++ ");
        if starts_git || (starts_plain && !has_git_line) {
            sections.push(Section {
                path: None,
                lines: Vec::new(),
            });
        }
        // Within one section a second `--- ` belongs to the next file unless `diff --git` announced it.
        has_git_line = (has_git_line || starts_git) && !starts_plain;
        if let Some(section) = sections.last_mut() {
            section.lines.push(line);
            if starts_plain {
                section.path = name(next, b"+++ ").or_else(|| name(line, b"--- "));
            }
        }
    }
    sections
}

/// The path in a line `+++ b/path`, unless it is `/dev/null`.
fn name(line: &[u8], mark: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line.strip_prefix(mark)?).into_owned();
    let text = text.trim_end_matches(['\r', '\n']);
    // Some tools put a tab and a time after the path.
    let text = text.split('\t').next().unwrap_or(text).trim_matches('"');
    let text = text
        .strip_prefix("a/")
        .or_else(|| text.strip_prefix("b/"))
        .unwrap_or(text);
    (text != "/dev/null" && text != "dev/null").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_patch_makes_it_panic_and_nothing_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let kept: usize = sections(&bytes).iter().flat_map(|s| &s.lines).map(|line| line.len()).sum();
            prop_assert_eq!(kept, bytes.len());
        }
    }

    #[test]
    fn line_ends_follow_the_target() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lf"), "a\nb\n").unwrap();
        std::fs::write(folder.path().join("crlf"), "a\r\nb\r\n").unwrap();
        let patch = |name: &str| {
            format!("--- a/{name}\r\n+++ b/{name}\r\n@@ -1,2 +1,2 @@\r\n-a\r\n+c\r\n b\r\n")
        };
        let text = |name| {
            let patch = with_line_ends_of(patch(name).as_bytes(), folder.path()).unwrap();
            String::from_utf8(patch).unwrap()
        };
        assert_eq!(
            text("lf"),
            "--- a/lf\n+++ b/lf\n@@ -1,2 +1,2 @@\n-a\n+c\n b\n"
        );
        assert_eq!(
            text("crlf"),
            "--- a/crlf\n+++ b/crlf\n@@ -1,2 +1,2 @@\n-a\r\n+c\r\n b\r\n"
        );
    }

    #[test]
    fn each_file_is_named_with_and_without_a_git_line() {
        let patch = b"diff --git a/x b/x\nindex 1..2\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n--- y\t2020\n+++ y\t2020\n@@ -1 +1 @@\n-a\n+b\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n";
        assert_eq!(paths(patch).unwrap(), ["x", "y", "gone"]);
        assert!(paths(b"nothing").is_err());
    }
}

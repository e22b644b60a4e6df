//! What kind of file a path names.

use commontrace_core::test_path::is_test;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A test, or what only tests use.
    Test,
    /// Words for people.
    Docs,
    /// Something to try with, which is no part of the change.
    Scratch,
    /// Everything else.
    Source,
}

/// Tells by its path what a file is for.
pub fn path_kind(path: &str) -> PathKind {
    let path = path.replace('\\', "/");
    let name = file_name(&path);
    let lower = name.to_ascii_lowercase();
    if path.starts_with("/tmp/") || path.starts_with("/private/tmp/") || is_scratch(&lower) {
        return PathKind::Scratch;
    }
    if is_test(&path) {
        return PathKind::Test;
    }
    let extension = lower
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension);
    let words =
        ["md", "rst", "adoc", "txt"].contains(&extension) && !lower.contains("requirements");
    if words || ["license", "changelog", "readme"].contains(&lower.as_str()) {
        return PathKind::Docs;
    }
    PathKind::Source
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// A file's name up to its first dot, or with it if it starts with one.
pub fn stem(name: &str) -> &str {
    match name.find('.') {
        Some(0) | None => name,
        Some(dot) => &name[..dot],
    }
}

fn is_scratch(lower: &str) -> bool {
    ["repro", "scratch", "debug_"]
        .iter()
        .any(|start| lower.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_by_folder_and_by_name() {
        for path in [
            "tests/it/main.rs",
            "src/test/java/OrderTest.java",
            "pkg/test_parser.py",
            "pkg/parser_test.go",
            "web/Button.test.tsx",
            "web/__tests__/button.js",
            "spec/models/user_spec.rb",
            "tests.py",
        ] {
            assert_eq!(path_kind(path), PathKind::Test, "{path}");
        }
        for path in [
            "src/parser.rs",
            "src/Latest.java",
            "contest/main.go",
            "attestation.py",
        ] {
            assert_eq!(path_kind(path), PathKind::Source, "{path}");
        }
        assert_eq!(path_kind("docs/guide.md"), PathKind::Docs);
        assert_eq!(path_kind("/tmp/x.py"), PathKind::Scratch);
        assert_eq!(path_kind("reproduce_bug.py"), PathKind::Scratch);
        assert_eq!(path_kind("requirements.txt"), PathKind::Source);
    }
}

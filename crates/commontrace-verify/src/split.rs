//! Which files of a change are its tests, told by their paths.

use commontrace_core::test_path::is_test;

/// The parts of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Paths of tests, and of what only tests use.
    pub tests: Vec<String>,
    /// All others.
    pub rest: Vec<String>,
}

/// Parts paths into tests and others. With `patterns`, only what matches one of them is a test: a folder
/// (`spec/`), a path, or a name with `*` for any characters (`*_check.py`).
#[must_use]
pub fn split<'a>(paths: impl IntoIterator<Item = &'a str>, patterns: Option<&[String]>) -> Parts {
    let mut parts = Parts::default();
    for path in paths {
        let is_test = match patterns {
            Some(patterns) => patterns.iter().any(|pattern| matches(pattern, path)),
            None => is_test(path),
        };
        let part = if is_test {
            &mut parts.tests
        } else {
            &mut parts.rest
        };
        part.push(path.to_owned());
    }
    parts
}

/// Whether a path matches a pattern of [`split`].
fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches("./");
    if let Some(folder) = pattern.strip_suffix('/') {
        let inside = path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'));
        return inside || path.contains(&format!("/{folder}/"));
    }
    if pattern.contains('/') {
        return wildcard(pattern, path);
    }
    path.rsplit('/')
        .next()
        .is_some_and(|name| wildcard(pattern, name))
}

/// Whether a text matches a pattern in which `*` stands for any characters. Linear in both lengths' product.
fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else {
            return false;
        };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

/// Whether a test's id names the file that it is in. Used only where nothing better tells which file a
/// test is from; in doubt the answer is no.
#[must_use]
pub fn belongs(id: &str, path: &str) -> bool {
    // What a stem alone does not tell apart.
    const COMMON: [&str; 9] = [
        "mod", "lib", "main", "index", "__init__", "conftest", "test", "tests", "spec",
    ];
    let id = parted(id);
    let without_extension = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    let whole = parted(without_extension);
    if whole.len() > 2 && id.contains(&whole) {
        return true;
    }
    if path.ends_with("_test.go") {
        // A Go test's id has its package: the folder of the file.
        return match path.rsplit_once('/') {
            Some((folder, _)) => id.contains(&parted(folder)),
            None => true,
        };
    }
    let stem = without_extension
        .rsplit('/')
        .next()
        .unwrap_or(without_extension);
    !COMMON.contains(&stem) && !stem.is_empty() && id.contains(&parted(stem))
}

/// A text as `/words/between/slashes/`.
fn parted(text: &str) -> String {
    let mut out = String::from("/");
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, '_' | '-') {
            out.push(c);
        } else if !out.ends_with('/') {
            out.push('/');
        }
    }
    if !out.ends_with('/') {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_replace_the_customs() {
        let patterns = [
            "checks/".to_owned(),
            "*_check.py".to_owned(),
            "src/only.rs".to_owned(),
        ];
        let parts = split(
            [
                "checks/a",
                "x/checks/b",
                "a/b_check.py",
                "src/only.rs",
                "tests/c.rs",
            ],
            Some(&patterns),
        );
        assert_eq!(
            parts.tests,
            ["checks/a", "x/checks/b", "a/b_check.py", "src/only.rs"]
        );
        assert_eq!(parts.rest, ["tests/c.rs"]);
    }

    #[test]
    fn an_id_tells_its_file_in_every_notation() {
        for (id, path) in [
            ("tests.test_a.TestX::test_y[1]", "tests/test_a.py"),
            ("tests/test_a.py::test_y", "tests/test_a.py"),
            ("test_a.C.test_y", "tests/test_a.py"),
            ("it(tests/it.rs)::works", "tests/it.rs"),
            ("example.org/m/sub/TestX", "sub/x_test.go"),
            ("/src/a.test.js > sum > adds", "a.test.js"),
            ("com.x.FooTest::adds", "src/test/java/com/x/FooTest.java"),
        ] {
            assert!(belongs(id, path), "{id} {path}");
        }
        for (id, path) in [
            ("tests.test_ab::t", "tests/test_a.py"),
            ("foo(src/lib.rs)::tests::t", "tests/mod.rs"),
            ("example.org/m/other/TestX", "sub/x_test.go"),
        ] {
            assert!(!belongs(id, path), "{id} {path}");
        }
    }
}

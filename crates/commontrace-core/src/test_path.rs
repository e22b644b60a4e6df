//! Which files are tests, told by their paths.

/// Folders of tests, and of what only tests use.
const FOLDERS: [&str; 7] = [
    "tests",
    "test",
    "__tests__",
    "spec",
    "specs",
    "testdata",
    "__snapshots__",
];
/// Where a class whose name ends with `Test` is one.
const CLASSES: [&str; 8] = ["java", "kt", "scala", "groovy", "cs", "swift", "php", "rb"];

/// Whether a path is a test's, or that of what only tests use, by the customs of its language: in a folder
/// such as `tests/`, or by a name such as `test_*`, `*_test.*`, `*.spec.*`, `conftest.*` or `OrderTest.java`.
/// Parts are divided by `/`.
pub fn is_test(path: &str) -> bool {
    let mut folders: Vec<&str> = path.split('/').collect();
    let Some(name) = folders.pop() else {
        return false;
    };
    if folders.iter().any(|folder| FOLDERS.contains(folder)) {
        return true;
    }
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    if extension.is_empty() {
        return false;
    }
    let lower = stem.to_ascii_lowercase();
    let marked = extension
        .split('.')
        .any(|part| matches!(part, "test" | "tests" | "spec"));
    // `Latest.java` is no test, `OrderTest.java` is one.
    let class = CLASSES.contains(&extension)
        && ["Test", "Tests", "TestCase", "Spec", "IT"]
            .iter()
            .any(|end| stem.len() > end.len() && stem.ends_with(end));
    marked
        || class
        || ["test_", "test-"]
            .iter()
            .any(|start| lower.starts_with(start))
        || ["_test", "_tests", "_spec", "-test"]
            .iter()
            .any(|end| lower.ends_with(end))
        || matches!(&*lower, "conftest" | "tests" | "test")
        || extension == "t"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_by_folder_and_by_name() {
        for path in [
            "tests/it.rs",
            "pkg/tests/data/a.json",
            "pkg/testdata/in.txt",
            "web/__snapshots__/a.snap",
            "src/test/java/com/x/Foo.java",
            "OrderTest.java",
            "OrderIT.kt",
            "CartSpec.scala",
            "test_a.py",
            "Test_a.py",
            "tests.py",
            "test-utils.js",
            "button-test.js",
            "sub/a_test.go",
            "models/user_spec.rb",
            "src/a.spec.ts",
            "src/a.test.tsx",
            "src/a.tests.ts",
            "src/__tests__/a.js",
            "conftest.py",
            "t/a.t",
        ] {
            assert!(is_test(path), "{path}");
        }
        for path in [
            "src/lib.rs",
            "testament.py",
            "attestation.py",
            "src/latest.py",
            "src/Latest.java",
            "Test.java/x",
            "pkg/PodSpec.go",
            "contest.js",
            "contest/main.go",
            "README.md",
            "protest/a.c",
            "test",
            "",
        ] {
            assert!(!is_test(path), "{path}");
        }
    }
}

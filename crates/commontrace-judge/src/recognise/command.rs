//! What a recorded command does: run tests, look around, set things up, or run the code.

use commontrace_session::shell::{self, Owned, Then, parts, program, words};

/// What a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// It runs tests.
    Test(TestCommand<'a>),
    /// It only looks, fetches, installs, keeps or minds the style: its failure says nothing of what the code does.
    Aside,
    /// It builds, runs or checks something.
    Run,
}

/// A run of tests, as far as its command tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCommand<'a> {
    /// The program that runs them, such as `pytest` or `cargo`.
    pub runner: &'a str,
    /// What was chosen: files, folders, names, packages. Empty for all.
    pub selected: Vec<&'a str>,
    /// Whether single tests or single files were chosen.
    pub narrow: bool,
    /// What the command's exit code tells of the tests: nothing behind a pipe or `|| true`, and no failure of
    /// theirs behind a build that may have failed.
    pub exit: Owned,
}

impl TestCommand<'_> {
    /// Whether every test that `other` runs is run by this command too, as far as names tell.
    pub fn covers(&self, other: &TestCommand<'_>) -> bool {
        if self.runner != other.runner {
            return false;
        }
        if self.selected.is_empty() {
            return true;
        }
        // Each further word of these narrows the choice; of the others it widens it.
        let narrowing = ["cargo", "go", "mvn", "gradle", "dotnet"].contains(&self.runner);
        if narrowing {
            self.selected
                .iter()
                .all(|word| other.selected.contains(word))
        } else {
            !other.selected.is_empty()
                && other
                    .selected
                    .iter()
                    .all(|word| self.selected.iter().any(|ours| word.starts_with(ours)))
        }
    }
}

/// Programs that run nothing of the project.
const ASIDE: [&str; 71] = [
    "ls", "cat", "head", "tail", "grep", "egrep", "rg", "ag", "find", "fd", "tree", "pwd", "cd",
    "echo", "printf", "which", "type", "whereis", "wc", "sort", "uniq", "sed", "awk", "cut", "tr",
    "diff", "cmp", "stat", "file", "du", "df", "ps", "env", "export", "set", "source", ".", "true",
    "false", "test", "[", "sleep", "wait", "kill", "mkdir", "rm", "cp", "mv", "touch", "chmod",
    "ln", "git", "gh", "hg", "svn", "curl", "wget", "tar", "unzip", "pip", "pip3", "apt",
    "apt-get", "brew", "jq", "less", "more", "man", "xargs", "rmdir", "command",
];

/// Says what a command, as typed for a shell, is for. `known` is the session's own test command.
pub fn purpose<'a>(command: &'a str, known: &str) -> Purpose<'a> {
    if let Some(test) = test_command(command, known) {
        return Purpose::Test(test);
    }
    if only_aside(command) {
        Purpose::Aside
    } else {
        Purpose::Run
    }
}

/// The part of a command that runs tests, if one does: a runner that is known by name, or else the
/// session's own test command, unless that runs nothing.
pub fn test_command<'a>(command: &'a str, known: &str) -> Option<TestCommand<'a>> {
    if let Some(run) = shell::test_run(command) {
        return Some(selection(run.runner, &run.arguments, run.owned));
    }
    let same = !known.trim().is_empty() && command.trim() == known.trim();
    if !same || only_aside(command) {
        return None;
    }
    // All of it is the session's tests.
    let parts = parts(command);
    let (last, before) = parts.split_last()?;
    let told = command.contains("pipefail") || before.iter().all(|part| part.then == Then::And);
    let words = words(last.text);
    let (runner, arguments) = words.split_first()?;
    let exit = Owned {
        success: told,
        failure: told,
    };
    Some(selection(program(runner), arguments, exit))
}

/// Whether no part of a command runs anything of the project.
fn only_aside(command: &str) -> bool {
    parts(command).iter().all(|part| {
        let words = words(part.text);
        match words.first() {
            Some(first) => ASIDE.contains(first) || sets_up(&words) || lints(&words),
            None => true,
        }
    })
}

/// A command without what changes nothing but the look of its output, to tell whether two are the same.
pub fn normal(command: &str) -> String {
    let tells = |word: &&str| {
        let looks = ["-v", "-vv", "-q", "-s", "-x", "--nocapture"].contains(word)
            || ["--tb", "--color"]
                .iter()
                .any(|flag| word.starts_with(flag));
        !looks && !word.contains(">&")
    };
    let words: Vec<&str> = parts(command)
        .into_iter()
        .filter(|part| {
            words(part.text)
                .first()
                .is_some_and(|first| !["cd", "tail", "head", "echo"].contains(first))
        })
        .flat_map(|part| part.text.split_whitespace())
        .filter(tells)
        .collect();
    words.join(" ")
}

/// Flags whose value chooses tests.
const CHOOSING: [&str; 12] = [
    "-k",
    "-t",
    "-run",
    "-g",
    "--grep",
    "--test",
    "--tests",
    "--filter",
    "--testNamePattern",
    "-e",
    "--example",
    "-R",
];
/// Flags whose value chooses a package or folder of tests.
const PLACING: [&str; 5] = ["-p", "--package", "--project", "-C", "--rootdir"];
/// Flags with a value that chooses nothing.
const VALUED: [&str; 10] = [
    "--manifest-path",
    "--features",
    "-n",
    "-j",
    "--jobs",
    "--config",
    "-c",
    "--maxWorkers",
    "--timeout",
    "-o",
];

fn selection<'a>(runner: &'a str, arguments: &[&'a str], exit: Owned) -> TestCommand<'a> {
    // What is behind `cargo test` narrows by name, and so does a dotted name for unittest.
    let names = ["cargo", "unittest"].contains(&runner);
    let (mut selected, mut narrow) = (Vec::new(), false);
    let mut rest = arguments.iter().copied();
    while let Some(word) = rest.next() {
        if ["run", "test"].contains(&word) && selected.is_empty() {
            continue;
        }
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) if word.starts_with('-') => (flag, Some(value)),
            _ => (word, None),
        };
        if CHOOSING.contains(&flag) {
            narrow = true;
            selected.extend(value.or_else(|| rest.next()));
        } else if PLACING.contains(&flag) {
            selected.extend(value.or_else(|| rest.next()));
        } else if VALUED.contains(&flag) {
            if value.is_none() {
                rest.next();
            }
        } else if flag.starts_with(['-', '+'])
            || word.contains('>')
            || word == "./..."
            || word == "."
        {
            // How it runs and where its output goes.
        } else {
            narrow |= names || word.contains("::") || is_file(word);
            selected.push(word);
        }
    }
    TestCommand {
        runner,
        selected,
        narrow,
        exit,
    }
}

fn is_file(word: &str) -> bool {
    program(word)
        .rsplit_once('.')
        .is_some_and(|(base, extension)| {
            !base.is_empty()
                && (1..=4).contains(&extension.len())
                && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

fn sets_up(words: &[&str]) -> bool {
    let second = words.get(1).copied().unwrap_or("");
    match words.first().map_or("", |word| program(word)) {
        "npm" | "yarn" | "pnpm" | "bun" => {
            ["install", "ci", "i", "add", "ls", "view"].contains(&second)
        }
        "cargo" => ["fetch", "add", "tree", "fmt", "metadata"].contains(&second),
        "go" => ["mod", "get", "fmt", "env"].contains(&second),
        "uv" | "poetry" | "pip" => ["sync", "install", "add", "pip", "lock"].contains(&second),
        _ => second == "--version" || second == "--help",
    }
}

/// Whether these words look at the style of the code without running it.
fn lints(words: &[&str]) -> bool {
    let named = [
        "ruff",
        "flake8",
        "black",
        "isort",
        "eslint",
        "prettier",
        "gofmt",
        "golangci-lint",
        "rustfmt",
        "pylint",
    ];
    let first = words.first().map_or("", |word| program(word));
    named.contains(&first)
        || words.iter().skip(1).take(2).any(|word| {
            ["lint", "fmt", "format", "clippy", "vet"]
                .contains(&word.split(':').next().unwrap_or(word))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(command: &str) -> TestCommand<'_> {
        test_command(command, "").unwrap_or_else(|| panic!("{command} runs tests"))
    }

    #[test]
    fn the_session_s_own_command_runs_its_tests() {
        assert_eq!(test_command("./ci/all", ""), None);
        assert!(test_command("./ci/all", "./ci/all").is_some_and(|tests| tests.exit.failure));
        assert!(
            test_command("./ci/all | tail", "./ci/all | tail")
                .is_some_and(|tests| !tests.exit.success)
        );
        assert_eq!(test_command("echo 5 passed", "echo 5 passed"), None);
    }

    #[test]
    fn a_build_before_the_tests_may_own_the_failure() {
        assert!(tests("cd x && pytest 2>&1").exit.failure);
        let built = tests("npm run build && npm test").exit;
        assert!(built.success && !built.failure);
    }

    #[test]
    fn a_wider_run_covers_a_narrower_one() {
        assert!(tests("pytest").covers(&tests("pytest tests/test_a.py::test_x")));
        assert!(tests("pytest tests/test_a.py").covers(&tests("pytest tests/test_a.py::test_x")));
        assert!(!tests("pytest tests/test_b.py").covers(&tests("pytest tests/test_a.py")));
        assert!(tests("cargo test -p core").covers(&tests("cargo test -p core parses")));
        assert!(!tests("cargo test -p core parses").covers(&tests("cargo test -p core")));
        assert!(tests("cargo test parses").narrow && !tests("cargo test -p core").narrow);
        assert!(!tests("go test ./...").narrow && tests("go test -run TestX ./pkg").narrow);
        assert!(tests("pytest -k name").narrow && !tests("pytest tests").narrow);
    }

    #[test]
    fn a_look_around_is_no_run_of_the_code() {
        assert_eq!(purpose("cd x && grep -rn foo . | head", ""), Purpose::Aside);
        assert_eq!(
            purpose("pip install -r requirements.txt", ""),
            Purpose::Aside
        );
        assert_eq!(purpose("mise run fmt && mise run lint", ""), Purpose::Aside);
        assert_eq!(purpose("python repro.py", ""), Purpose::Run);
        assert_eq!(purpose("cargo build", ""), Purpose::Run);
    }

    #[test]
    fn the_look_of_the_output_does_not_make_another_command() {
        assert_eq!(
            normal("cd app && pytest -q x.py 2>&1 | tail -5"),
            normal("pytest x.py")
        );
        assert_ne!(normal("pytest x.py"), normal("pytest y.py"));
    }
}

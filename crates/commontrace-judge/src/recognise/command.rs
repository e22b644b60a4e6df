//! What a recorded command does: run tests, look around, set things up, or run the code.

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
    /// Whether the command's exit code is that of the tests. It is not behind a pipe or `|| true`.
    pub exit_is_theirs: bool,
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
const ASIDE: [&str; 70] = [
    "ls", "cat", "head", "tail", "grep", "egrep", "rg", "ag", "find", "fd", "tree", "pwd", "cd",
    "echo", "printf", "which", "type", "whereis", "wc", "sort", "uniq", "sed", "awk", "cut", "tr",
    "diff", "cmp", "stat", "file", "du", "df", "ps", "env", "export", "set", "source", ".", "true",
    "false", "test", "[", "sleep", "wait", "kill", "mkdir", "rm", "cp", "mv", "touch", "chmod",
    "ln", "git", "gh", "hg", "svn", "curl", "wget", "tar", "unzip", "pip", "pip3", "apt",
    "apt-get", "brew", "jq", "less", "more", "man", "xargs", "rmdir",
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
    let pipefail = command.contains("pipefail");
    let by_name = segments(command).find_map(|segment| {
        let words = program(segment.text);
        let (runner, used) = runner(&words)?;
        let told = segment.told || (pipefail && segment.piped);
        Some(TestCommand {
            runner,
            ..selection(&words, used, told)
        })
    });
    if by_name.is_some() {
        return by_name;
    }
    let same = !known.trim().is_empty() && command.trim() == known.trim();
    if !same || only_aside(command) {
        return None;
    }
    let words = program(segments(command).last()?.text);
    let told = pipefail || segments(command).all(|segment| segment.told);
    Some(TestCommand {
        runner: words.first().copied().unwrap_or(""),
        ..selection(&words, 1, told)
    })
}

/// Whether no part of a command runs anything of the project.
fn only_aside(command: &str) -> bool {
    segments(command).all(|segment| {
        let words = program(segment.text);
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
    let words: Vec<&str> = segments(command)
        .filter(|segment| {
            let words = program(segment.text);
            words
                .first()
                .is_some_and(|first| !["cd", "tail", "head", "echo"].contains(first))
        })
        .flat_map(|segment| segment.text.split_whitespace())
        .filter(tells)
        .collect();
    words.join(" ")
}

struct Segment<'a> {
    text: &'a str,
    /// Whether the whole command's exit code is this segment's.
    told: bool,
    /// Whether it is, but for a pipe behind it.
    piped: bool,
}

/// Splits a command at `&&`, `||`, `;`, `|`, `&` and line ends that are not quoted.
fn segments(command: &str) -> impl Iterator<Item = Segment<'_>> {
    let mut parts: Vec<(&str, &str)> = Vec::new();
    let (mut start, mut quote, mut skip) = (0, None, false);
    let bytes = command.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let mut length = 0;
        if skip {
            skip = false;
        } else if byte == b'\\' && quote != Some(b'\'') {
            skip = true;
        } else if let Some(open) = quote {
            if byte == open {
                quote = None;
            }
        } else if byte == b'\'' || byte == b'"' {
            quote = Some(byte);
        } else {
            let next = bytes.get(at + 1).copied();
            length = match byte {
                b'&' | b'|' if next == Some(byte) => 2,
                // `2>&1` and `&>file` are no ends of a command.
                b'&' if next == Some(b'>') || (at > 0 && bytes[at - 1] == b'>') => 0,
                b'&' | b'|' | b';' | b'\n' => 1,
                _ => 0,
            };
        }
        if length > 0 {
            parts.push((&command[start..at], &command[at..at + length]));
            start = at + length;
        }
        at += length.max(1);
    }
    parts.push((&command[start..], ""));
    parts.retain(|(text, _)| !text.trim().is_empty());
    let last = parts.len().saturating_sub(1);
    parts
        .into_iter()
        .enumerate()
        .map(move |(i, (text, end))| Segment {
            text: text.trim(),
            told: i == last || end == "&&",
            piped: i != last && end == "|",
        })
}

/// A segment's words from the program on: without settings of variables and programs that only run others.
fn program(segment: &str) -> Vec<&str> {
    let mut words: Vec<&str> = segment
        .split_whitespace()
        .map(|word| word.trim_matches(['(', ')', '"', '\'']))
        .filter(|word| !word.is_empty())
        .collect();
    loop {
        let Some(&first) = words.first() else {
            return words;
        };
        let second = words.get(1).copied().unwrap_or("");
        let drop = match file(first) {
            _ if first.contains('=') && !first.starts_with('-') => 1,
            "sudo" | "time" | "env" | "exec" | "command" | "nohup" | "npx" | "bunx"
            | "xvfb-run" => 1,
            "timeout" => 2,
            "uv" | "poetry" | "pipenv" | "hatch" | "pdm" | "rye" if second == "run" => 2,
            "bundle" | "pnpm" | "yarn" | "npm" if second == "exec" => 2,
            "bash" | "sh" if second == "-c" || second == "-lc" => 2,
            "python" | "python3" | "py" if second == "-m" && words.len() > 2 => 2,
            _ => 0,
        };
        if drop == 0 || drop > words.len() {
            return words;
        }
        words.drain(..drop);
    }
}

fn file(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The runner and how many words name it, if these words run tests.
fn runner<'a>(words: &[&'a str]) -> Option<(&'a str, usize)> {
    let first = file(words.first()?);
    let second = words.get(1).copied().unwrap_or("");
    let third = words.get(2).copied().unwrap_or("");
    let any = |names: &[&str]| words.iter().skip(1).any(|word| names.contains(word));
    let used = match first {
        "pytest" | "py.test" | "unittest" | "nose2" | "tox" | "nox" | "jest" | "vitest"
        | "mocha" | "ava" | "karma" | "rspec" | "phpunit" | "pest" | "ctest" | "gotestsum"
        | "bats" | "nosetests" | "trial" => 1,
        "cargo" if ["test", "t", "nextest"].contains(&second) => 2,
        "cargo" if second.starts_with('+') && ["test", "nextest"].contains(&third) => 3,
        "go" | "swift" | "mix" | "deno" | "bun" | "sbt" | "lein" | "flutter" | "dart" | "stack"
        | "cabal" | "bazel" | "dotnet" | "playwright" | "rails" | "just" | "task" | "npm"
        | "yarn" | "pnpm" | "composer"
            if second == "test" || (first == "npm" && second == "t") =>
        {
            2
        }
        "npm" | "yarn" | "pnpm" | "bun" if second == "run" && third.starts_with("test") => 3,
        "yarn" | "pnpm" if second.starts_with("test") || ["jest", "vitest"].contains(&second) => 2,
        "cypress" if second == "run" => 2,
        "mise" | "pixi" | "deno"
            if ["run", "task"].contains(&second) && third.starts_with("test") =>
        {
            3
        }
        "nx" | "turbo" if second == "test" || third == "test" => 2,
        "make" | "gmake" | "rake" | "ninja" if any(&["test", "tests", "check", "spec"]) => 2,
        "mvn" | "mvnw" if any(&["test", "verify"]) => 2,
        "gradle" | "gradlew" if any(&["test", "check"]) => 2,
        "zig" if second == "test" || third == "test" => 2,
        "node" if any(&["--test"]) => 2,
        "manage.py" if second == "test" => 2,
        "python" | "python3" if file(second) == "manage.py" && third == "test" => 3,
        "python" | "python3" | "bash" | "sh"
            if ["runtests.py", "run_tests.py", "run_tests.sh", "runtests.sh"]
                .contains(&file(second)) =>
        {
            2
        }
        "runtests.py" | "run_tests.py" | "run_tests.sh" | "runtests.sh" => 1,
        _ => return None,
    };
    // A look at the help or the version runs nothing.
    let looks = words
        .iter()
        .any(|word| ["--version", "--help", "--collect-only", "--no-run"].contains(word));
    (!looks).then(|| {
        (
            first
                .strip_suffix('w')
                .filter(|name| ["mvn", "gradle"].contains(name))
                .unwrap_or(first),
            used,
        )
    })
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

fn selection<'a>(words: &[&'a str], used: usize, exit_is_theirs: bool) -> TestCommand<'a> {
    let first = words.first().map_or("", |word| file(word));
    // What is behind `cargo test` narrows by name, and so does a dotted name for unittest.
    let names = ["cargo", "unittest"].contains(&first);
    let (mut selected, mut narrow) = (Vec::new(), false);
    let mut rest = words.iter().skip(used.min(words.len())).copied();
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
        } else if flag.starts_with('-') || word.contains('>') || word == "./..." || word == "." {
            // How it runs and where its output goes.
        } else {
            narrow |= names || word.contains("::") || is_file(word);
            selected.push(word);
        }
    }
    TestCommand {
        runner: "",
        selected,
        narrow,
        exit_is_theirs,
    }
}

fn is_file(word: &str) -> bool {
    file(word)
        .rsplit_once('.')
        .is_some_and(|(base, extension)| {
            !base.is_empty()
                && (1..=4).contains(&extension.len())
                && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

fn sets_up(words: &[&str]) -> bool {
    let second = words.get(1).copied().unwrap_or("");
    match words.first().map_or("", |word| file(word)) {
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
    let first = words.first().map_or("", |word| file(word));
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
    fn commands_that_run_tests_are_known_through_wrappers() {
        for command in [
            "pytest",
            "cd app && python -m pytest -q tests/test_a.py 2>&1 | tail -20",
            "RUST_BACKTRACE=1 cargo test -p core",
            "cargo +nightly nextest run",
            "uv run pytest",
            "npm run test:unit -- --watch=false",
            "npx vitest run",
            "go test ./...",
            "mise run fmt && mise run test:ci 2>&1",
            "./gradlew test",
            "bash -lc 'make test'",
            "timeout 60 ./vendor/bin/phpunit",
            "python manage.py test app",
        ] {
            assert!(test_command(command, "").is_some(), "{command}");
        }
        for command in [
            "cat tests/test_a.py",
            "git test",
            "cargo build",
            "pytest --version",
            "test -f x",
        ] {
            assert_eq!(test_command(command, ""), None, "{command}");
        }
        assert!(test_command("./ci/all", "./ci/all").is_some_and(|tests| tests.exit_is_theirs));
        assert!(
            test_command("./ci/all | tail", "./ci/all | tail")
                .is_some_and(|tests| !tests.exit_is_theirs)
        );
        assert_eq!(test_command("echo 5 passed", "echo 5 passed"), None);
    }

    #[test]
    fn a_pipe_hides_the_exit_code_of_the_tests() {
        assert!(tests("cd x && pytest 2>&1").exit_is_theirs);
        assert!(!tests("pytest | tail").exit_is_theirs);
        assert!(tests("set -o pipefail; pytest | tail").exit_is_theirs);
        assert!(!tests("pytest || true").exit_is_theirs);
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

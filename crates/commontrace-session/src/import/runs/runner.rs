//! Tells whether a command line runs tests, and whether its exit code is that of the tests.

/// The part of a command line that runs tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<'c> {
    /// The command, without what comes before and after it.
    pub(super) command: &'c str,
    /// Whether exit code 0 of the whole line means that the tests exited with 0.
    pub(super) owns_success: bool,
    /// Whether another exit code means that they did not.
    pub(super) owns_failure: bool,
}

/// The first part of a command line that runs tests.
pub(super) fn tests_in(line: &str) -> Option<Run<'_>> {
    // Most commands are told by a single search.
    const SIGNS: &[&str] = &[
        "test", "spec", "check", "tox", "nox", "verify", "jest", "mocha", "phpunit", "pest",
        "bats", "prove", "cypress", "trial", "ava", "cargo t", "npm t", "nose",
    ];
    if !SIGNS.iter().any(|word| line.contains(word)) {
        return None;
    }
    let parts = parts(line);
    let at = parts.iter().position(|part| runs_tests(part.command))?;
    let pipefail = line.contains("pipefail");
    let mut owns = true;
    let mut alone_after = true;
    for part in &parts[at..] {
        match part.then {
            Then::Pipe => owns &= pipefail,
            Then::Or | Then::Next => owns &= part.then == Then::Next && is_last(&parts, part),
            Then::And => alone_after = false,
            Then::End => {}
        }
    }
    Some(Run {
        command: parts[at].command,
        owns_success: owns,
        owns_failure: owns && alone_after,
    })
}

/// What stands between a part of a command line and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    And,
    Or,
    Pipe,
    Next,
    End,
}

struct Part<'c> {
    command: &'c str,
    then: Then,
}

/// Whether nothing but blanks follows.
fn is_last(parts: &[Part<'_>], part: &Part<'_>) -> bool {
    parts
        .iter()
        .skip_while(|other| !std::ptr::eq(*other, part))
        .skip(1)
        .all(|other| other.command.is_empty())
}

/// Splits a command line at `&&`, `||`, `|`, `;` and line breaks that are not quoted.
fn parts(line: &str) -> Vec<Part<'_>> {
    let bytes = line.as_bytes();
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut quote = None;
    while at < bytes.len() {
        let byte = bytes[at];
        let (then, length) = match (quote, byte) {
            (_, b'\\') if quote != Some(b'\'') => {
                at += 2;
                continue;
            }
            (Some(open), _) => {
                if byte == open {
                    quote = None;
                }
                (None, 1)
            }
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                (None, 1)
            }
            (None, b'&') if bytes.get(at + 1) == Some(&b'&') => (Some(Then::And), 2),
            (None, b'|') if bytes.get(at + 1) == Some(&b'|') => (Some(Then::Or), 2),
            (None, b'|') => (
                Some(Then::Pipe),
                1 + usize::from(bytes.get(at + 1) == Some(&b'&')),
            ),
            (None, b';' | b'\n') => (Some(Then::Next), 1),
            (None, _) => (None, 1),
        };
        if let Some(then) = then {
            parts.push(Part {
                command: line[start..at].trim(),
                then,
            });
            start = at + length;
        }
        at += length;
    }
    parts.push(Part {
        command: line.get(start..).unwrap_or("").trim(),
        then: Then::End,
    });
    parts
}

/// Programs that run others and are passed over, with the arguments that belong to them.
const WRAPPERS: &[&[&str]] = &[
    &["uv", "run"],
    &["poetry", "run"],
    &["pipenv", "run"],
    &["hatch", "run"],
    &["pdm", "run"],
    &["rye", "run"],
    &["bundle", "exec"],
    &["pnpm", "exec"],
    &["pnpm", "dlx"],
    &["yarn", "exec"],
    &["npm", "exec"],
    &["mise", "exec"],
    &["npx"],
    &["bunx"],
    &["time"],
    &["sudo"],
    &["env"],
    &["nice"],
    &["command"],
    &["exec"],
    &["xvfb-run"],
    &["cross-env"],
    &["dotenv"],
    &["coverage", "run", "-m"],
    &["python", "-m"],
    &["python3", "-m"],
];

/// What runs tests, by its first words.
const RUNNERS: &[&[&str]] = &[
    &["pytest"],
    &["py.test"],
    &["unittest"],
    &["nose2"],
    &["tox"],
    &["nox"],
    &["trial"],
    &["cargo", "test"],
    &["cargo", "t"],
    &["cargo", "nextest"],
    &["go", "test"],
    &["gotestsum"],
    &["npm", "test"],
    &["npm", "t"],
    &["yarn", "test"],
    &["pnpm", "test"],
    &["bun", "test"],
    &["deno", "test"],
    &["node", "--test"],
    &["jest"],
    &["vitest"],
    &["mocha"],
    &["ava"],
    &["playwright", "test"],
    &["cypress", "run"],
    &["ng", "test"],
    &["nx", "test"],
    &["turbo", "test"],
    &["make", "test"],
    &["make", "check"],
    &["just", "test"],
    &["task", "test"],
    &["mise", "test"],
    &["rake", "test"],
    &["rake", "spec"],
    &["rails", "test"],
    &["rspec"],
    &["phpunit"],
    &["pest"],
    &["composer", "test"],
    &["mvn", "test"],
    &["mvn", "verify"],
    &["gradle", "test"],
    &["gradlew", "test"],
    &["gradle", "check"],
    &["gradlew", "check"],
    &["sbt", "test"],
    &["dotnet", "test"],
    &["ctest"],
    &["bazel", "test"],
    &["swift", "test"],
    &["xcodebuild", "test"],
    &["mix", "test"],
    &["flutter", "test"],
    &["dart", "test"],
    &["zig", "test"],
    &["stack", "test"],
    &["cabal", "test"],
    &["bats"],
    &["prove"],
    &["manage.py", "test"],
];

/// Scripts whose second word is `run` before the name of what is run.
const SCRIPTED: &[&str] = &["npm", "yarn", "pnpm", "bun", "mise", "deno"];

fn runs_tests(command: &str) -> bool {
    let words: Vec<&str> = command
        .split_whitespace()
        .map(|word| word.trim_start_matches('(').trim_end_matches(')'))
        .collect();
    let mut words = words.as_slice();
    loop {
        let Some(first) = words.first() else {
            return false;
        };
        let name = program(first);
        if is_assignment(first) || matches!(name, "time" | "") {
            words = &words[1..];
        } else if name == "timeout" {
            words = &words[1..];
            while words.first().is_some_and(|word| {
                word.starts_with('-') || word.starts_with(|c: char| c.is_ascii_digit())
            }) {
                words = &words[1..];
            }
        } else if let Some(length) = wrapper(words) {
            words = &words[length..];
            while words.first().is_some_and(|word| word.starts_with('-')) {
                words = &words[1..];
            }
        } else {
            return is_runner(words);
        }
    }
}

fn wrapper(words: &[&str]) -> Option<usize> {
    WRAPPERS
        .iter()
        .find(|wrapper| starts_with(words, wrapper))
        .map(|wrapper| wrapper.len())
}

fn starts_with(words: &[&str], start: &[&str]) -> bool {
    words.len() >= start.len()
        && words
            .iter()
            .zip(start)
            .enumerate()
            .all(|(at, (word, wanted))| {
                if at == 0 {
                    program(word) == *wanted
                } else {
                    word == wanted
                }
            })
}

fn is_runner(words: &[&str]) -> bool {
    let name = program(words[0]);
    // Options between the program and its command: `cargo +nightly test`, `mvn -q test`, `npm --prefix x test`.
    let rest: Vec<&str> = words[1..]
        .iter()
        .copied()
        .filter(|word| !word.starts_with('+'))
        .collect();
    if rest.iter().any(|word| {
        matches!(
            *word,
            "--help" | "--version" | "--collect-only" | "--no-run"
        )
    }) {
        return false;
    }
    if SCRIPTED.contains(&name)
        && rest
            .first()
            .is_some_and(|word| matches!(*word, "run" | "task"))
    {
        return rest.get(1).is_some_and(|script| is_test_script(script));
    }
    if matches!(name, "python" | "python3") {
        return rest
            .first()
            .is_some_and(|file| program(file) == "manage.py")
            && rest.get(1) == Some(&"test");
    }
    RUNNERS.iter().any(|runner| {
        runner[0] == name
            && match runner.get(1) {
                None => true,
                Some(command) => is_command(&rest, command, name),
            }
    })
}

/// Whether `command` is the first word that is no option, or among the goals of a build tool.
fn is_command(rest: &[&str], command: &str, name: &str) -> bool {
    let mut goals = rest
        .iter()
        .filter(|word| !word.starts_with('-') || **word == command);
    if matches!(
        name,
        "mvn" | "gradle" | "gradlew" | "make" | "sbt" | "xcodebuild" | "rake"
    ) {
        return goals.any(|goal| *goal == command || goal.ends_with(&format!(":{command}")));
    }
    goals.next() == Some(&command)
        || (command == "test" && rest.first().is_some_and(|word| word.starts_with("test:")))
}

/// The name of a script of a package that runs tests: `test`, `test:unit`, `unit-tests`.
fn is_test_script(script: &str) -> bool {
    script
        .split([':', '-', '_', '.'])
        .any(|word| matches!(word, "test" | "tests" | "spec"))
}

/// `X=1`, as it stands before a command.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// The name of a program without its folder and what Windows appends.
fn program(word: &str) -> &str {
    let name = word
        .trim_matches(['"', '\''])
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(word);
    name.strip_suffix(".exe")
        .or_else(|| name.strip_suffix(".bat"))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_are_known_behind_what_wraps_them() {
        for line in [
            "cargo test -p x --locked",
            "cargo +nightly nextest run",
            "RUST_BACKTRACE=0 timeout 60 cargo test",
            "cd app && uv run pytest -q tests/",
            "python3 -m pytest",
            "./node_modules/.bin/jest --ci",
            "npx vitest run",
            "npm run test:unit -- --watch=false",
            "mise run test -- ./redact/...",
            "./gradlew :app:test",
            "mvn -q test",
            "python manage.py test shop",
            "(cd x; go test ./...)",
            ".venv/bin/python -m unittest",
        ] {
            assert!(tests_in(line).is_some(), "{line}");
        }
    }

    #[test]
    fn other_commands_are_not() {
        for line in [
            "cat tests/test_app.py",
            "grep -r 'cargo test' docs",
            "echo \"run; cargo test\"",
            "npm install jest",
            "cargo build --tests",
            "cargo test --no-run",
            "git checkout test",
            "test -f x && echo yes",
            "",
        ] {
            assert_eq!(tests_in(line), None, "{line}");
        }
    }

    #[test]
    fn what_is_before_and_after_is_left_out() {
        let run = tests_in("cd x && pytest -q 2>&1 | tail -5").expect("a run");
        assert_eq!(run.command, "pytest -q 2>&1");
        assert!(!run.owns_success);
        let run = tests_in("pytest && cargo build").expect("a run");
        assert!(run.owns_success && !run.owns_failure);
        assert!(tests_in("pytest \\").is_some());
        for line in ["pytest '", "pytest \"\\", "\\", "é|ü;ö"] {
            tests_in(line);
        }
    }
}

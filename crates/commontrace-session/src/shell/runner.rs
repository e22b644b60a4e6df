//! Which part of a command line runs tests.

use super::{Owned, is_python, owned, parts, program, words};

/// The part of a command line that runs tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRun<'c> {
    /// The command, without what comes before and after it.
    pub command: &'c str,
    /// The program that runs them, such as `pytest` or `cargo`.
    pub runner: &'c str,
    /// What it was given, without the word that makes it run tests: that of `cargo test` is left out.
    pub arguments: Vec<&'c str>,
    /// What the exit code of the whole line tells of them.
    pub owned: Owned,
}

/// The first part of a command line that runs tests.
pub fn test_run(line: &str) -> Option<TestRun<'_>> {
    // Most commands are told by a single search.
    const SIGNS: &[&str] = &[
        "test", "spec", "check", "tox", "nox", "verify", "jest", "mocha", "phpunit", "pest",
        "karma", "bats", "prove", "cypress", "trial", "ava", "cargo t", "npm t", "nose",
    ];
    if !SIGNS.iter().any(|word| line.contains(word)) {
        return None;
    }
    let parts = parts(line);
    parts.iter().enumerate().find_map(|(at, part)| {
        let outer = owned(&parts, at);
        // The line that a shell is given has parts of its own.
        if let Some(mut run) = script(part.text).and_then(test_run) {
            run.owned.success &= outer.success;
            run.owned.failure &= outer.failure;
            return Some(run);
        }
        let (runner, arguments) = tests(&words(part.text))?;
        Some(TestRun {
            command: part.text,
            runner,
            arguments,
            owned: outer,
        })
    })
}

/// The line in `bash -lc 'line'`.
fn script(command: &str) -> Option<&str> {
    let (shell, rest) = command.split_once(char::is_whitespace)?;
    let (flag, line) = rest.trim_start().split_once(char::is_whitespace)?;
    let is_shell = matches!(program(shell), "bash" | "sh" | "zsh" | "dash");
    if !is_shell || !matches!(flag, "-c" | "-lc" | "-ic" | "-lic" | "-ec" | "-euc") {
        return None;
    }
    let line = line.trim();
    let quote = line.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    line[1..].strip_suffix(quote)
}

/// Programs that do nothing but run tests.
const ALWAYS: &[&str] = &[
    "pytest",
    "py.test",
    "unittest",
    "nose2",
    "nosetests",
    "tox",
    "nox",
    "trial",
    "gotestsum",
    "jest",
    "vitest",
    "mocha",
    "ava",
    "karma",
    "rspec",
    "phpunit",
    "pest",
    "ctest",
    "bats",
    "prove",
    "runtests.py",
    "run_tests.py",
    "run_tests.sh",
    "runtests.sh",
];

/// Programs that run tests by a command: the first word that is no option.
const BY_COMMAND: &[(&str, &[&str])] = &[
    ("cargo", &["test", "t", "nextest"]),
    ("go", &["test"]),
    ("npm", &["test", "t", "tst"]),
    ("yarn", &["test", "jest", "vitest", "mocha"]),
    ("pnpm", &["test", "t", "jest", "vitest", "mocha"]),
    ("bun", &["test"]),
    ("deno", &["test"]),
    ("playwright", &["test"]),
    ("cypress", &["run"]),
    ("ng", &["test"]),
    ("nx", &["test"]),
    ("turbo", &["test"]),
    ("just", &["test"]),
    ("task", &["test"]),
    ("mise", &["test"]),
    ("rails", &["test"]),
    ("composer", &["test"]),
    ("dotnet", &["test"]),
    ("bazel", &["test"]),
    ("swift", &["test"]),
    ("mix", &["test"]),
    ("lein", &["test"]),
    ("flutter", &["test"]),
    ("dart", &["test"]),
    ("zig", &["test"]),
    ("stack", &["test"]),
    ("cabal", &["test"]),
    ("manage.py", &["test"]),
];

/// Build tools: any of their words may be the goal that runs tests.
const BY_GOAL: &[(&str, &[&str])] = &[
    ("make", &["test", "tests", "check"]),
    ("gmake", &["test", "tests", "check"]),
    ("ninja", &["test", "tests", "check"]),
    ("rake", &["test", "spec"]),
    ("mvn", &["test", "verify"]),
    ("gradle", &["test", "check"]),
    ("sbt", &["test"]),
    ("xcodebuild", &["test"]),
    ("zig", &["test"]),
    ("turbo", &["test"]),
    ("nx", &["test"]),
];

/// Programs that run a project's scripts: `npm run test:unit`.
const BY_SCRIPT: &[&str] = &[
    "npm", "yarn", "pnpm", "bun", "mise", "deno", "pixi", "nx", "turbo",
];

/// Options whose value stands between a program and its command.
const VALUED: &[&str] = &[
    "--prefix",
    "--filter",
    "-F",
    "-C",
    "--cwd",
    "--dir",
    "--workspace",
];

/// Options with which nothing is run.
const LOOKS: &[&str] = &[
    "--help",
    "--version",
    "--collect-only",
    "--co",
    "--no-run",
    "--list",
    "--listTests",
    "-DskipTests",
];

/// The program that runs tests and what it is given, if these words run any.
fn tests<'c>(words: &[&'c str]) -> Option<(&'c str, Vec<&'c str>)> {
    let (first, rest) = words.split_first()?;
    if rest.iter().any(|word| LOOKS.contains(word)) {
        return None;
    }
    let name = program(first);
    if is_python(name) || matches!(name, "bash" | "sh") {
        let script = program(rest.first()?);
        return match script {
            "manage.py" => (rest.get(1) == Some(&"test")).then(|| (script, rest[2..].to_vec())),
            _ => ALWAYS
                .contains(&script)
                .then(|| (script, rest[1..].to_vec())),
        };
    }
    if ALWAYS.contains(&name) {
        return Some((name, rest.to_vec()));
    }
    // Maven and Gradle are wrapped by scripts of these names.
    let name = match name {
        "mvnw" | "gradlew" => &name[..name.len() - 1],
        name => name,
    };
    let at = by_option(name, rest)
        .or_else(|| by_command(name, rest))
        .or_else(|| by_goal(name, rest))?;
    let arguments = rest
        .iter()
        .enumerate()
        .filter(|(number, _)| !at.contains(number))
        .map(|(_, word)| *word)
        .collect();
    Some((name, arguments))
}

/// Where the words are that make the program run tests.
type Place = std::ops::Range<usize>;

fn by_option(name: &str, rest: &[&str]) -> Option<Place> {
    let at = rest.iter().position(|word| *word == "--test")?;
    (name == "node").then_some(at..at + 1)
}

fn by_command(name: &str, rest: &[&str]) -> Option<Place> {
    let mut at = 0;
    while let Some(word) = rest.get(at) {
        if VALUED.contains(word) {
            at += 2;
        } else if word.starts_with(['-', '+']) {
            at += 1;
        } else {
            break;
        }
    }
    let command = rest.get(at)?;
    if BY_SCRIPT.contains(&name) && matches!(*command, "run" | "task" | "run-script") {
        let script = at + 1;
        return is_test_script(rest.get(script)?).then_some(at..script + 1);
    }
    let is_test = named(BY_COMMAND, name, |known| known == *command)
        // Yarn and pnpm need no `run`.
        || (matches!(name, "yarn" | "pnpm" | "npm") && command.starts_with("test:"));
    is_test.then_some(at..at + 1)
}

fn by_goal(name: &str, rest: &[&str]) -> Option<Place> {
    let at = rest.iter().position(|word| {
        // `:app:test` is the goal of a part of the project.
        let goal = word.rsplit(':').next().unwrap_or(word);
        named(BY_GOAL, name, |known| known == goal)
    })?;
    Some(at..at + 1)
}

fn named(table: &[(&str, &[&str])], name: &str, is: impl Fn(&str) -> bool) -> bool {
    table
        .iter()
        .any(|(known, words)| *known == name && words.iter().any(|word| is(word)))
}

/// The name of a script of a package that runs tests: `test`, `test:unit`, `unit-tests`.
fn is_test_script(script: &str) -> bool {
    script
        .split([':', '-', '_', '.'])
        .any(|word| matches!(word, "test" | "tests" | "spec"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_are_known_behind_what_wraps_them() {
        for (line, runner, arguments) in [
            ("cargo test -p x --locked", "cargo", "-p x --locked"),
            ("cargo +nightly nextest run", "cargo", "+nightly run"),
            ("RUST_BACKTRACE=0 timeout 60 cargo test", "cargo", ""),
            ("cd app && uv run pytest -q tests/", "pytest", "-q tests/"),
            ("python3 -m pytest", "pytest", ""),
            (".venv/bin/python -m unittest a.b", "unittest", "a.b"),
            ("./node_modules/.bin/jest --ci", "jest", "--ci"),
            ("npx vitest run", "vitest", "run"),
            (
                "npm run test:unit -- --watch=false",
                "npm",
                "-- --watch=false",
            ),
            ("npm --prefix web test", "npm", "--prefix web"),
            ("yarn jest a", "yarn", "a"),
            ("mise run fmt && mise run test:ci 2>&1", "mise", "2>&1"),
            ("./gradlew :app:test", "gradle", ""),
            ("mvn -q test", "mvn", "-q"),
            ("make -C x check", "make", "-C x"),
            ("python manage.py test shop", "manage.py", "shop"),
            (
                "python tests/runtests.py -v 2 forms",
                "runtests.py",
                "-v 2 forms",
            ),
            ("(cd x; go test ./...)", "go", "./..."),
            ("bash -lc 'make test'", "make", ""),
            ("timeout 60 ./vendor/bin/phpunit", "phpunit", ""),
            ("node --test x.js", "node", "x.js"),
        ] {
            let run = test_run(line).unwrap_or_else(|| panic!("{line} runs tests"));
            assert_eq!(
                (run.runner, &*run.arguments.join(" ")),
                (runner, arguments),
                "{line}"
            );
        }
    }

    #[test]
    fn other_commands_are_not() {
        for line in [
            "cat tests/test_app.py",
            "grep -r 'cargo test' docs",
            "echo \"run; cargo test\"",
            "# cargo test",
            "npm install jest",
            "cargo build --tests",
            "cargo test --no-run",
            "command -v pytest",
            "git checkout test",
            "git test",
            "pytest --version",
            "mvn -DskipTests verify",
            "test -f x && echo yes",
            "",
        ] {
            assert_eq!(test_run(line), None, "{line}");
        }
    }

    #[test]
    fn what_is_before_and_after_is_left_out() {
        let run = test_run("cd x && pytest -q 2>&1 | tail -5").expect("a run");
        assert_eq!(run.command, "pytest -q 2>&1");
        assert!(!run.owned.success);
        let run = test_run("bash -c 'npm run build && npm test'").expect("a run");
        assert_eq!(run.command, "npm test");
        assert!(run.owned.success && !run.owned.failure);
        let run = test_run("bash -c \"pytest\" | tail").expect("a run");
        assert!(!run.owned.success);
        assert!(test_run("pytest \\").is_some());
        for line in ["pytest '", "pytest \"\\", "bash -c 'pytest", "bash -c '"] {
            test_run(line);
        }
    }
}

//! Which test runners a command starts, told by its words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A test runner whose reports, output and exit codes are known.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// `cargo test`
    Cargo,
    /// `cargo nextest run`
    Nextest,
    /// `pytest`, `python -m pytest`
    Pytest,
    /// `python -m unittest`
    Unittest,
    /// `go test`
    Go,
    /// `jest`
    Jest,
    /// `vitest`
    Vitest,
    /// `mocha`
    Mocha,
    /// `node --test`
    Node,
    /// `prove`, or anything that is known to print TAP
    Tap,
    /// `mvn`
    Maven,
    /// `gradle`
    Gradle,
    /// Anything else
    Other,
}

/// The test runners that a shell command starts, in its order, each once.
#[must_use]
pub fn tools(command: &str) -> Vec<Tool> {
    let mut found = Vec::new();
    for simple in simple_commands(command) {
        if let Some(tool) = tool_of(simple).filter(|tool| !found.contains(tool)) {
            found.push(tool);
        }
    }
    found
}

/// The commands that a line of shell consists of. Quotes are respected; nothing is expanded.
#[must_use]
pub fn simple_commands(command: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let (mut start, mut quote, mut escaped) = (0, None, false);
    for (at, c) in command.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match (quote, c) {
            (_, '\\') if quote != Some('\'') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, ';' | '&' | '|' | '\n' | '(' | ')') => {
                commands.push(command[start..at].trim());
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    commands.push(command[start..].trim());
    commands.retain(|simple| !simple.is_empty());
    commands
}

/// The words of a simple command with where each starts, quotes around them left out. A quoted word
/// keeps its spaces.
pub(crate) fn words(simple: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let (mut start, mut quote) = (None, None);
    for (at, c) in simple.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => {
                quote = Some(c);
                start = start.or(Some(at));
            }
            (None, c) if c.is_whitespace() => {
                words.extend(start.take().map(|from: usize| (from, &simple[from..at])));
            }
            (None, _) => start = start.or(Some(at)),
        }
    }
    words.extend(start.map(|from| (from, &simple[from..])));
    words
        .iter()
        .map(|(at, word)| (*at, word.trim_matches(['\'', '"'])))
        .collect()
}

/// The test runner that a simple command starts.
pub(crate) fn tool_of(simple: &str) -> Option<Tool> {
    // Commands that only mention others.
    const MENTION: [&str; 8] = ["echo", "printf", "cat", "grep", "ls", "rm", "cd", "export"];
    let is_assignment = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    };
    let words: Vec<&str> = words(simple)
        .into_iter()
        .map(|(_, word)| word)
        .skip_while(|word| is_assignment(word) || *word == "env" || *word == "exec")
        .collect();
    if words
        .first()
        .is_some_and(|program| MENTION.contains(program))
    {
        None
    } else {
        tool(&words)
    }
}

fn tool(words: &[&str]) -> Option<Tool> {
    let has = |word: &str| words.contains(&word);
    let names: Vec<&str> = words
        .iter()
        .map(|word| word.rsplit('/').next().unwrap_or(word))
        .collect();
    let program = names.first().copied()?;
    // What runs another program: `npx jest`, `poetry run pytest`, `timeout 60 cargo test`.
    let starts = |name: &str| names.iter().take(6).any(|word| *word == name);
    if starts("pytest") || starts("py.test") {
        return Some(Tool::Pytest);
    }
    if has("unittest") || (starts("manage.py") && has("test")) {
        return Some(Tool::Unittest);
    }
    if starts("cargo") || starts("cargo-nextest") {
        return if has("nextest") {
            Some(Tool::Nextest)
        } else if has("test") || has("t") {
            Some(Tool::Cargo)
        } else {
            None
        };
    }
    for (name, tool) in [
        ("vitest", Tool::Vitest),
        ("jest", Tool::Jest),
        ("mocha", Tool::Mocha),
        ("prove", Tool::Tap),
        ("mvn", Tool::Maven),
        ("mvnw", Tool::Maven),
        ("gradle", Tool::Gradle),
        ("gradlew", Tool::Gradle),
    ] {
        if starts(name) {
            return Some(tool);
        }
    }
    if program == "go" && has("test") {
        return Some(Tool::Go);
    }
    (starts("node") && has("--test")).then_some(Tool::Node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_tells_its_tools() {
        for (command, expected) in [
            ("cargo test --workspace", vec![Tool::Cargo]),
            (
                "cd sub && RUST_LOG=info cargo nextest run",
                vec![Tool::Nextest],
            ),
            ("python3 -m pytest -q tests/", vec![Tool::Pytest]),
            ("poetry run pytest 'a b.py'", vec![Tool::Pytest]),
            ("python -m unittest discover", vec![Tool::Unittest]),
            ("go vet ./... && go test ./...", vec![Tool::Go]),
            ("npx jest --ci; node --test", vec![Tool::Jest, Tool::Node]),
            ("./node_modules/.bin/vitest run", vec![Tool::Vitest]),
            ("sh run-tests.sh", vec![]),
            ("echo 'cargo test'", vec![]),
            ("cargo build", vec![]),
        ] {
            assert_eq!(tools(command), expected, "{command}");
        }
    }

    #[test]
    fn commands_are_parted_outside_of_quotes() {
        assert_eq!(
            simple_commands("a 'b;c' && d \"e|f\"; g"),
            ["a 'b;c'", "d \"e|f\"", "g"]
        );
    }
}

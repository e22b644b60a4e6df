//! The test command as it is run: with options that make it write a report, and with an environment that
//! makes two runs alike.

use std::collections::BTreeMap;
use std::path::Path;

use crate::runner::Folders;
use crate::tool::{Tool, simple_commands, tool_of, tools, words};

/// The variable with the folder for reports.
pub const REPORTS_VARIABLE: &str = "COMMONTRACE_REPORTS";
/// The variable with the folder that the set-up may fill.
pub const DEPENDENCIES_VARIABLE: &str = "COMMONTRACE_DEPENDENCIES";
/// How many processors tests are told to use, on any machine.
const PROCESSORS: &str = "2";

/// A command as it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrumented {
    /// The command.
    pub command: String,
    /// What was added.
    pub added: Vec<String>,
    /// Whether it writes a report if it runs.
    pub report_expected: bool,
    /// The test runners it starts that write no report; their results are read from the output.
    pub text_tools: Vec<Tool>,
    /// All test runners it starts.
    pub tools: Vec<Tool>,
}

/// Adds options to the test runners that are known to take them. A command that names
/// [`REPORTS_VARIABLE`] writes its own report, and is left as it is.
#[must_use]
pub fn instrument(command: &str, reports: &Path) -> Instrumented {
    let own_report = command.contains(REPORTS_VARIABLE);
    let mut out = Instrumented {
        command: command.to_owned(),
        added: Vec::new(),
        report_expected: own_report,
        text_tools: Vec::new(),
        tools: tools(command),
    };
    if own_report {
        return out;
    }
    let mut insertions: Vec<(usize, String)> = Vec::new();
    for (number, simple) in simple_commands(command).into_iter().enumerate() {
        let Some(tool) = tool_of(simple) else {
            continue;
        };
        let start = simple.as_ptr().addr() - command.as_ptr().addr();
        let file = |name: &str| format!("{}/{number}-{name}", reports.display());
        let option = option(tool, simple, &file);
        if option.as_ref().is_none_or(|option| !option.report) && !out.text_tools.contains(&tool) {
            out.text_tools.push(tool);
        }
        if let Some(option) = option {
            out.report_expected |= option.report;
            out.added.push(option.text.clone());
            insertions.push((start + option.at, format!(" {}", option.text)));
        }
    }
    for (at, text) in insertions.into_iter().rev() {
        out.command.insert_str(at, &text);
    }
    out
}

struct Addition {
    /// Where it goes, in bytes from the start of the simple command.
    at: usize,
    text: String,
    /// Whether it makes the tool write a report into the folder.
    report: bool,
}

/// The option to add to a tool's command, if it does not already say something of the kind itself.
fn option(tool: Tool, simple: &str, file: &dyn Fn(&str) -> String) -> Option<Addition> {
    let words = words(simple);
    let has = |start: &str| words.iter().any(|(_, word)| word.starts_with(start));
    // Behind the word that names the tool or its subcommand.
    let after = |names: &[&str]| {
        words
            .iter()
            .find(|(_, word)| names.contains(&word.rsplit('/').next().unwrap_or(word)))
            .map(|(at, _)| {
                simple[*at..]
                    .find(char::is_whitespace)
                    .map_or(simple.len(), |end| at + end)
            })
    };
    let (at, text, report) = match tool {
        Tool::Pytest if !has("--junit") && !simple.contains("no:junitxml") => (
            after(&["pytest", "py.test"])?,
            format!("--junitxml={}", file("junit.xml")),
            true,
        ),
        Tool::Jest if !has("--json") && !has("--outputFile") => (
            after(&["jest"])?,
            format!("--json --outputFile={}", file("jest.json")),
            true,
        ),
        Tool::Vitest if !has("--reporter") => (
            simple.len(),
            format!(
                "--reporter=default --reporter=json --outputFile.json={}",
                file("vitest.json")
            ),
            true,
        ),
        Tool::Node if !has("--test-reporter") => (
            after(&["--test"])?,
            format!(
                "--test-reporter=tap --test-reporter-destination={} --test-reporter=spec \
                 --test-reporter-destination=stdout",
                file("node.tap")
            ),
            true,
        ),
        Tool::Go if !has("-json") => (after(&["test"])?, "-json".to_owned(), false),
        // A binary that fails keeps the others from running, and then their tests are absent.
        Tool::Cargo if !has("--no-fail-fast") => {
            (after(&["test", "t"])?, "--no-fail-fast".to_owned(), false)
        }
        Tool::Nextest if !has("--no-fail-fast") && has("run") => {
            (after(&["run"])?, "--no-fail-fast".to_owned(), false)
        }
        Tool::Unittest if has("unittest") && !has("-v") && !has("--verbose") => {
            // `discover` is a subcommand, and takes its options behind it.
            let word = if has("discover") {
                "discover"
            } else {
                "unittest"
            };
            (after(&[word])?, "-v".to_owned(), false)
        }
        _ => return None,
    };
    Some(Addition { at, text, report })
}

/// The variables that every run of tests gets.
#[must_use]
pub fn environment(inside: &Folders) -> BTreeMap<String, String> {
    let scratch = |name: &str| format!("{}/{name}", inside.scratch.display());
    [
        ("TZ", "UTC".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("PYTHONHASHSEED", "0".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("CARGO_BUILD_JOBS", PROCESSORS.to_owned()),
        ("RUST_TEST_THREADS", PROCESSORS.to_owned()),
        ("GOMAXPROCS", PROCESSORS.to_owned()),
        ("OMP_NUM_THREADS", PROCESSORS.to_owned()),
        ("RAYON_NUM_THREADS", PROCESSORS.to_owned()),
        ("CARGO_TERM_COLOR", "never".to_owned()),
        ("CARGO_NET_OFFLINE", "true".to_owned()),
        ("CARGO_TARGET_DIR", scratch("cargo")),
        ("GOCACHE", scratch("go")),
        ("npm_config_cache", scratch("npm")),
        (REPORTS_VARIABLE, inside.reports.display().to_string()),
        (
            DEPENDENCIES_VARIABLE,
            inside.dependencies.display().to_string(),
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_commands_get_their_report_options() {
        for (command, expected) in [
            (
                "pytest -q tests",
                "pytest --junitxml=/out/0-junit.xml -q tests",
            ),
            (
                "cd sub && python3 -m pytest",
                "cd sub && python3 -m pytest --junitxml=/out/1-junit.xml",
            ),
            (
                "npx jest --ci | cat",
                "npx jest --json --outputFile=/out/0-jest.json --ci | cat",
            ),
            ("go test ./...", "go test -json ./..."),
            (
                "cargo test -p a -- --nocapture",
                "cargo test --no-fail-fast -p a -- --nocapture",
            ),
            ("python -m unittest", "python -m unittest -v"),
            (
                "python -m unittest discover -s t",
                "python -m unittest discover -v -s t",
            ),
            (
                "cargo test; pytest",
                "cargo test --no-fail-fast; pytest --junitxml=/out/1-junit.xml",
            ),
        ] {
            assert_eq!(instrument(command, Path::new("/out")).command, expected);
        }
    }

    #[test]
    fn a_command_that_reports_itself_is_left_as_it_is() {
        for command in [
            "pytest --junitxml=x.xml",
            "jest --json",
            "make test REPORT=$COMMONTRACE_REPORTS/r.xml",
            "sh run.sh",
            "cargo test --no-fail-fast",
        ] {
            assert_eq!(instrument(command, Path::new("/out")).command, command);
        }
        assert!(instrument("make R=$COMMONTRACE_REPORTS", Path::new("/out")).report_expected);
    }

    #[test]
    fn tools_without_a_report_are_read_from_the_output() {
        let both = instrument("cargo test; pytest", Path::new("/out"));
        assert!(both.report_expected);
        assert_eq!(both.text_tools, [Tool::Cargo]);
    }
}

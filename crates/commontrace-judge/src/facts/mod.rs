//! What happened in a session, found in one pass and shared by all checks.
//!
//! It refers into the events and copies none of their outputs: its size goes with the number of runs
//! and edits.

mod edits;

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash as _, Hasher as _};

use commontrace_session::event::Ended;
use commontrace_session::shell::Owned;
use commontrace_session::{Actor, Body, Event};

use crate::recognise::{
    Outcome, PathKind, Purpose, TestCommand, failed_names, file_name, normal, outcome, path_kind,
    purpose, stem,
};
use crate::text;

/// The runs, edits and words of a session. Events are meant by their places in [`Facts::events`].
#[derive(Debug)]
pub struct Facts<'a> {
    /// The session, in the order in which it happened.
    pub events: &'a [Event],
    /// What was run, a command and the report of its tests being one.
    pub runs: Vec<Run<'a>>,
    /// What was changed.
    pub edits: Vec<Edit<'a>>,
    /// Where the agent thought or spoke.
    pub said: Vec<usize>,
}

/// Something that was run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The event of the command, or of the test report if there is no command.
    pub at: usize,
    /// The event of the test report, if the command has one.
    pub report: Option<usize>,
    /// As it was typed.
    pub command: &'a str,
    /// What for.
    pub purpose: Purpose<'a>,
    /// Its exit code, if it is known.
    pub exit_code: Option<i64>,
    /// Whether it went well: for tests, whether some ran and none failed; for all else, whether the exit
    /// code is 0. `None` if nothing tells.
    pub passed: Option<bool>,
    /// The tests that failed.
    pub failed_tests: Vec<&'a str>,
    /// What it printed.
    pub output: &'a str,
    /// Whether the same command failed earlier in the session.
    pub repeats_failure: bool,
    /// Whether it runs a file that the session edited, a test, or a file to try with.
    pub runs_file: bool,
}

/// A change of a file.
#[derive(Debug)]
pub struct Edit<'a> {
    /// Its event.
    pub at: usize,
    /// The file.
    pub path: &'a str,
    /// What kind of file.
    pub kind: PathKind,
    /// What was changed; empty if that was not recorded.
    pub diff: &'a str,
    /// Whether the file was not there before.
    pub creates: bool,
    /// Whether it was taken back later.
    pub undone: bool,
}

impl<'a> Run<'a> {
    /// The choice of tests, if it ran any.
    pub fn tests(&self) -> Option<&TestCommand<'a>> {
        match &self.purpose {
            Purpose::Test(test) => Some(test),
            Purpose::Aside | Purpose::Run => None,
        }
    }

    /// Whether it can show that a change works: it runs tests, what failed before, or what was edited.
    pub fn verifies(&self) -> bool {
        self.tests().is_some() || self.repeats_failure || self.runs_file
    }

    /// The last event of it.
    pub fn end(&self) -> usize {
        self.report.unwrap_or(self.at)
    }
}

impl Edit<'_> {
    /// Whether it changes what is run: the code or its tests.
    pub fn is_code(&self) -> bool {
        matches!(self.kind, PathKind::Source | PathKind::Test)
    }
}

impl<'a> Facts<'a> {
    /// Reads a session. `test_command` is what it says of itself; may be empty.
    pub fn read(events: &'a [Event], test_command: &str) -> Self {
        let mut facts = Self {
            events,
            runs: Vec::new(),
            edits: Vec::new(),
            said: Vec::new(),
        };
        let mut failed = HashMap::new();
        let mut open = HashMap::new();
        for (at, event) in events.iter().enumerate() {
            match &event.body {
                Body::TerminalCommand {
                    command,
                    exit_code,
                    output,
                    ended,
                    ..
                } => {
                    facts.undo(command, &mut open);
                    let purpose = purpose(command, test_command);
                    let mut run = Run {
                        at,
                        report: None,
                        command,
                        passed: passed(&purpose, *exit_code, *ended, output),
                        failed_tests: match &purpose {
                            Purpose::Test(_) => failed_names(output),
                            Purpose::Aside | Purpose::Run => Vec::new(),
                        },
                        purpose,
                        exit_code: *exit_code,
                        output,
                        repeats_failure: false,
                        runs_file: false,
                    };
                    if run.purpose != Purpose::Aside {
                        let key = hash(&normal(command));
                        run.repeats_failure = failed.contains_key(&key);
                        if run.passed == Some(false) {
                            failed.insert(key, at);
                        }
                    }
                    facts.runs.push(run);
                }
                Body::TestResult {
                    tests_passed,
                    test_command: command,
                    failed_tests,
                    summary,
                    ..
                } => {
                    let passed = tests_passed.or_else(|| told(summary));
                    facts.report(at, event, command, passed, failed_tests, summary);
                }
                Body::CodeEdit {
                    file_path, diff, ..
                } => facts.edit(at, file_path, diff, &mut open),
                _ if text::said(event).is_some() => facts.said.push(at),
                _ => {}
            }
        }
        facts.note_run_files();
        facts
    }

    /// The edits of code and tests that were not taken back.
    pub fn code_edits(&self) -> impl DoubleEndedIterator<Item = &Edit<'a>> {
        self.edits
            .iter()
            .filter(|edit| edit.is_code() && !edit.undone)
    }

    /// The edits that may be the fix: of code that is no test, not taken back.
    pub fn fixes(&self) -> impl DoubleEndedIterator<Item = &Edit<'a>> {
        self.code_edits()
            .filter(|edit| edit.kind == PathKind::Source)
    }

    /// The last run that can show that a change works, behind the last edit of code.
    pub fn last_check(&self) -> Option<&Run<'a>> {
        let last_edit = self.code_edits().next_back().map(|edit| edit.at);
        let run = self.runs.iter().rev().find(|run| run.verifies())?;
        last_edit.is_none_or(|edit| run.at > edit).then_some(run)
    }

    /// The last run of anything but a look around, behind the last edit of code.
    pub fn last_run(&self) -> Option<&Run<'a>> {
        let last_edit = self.code_edits().next_back().map(|edit| edit.at);
        let run = self
            .runs
            .iter()
            .rev()
            .find(|run| run.purpose != Purpose::Aside)?;
        last_edit.is_none_or(|edit| run.at > edit).then_some(run)
    }

    /// What the agent itself said last.
    pub fn final_text(&self) -> Option<usize> {
        let by_agent = |at: &&usize| self.events[**at].actor == Actor::Agent;
        self.said.iter().rev().find(by_agent).copied()
    }

    fn report(
        &mut self,
        at: usize,
        event: &'a Event,
        command: &'a str,
        passed: Option<bool>,
        failed_tests: &'a [String],
        summary: &'a str,
    ) {
        let call = event.tool_call_id.as_deref();
        let theirs = |run: &&mut Run<'_>| {
            let same_call = call.is_some() && self.events[run.at].tool_call_id.as_deref() == call;
            run.report.is_none()
                && run.at < at
                && matches!(self.events[run.at].body, Body::TerminalCommand { .. })
                && (same_call || (run.at + 1 == at && run.command.trim() == command.trim()))
        };
        let names = failed_tests.iter().map(String::as_str);
        // A few commands may run side by side, so that a report need not follow its command at once.
        if let Some(run) = self.runs.iter_mut().rev().take(8).find(theirs) {
            run.report = Some(at);
            // The worse of both: an output can say more than the tool made of it.
            run.passed = match (run.passed, passed) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (told, None) => told,
                (_, told) => told,
            };
            for name in names {
                if !run.failed_tests.contains(&name) {
                    run.failed_tests.push(name);
                }
            }
            if run.tests().is_none() {
                run.purpose = Purpose::Test(unknown_tests(command));
            }
            return;
        }
        let purpose = match purpose(command, command) {
            Purpose::Test(test) => test,
            Purpose::Aside | Purpose::Run => unknown_tests(command),
        };
        self.runs.push(Run {
            at,
            report: None,
            command,
            purpose: Purpose::Test(purpose),
            exit_code: None,
            passed,
            failed_tests: names.collect(),
            output: summary,
            repeats_failure: false,
            runs_file: false,
        });
    }

    fn note_run_files(&mut self) {
        let edited: HashSet<&str> = self.edits.iter().map(|edit| file_name(edit.path)).collect();
        for run in self
            .runs
            .iter_mut()
            .filter(|run| run.purpose == Purpose::Run)
        {
            let mut words = run
                .command
                .split(|c: char| c.is_whitespace() || "\"'();&|".contains(c));
            run.runs_file = !compiles(run.command)
                && words.any(|word| {
                    let name = file_name(word);
                    let tries = || matches!(path_kind(word), PathKind::Test | PathKind::Scratch);
                    edited.contains(name)
                        || (stem(name) != name && !word.starts_with('-') && tries())
                });
        }
    }
}

/// Whether a command only translates or checks the files that it names.
fn compiles(command: &str) -> bool {
    let tools = [
        "gcc",
        "g++",
        "cc",
        "clang",
        "clang++",
        "rustc",
        "javac",
        "tsc",
        "py_compile",
        "mypy",
        "--check",
        "--noEmit",
    ];
    command.split_whitespace().any(|word| tools.contains(&word))
}

fn unknown_tests(command: &str) -> TestCommand<'_> {
    TestCommand {
        runner: command.split_whitespace().next().unwrap_or(""),
        selected: Vec::new(),
        narrow: false,
        exit: Owned {
            success: true,
            failure: true,
        },
    }
}

/// Whether a command went well. A pipe hides the exit code of the tests; then their output tells.
fn passed(
    purpose: &Purpose<'_>,
    exit_code: Option<i64>,
    ended: Option<Ended>,
    output: &str,
) -> Option<bool> {
    if ended == Some(Ended::TimedOut) {
        return Some(false);
    }
    let Purpose::Test(test) = purpose else {
        return exit_code.map(|code| code == 0);
    };
    // Where the exit code is that of the tests it decides: outputs are full of words.
    let theirs = exit_code.filter(|code| match code {
        0 => test.exit.success,
        _ => test.exit.failure,
    });
    match (outcome(output), theirs) {
        (_, Some(code)) if code != 0 => Some(false),
        (Some(Outcome::NothingRan), _) => None,
        (_, Some(_)) => Some(true),
        (Some(Outcome::Failed), None) => Some(false),
        (Some(Outcome::Passed), None) => Some(true),
        (None, None) => None,
    }
}

fn told(summary: &str) -> Option<bool> {
    match outcome(summary)? {
        Outcome::Passed => Some(true),
        Outcome::Failed => Some(false),
        Outcome::NothingRan => None,
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{events, ran, reported};

    #[test]
    fn a_command_and_the_report_of_its_tests_are_one_run() {
        let events = events([
            ran("pytest", 1, "1 failed"),
            reported("pytest", false, &["test_x"]),
        ]);
        let facts = Facts::read(&events, "");
        assert_eq!(facts.runs.len(), 1);
        assert_eq!(facts.runs[0].report, Some(1));
        assert_eq!(facts.runs[0].passed, Some(false));
        assert_eq!(facts.runs[0].failed_tests, ["test_x"]);
    }

    #[test]
    fn a_pipe_does_not_make_a_failing_run_pass() {
        let events = events([
            ran("pytest | tail", 0, "1 failed, 2 passed"),
            ran("pytest | tail", 0, "…"),
        ]);
        let facts = Facts::read(&events, "");
        assert_eq!(facts.runs[0].passed, Some(false));
        assert_eq!(facts.runs[1].passed, None);
    }

    #[test]
    fn an_exit_code_that_is_known_is_believed_before_the_words_of_an_output() {
        let events = events([
            ran(
                "go test ./... -v",
                0,
                "retry after 3 errors\nok  \tx/y\t0.1s",
            ),
            ran("pytest", 0, "no tests ran in 0.01s"),
        ]);
        let facts = Facts::read(&events, "");
        assert_eq!(facts.runs[0].passed, Some(true));
        assert_eq!(facts.runs[1].passed, None);
    }
}

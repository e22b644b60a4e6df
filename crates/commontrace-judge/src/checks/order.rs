//! Whether looking, failing, editing and running came in the order that shows something.

use std::collections::HashSet;

use commontrace_session::Body;

use super::{Check, Missing, Name, number};
use crate::facts::{Facts, Run};
use crate::recognise::{PathKind, file_name};
use crate::text::start;

/// The longest run of edits of code without a command between them that is not remarked on.
pub const LONGEST_STREAK: usize = 8;

pub fn red_before_fix(facts: &Facts<'_>) -> Check {
    let name = Name::RedBeforeFix;
    let Some(fix) = facts.fixes().next() else {
        return Check::unknown(name, Missing::Edits, "no code was edited for good");
    };
    let before = || facts.runs.iter().take_while(|run| run.at < fix.at);
    let shows =
        |run: &&Run<'_>| run.passed == Some(false) && (run.tests().is_some() || reproduces(run));
    if let Some(run) = before().find(shows) {
        let message = format!("`{}` failed before the first edit", start(run.command, 80));
        return Check::pass(name, message).at(facts.events, [run.at, run.end(), fix.at]);
    }
    let unclear = |run: &Run<'_>| run.tests().is_some() && run.passed.is_none();
    if before().any(unclear) {
        let message = "tests ran before the first edit, but nothing tells what came of them";
        return Check::unknown(name, Missing::Outcomes, message).at(
            facts.events,
            before().filter(|run| unclear(run)).map(|run| run.at),
        );
    }
    if facts.runs.is_empty() {
        return Check::unknown(name, Missing::Commands, "no command was recorded");
    }
    Check::fail(name, "nothing was seen failing before the first edit").at(facts.events, [fix.at])
}

/// Whether a failing command shows a fault of the code, and not that something is not there.
fn reproduces(run: &Run<'_>) -> bool {
    let signs = [
        "Traceback",
        "panicked at",
        "Exception",
        "Error",
        "error",
        "assert",
        "FAIL",
        "fault",
    ];
    run.purpose == crate::recognise::Purpose::Run
        && !matches!(run.exit_code, Some(126 | 127))
        && signs.iter().any(|sign| run.output.contains(sign))
}

pub fn verified_after_last_edit(facts: &Facts<'_>) -> Check {
    let name = Name::VerifiedAfterLastEdit;
    let Some(edit) = facts.code_edits().next_back() else {
        return Check::unknown(name, Missing::Edits, "no code was edited for good");
    };
    let Some(run) = facts.last_check() else {
        if facts.runs.is_empty() {
            return Check::unknown(name, Missing::Commands, "no command was recorded");
        }
        let message = format!(
            "no test ran after the last edit, of {}",
            start(edit.path, 80)
        );
        return Check::fail(name, message).at(facts.events, [edit.at]);
    };
    let command = start(run.command, 80);
    let check = match run.passed {
        Some(true) => Check::pass(name, format!("`{command}` passed after the last edit")),
        Some(false) => Check::fail(name, format!("`{command}` failed after the last edit")),
        None => {
            let message = format!("nothing tells what came of `{command}` after the last edit");
            Check::unknown(name, Missing::Outcomes, message)
        }
    };
    check.at(facts.events, [edit.at, run.at, run.end()])
}

pub fn same_test_red_then_green(facts: &Facts<'_>) -> Check {
    let name = Name::SameTestRedThenGreen;
    let edits: Vec<usize> = facts.code_edits().map(|edit| edit.at).collect();
    if edits.is_empty() {
        return Check::unknown(name, Missing::Edits, "no code was edited for good");
    }
    let edited_since = |at: usize, until: usize| {
        let next = edits.partition_point(|&edit| edit < at);
        edits.get(next).is_some_and(|&edit| edit < until)
    };
    let tests = || facts.runs.iter().filter(|run| run.tests().is_some());
    // Of the same choice of tests only the first failure matters, so that this stays linear in practice.
    let mut red: Vec<&Run<'_>> = Vec::new();
    for run in tests() {
        let Some(choice) = run.tests() else { continue };
        if run.passed == Some(true) {
            let turned = red.iter().find(|before| {
                before.tests().is_some_and(|failed| choice.covers(failed))
                    && edited_since(before.at, run.at)
            });
            if let Some(before) = turned {
                let message = format!(
                    "`{}` failed, and after an edit it passed",
                    start(before.command, 80)
                );
                return Check::pass(name, message)
                    .at(facts.events, [before.at, before.end(), run.at, run.end()]);
            }
        } else if run.passed == Some(false)
            && red.len() < 100
            && !red.iter().any(|other| other.tests() == run.tests())
        {
            red.push(run);
        }
    }
    if tests().any(|run| run.passed.is_none()) || tests().next().is_none() && facts.runs.is_empty()
    {
        return Check::unknown(
            name,
            Missing::Outcomes,
            "nothing tells what came of the tests",
        );
    }
    let message = match red.first() {
        Some(run) => format!(
            "`{}` failed and was not seen passing after an edit",
            start(run.command, 80)
        ),
        None => "no test was seen failing".to_owned(),
    };
    Check::fail(name, message).at(facts.events, red.iter().map(|run| run.at))
}

pub fn read_before_edit(facts: &Facts<'_>) -> Check {
    let name = Name::ReadBeforeEdit;
    let wanted: HashSet<&str> = facts
        .edits
        .iter()
        .map(|edit| file_name(edit.path))
        .collect();
    if wanted.is_empty() {
        return Check::unknown(name, Missing::Edits, "nothing was edited");
    }
    let (mut seen, mut edits) = (HashSet::new(), facts.edits.iter().peekable());
    let (mut of, mut unread, mut unclear) = (0, Vec::new(), Vec::new());
    let mut decided = HashSet::new();
    for (at, event) in facts.events.iter().enumerate() {
        if let Some(edit) = edits.next_if(|edit| edit.at == at) {
            if edit.kind != PathKind::Scratch && decided.insert(edit.path) && !edit.creates {
                of += 1;
                if !seen.contains(file_name(edit.path)) {
                    // The whole new text alone does not tell whether the file is new.
                    let list = if edit.diff.is_empty() {
                        &mut unclear
                    } else {
                        &mut unread
                    };
                    list.push(edit);
                }
            }
            seen.insert(file_name(edit.path));
        }
        let mut look = |text: &str| {
            let words = text.split(|c: char| !(c.is_alphanumeric() || "._-+".contains(c)));
            for word in words {
                if let Some(name) = wanted.get(word.trim_end_matches('.')) {
                    seen.insert(*name);
                }
            }
        };
        match &event.body {
            Body::FileOpen { file_path } => look(file_path),
            Body::FileRead { file_path, .. } => look(file_path),
            Body::TerminalCommand {
                command, output, ..
            } => {
                look(command);
                look(output);
            }
            Body::Search {
                results: Some(results),
                ..
            } => look(results),
            Body::ToolResult { content, .. } => look(content),
            Body::ToolCall { .. } => crate::text::each_text(event, &mut look),
            _ => {}
        }
    }
    let read = of - unread.len() - unclear.len();
    if let Some(first) = unread.first() {
        let message = format!(
            "{} edited without a look at it before, first {}",
            number(unread.len(), "file"),
            start(first.path, 80)
        );
        return Check::fail(name, message)
            .at(facts.events, unread.iter().map(|edit| edit.at))
            .counting(read, of);
    }
    if !unclear.is_empty() {
        let message = "nothing tells whether the edited files were there before";
        return Check::unknown(name, Missing::Diffs, message)
            .at(facts.events, unclear.iter().map(|edit| edit.at));
    }
    Check::pass(
        name,
        format!("{} looked at before being edited", number(read, "file")),
    )
    .counting(read, of)
}

pub fn edit_without_run(facts: &Facts<'_>) -> Check {
    let name = Name::EditWithoutRun;
    if facts.code_edits().next().is_none() {
        return Check::unknown(name, Missing::Edits, "no code was edited for good");
    }
    let streak = longest_streak(facts);
    if facts.runs.is_empty() && streak.len() > 1 {
        return Check::unknown(name, Missing::Commands, "no command was recorded");
    }
    let message = format!(
        "{} in a row without a run between them at most",
        number(streak.len(), "edit")
    );
    let check = if streak.len() > LONGEST_STREAK {
        Check::fail(name, message)
    } else {
        Check::pass(name, message)
    };
    check.at(facts.events, streak)
}

/// The most edits of code that follow one another without a run of anything but a look around.
pub fn longest_streak(facts: &Facts<'_>) -> Vec<usize> {
    let mut runs = facts
        .runs
        .iter()
        .filter(|run| run.purpose != crate::recognise::Purpose::Aside)
        .peekable();
    let (mut longest, mut streak) = (Vec::new(), Vec::new());
    for edit in facts.edits.iter().filter(|edit| edit.is_code()) {
        let mut ran = false;
        while runs.next_if(|run| run.at < edit.at).is_some() {
            ran = true;
        }
        if ran {
            streak.clear();
        }
        streak.push(edit.at);
        if streak.len() > longest.len() {
            longest.clone_from(&streak);
        }
    }
    longest
}

pub fn ignored_failure(facts: &Facts<'_>) -> Check {
    let name = Name::IgnoredFailure;
    if facts.runs.is_empty() {
        return Check::unknown(name, Missing::Commands, "no command was recorded");
    }
    let mut ignored = Vec::new();
    let mut failures = 0;
    for (place, run) in facts.runs.iter().enumerate() {
        let counts = run.verifies() || run.purpose == crate::recognise::Purpose::Run;
        if !counts || run.passed != Some(false) {
            continue;
        }
        failures += 1;
        let edited = facts.edits.partition_point(|edit| edit.at < run.at) < facts.edits.len();
        // Anything that was run afterwards but a look around may be an answer to it.
        let tried = || {
            facts.runs[place + 1..]
                .iter()
                .any(|next| next.purpose != crate::recognise::Purpose::Aside)
        };
        let spoken = || {
            let first = facts.said.partition_point(|&at| at < run.at);
            facts.said[first..]
                .iter()
                .any(|&at| crate::text::said(&facts.events[at]).is_some_and(mentions_failure))
        };
        if !edited && !tried() && !spoken() {
            ignored.push(run.at);
        }
    }
    if let Some(&first) = ignored.first() {
        let message = format!(
            "{} with nothing done or said about it",
            number(ignored.len(), "failure")
        );
        return Check::fail(name, message).at(facts.events, ignored.iter().copied().chain([first]));
    }
    let unclear = facts.runs.iter().all(|run| run.passed.is_none());
    if unclear {
        return Check::unknown(
            name,
            Missing::Outcomes,
            "nothing tells what came of the commands",
        );
    }
    Check::pass(
        name,
        format!(
            "{}, each with something done or said after it",
            number(failures, "failure")
        ),
    )
}

fn mentions_failure(text: &str) -> bool {
    let text = text.to_lowercase();
    [
        "fail",
        "error",
        "broke",
        "red",
        "crash",
        "panic",
        "exit",
        "not pass",
        "unable",
        "could not",
    ]
    .iter()
    .any(|word| text.contains(word))
}

pub fn regressions_checked(facts: &Facts<'_>) -> Check {
    let name = Name::RegressionsChecked;
    let Some(edit) = facts.fixes().next_back() else {
        return Check::unknown(name, Missing::Edits, "no code was edited for good");
    };
    if facts.runs.is_empty() {
        return Check::unknown(name, Missing::Commands, "no command was recorded");
    }
    let first = facts.runs.partition_point(|run| run.at < edit.at);
    let after = || {
        facts.runs[first..]
            .iter()
            .filter(|run| run.tests().is_some())
    };
    let wide = |run: &&Run<'_>| run.tests().is_some_and(|tests| !tests.narrow);
    let Some(run) = after().rev().find(wide) else {
        let message = match after().count() {
            0 => "no test ran after the last edit",
            _ => "only single tests or files ran after the last edit",
        };
        return Check::fail(name, message).at(facts.events, after().map(|run| run.at));
    };
    let command = start(run.command, 80);
    let check = match run.passed {
        Some(true) => Check::pass(name, format!("`{command}` passed after the last edit")),
        Some(false) if failed_already(facts, run) => {
            let message =
                format!("`{command}` ran after the last edit; what failed had failed before");
            Check::pass(name, message)
        }
        Some(false) => Check::fail(name, format!("`{command}` failed after the last edit")),
        None => {
            let message = format!("nothing tells what came of `{command}`");
            Check::unknown(name, Missing::Outcomes, message)
        }
    };
    check.at(facts.events, [edit.at, run.at, run.end()])
}

/// Whether every test that failed in this run had failed in a run before the first edit.
fn failed_already(facts: &Facts<'_>, run: &Run<'_>) -> bool {
    let Some(fix) = facts.fixes().next() else {
        return false;
    };
    let before = facts.runs.iter().take_while(|run| run.at < fix.at);
    let known: HashSet<&str> = before
        .flat_map(|run| run.failed_tests.iter().copied())
        .collect();
    !run.failed_tests.is_empty() && run.failed_tests.iter().all(|test| known.contains(test))
}

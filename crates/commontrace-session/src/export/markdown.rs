//! Markdown, for people and for pull requests: the verdict first, then the facts, then what happened.

use std::borrow::Cow;
use std::io::{self, Write};

use commontrace_core::text::clean;

use super::{Export, Verdict};
use crate::event::Ended;
use crate::text;
use crate::{Actor, Body, Event};

/// Outputs longer than this are cut in the middle, in bytes.
const LONGEST_OUTPUT: usize = 20_000;

/// Writes a session.
pub(super) fn write(
    export: &Export<'_>,
    events: &mut impl Iterator<Item = Event>,
    out: &mut impl Write,
) -> io::Result<()> {
    let session = export.session;
    let title = session.title.as_deref().unwrap_or("Debugging session");
    writeln!(out, "# {}\n", inline(title))?;
    verdict(export.verdict, out)?;
    facts(export, out)?;
    writeln!(out, "## What happened\n")?;
    for event in events {
        write_event(&event, out)?;
    }
    Ok(())
}

fn verdict(verdict: Option<&Verdict>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "## Verdict\n")?;
    let Some(verdict) = verdict else {
        return writeln!(out, "Not finalized: neither run nor judged.\n");
    };
    let tests = match verdict.tests_passed {
        Some(true) => "passed",
        Some(false) => "failed",
        None => "were not run",
    };
    let code = verdict
        .test_exit_code
        .map_or_else(String::new, |code| format!(" (exit code {code})"));
    let status = verdict
        .status
        .as_deref()
        .map_or_else(String::new, |status| format!("**{}**: ", inline(status)));
    writeln!(out, "{status}tests {tests}{code}.\n")?;
    match verdict.reasoning_score {
        Some(score) => writeln!(out, "Reasoning: {score:.1} of 5.\n")?,
        None => writeln!(out, "Reasoning was not judged.\n")?,
    }
    if let Some(combined) = verdict.combined {
        writeln!(out, "Combined: {combined:.2}.\n")?;
    }
    if !verdict.dimensions.is_empty() {
        writeln!(out, "| dimension | score (0 to 4) | why |\n|---|---|---|")?;
        for (name, dimension) in &verdict.dimensions {
            let score = match (dimension.score, &dimension.error_type) {
                (Some(score), None) => format!("{score:.1}"),
                (_, Some(error)) => format!("none: {}", inline(error)),
                (None, None) => "none".to_owned(),
            };
            let why = dimension
                .explanation
                .as_deref()
                .or(dimension.label.as_deref())
                .unwrap_or("");
            writeln!(out, "| {} | {score} | {} |", inline(name), inline(why))?;
        }
        writeln!(out)?;
    }
    if let Some(feedback) = verdict
        .reasoning_feedback
        .as_deref()
        .filter(|text| !text.trim().is_empty())
    {
        quote(feedback, out)?;
    }
    if let Some(snippet) = verdict
        .test_output_snippet
        .as_deref()
        .filter(|text| !text.trim().is_empty())
    {
        folded("Test output", snippet, "text", out)?;
    }
    Ok(())
}

fn facts(export: &Export<'_>, out: &mut impl Write) -> io::Result<()> {
    let session = export.session;
    let repo = &session.repo;
    let time = |time: Option<chrono::DateTime<chrono::Utc>>| {
        time.map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
    };
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let agent = session
        .format
        .as_deref()
        .map(|format| match &session.tool_version {
            Some(version) => format!("{format} {version}"),
            None => format.to_owned(),
        });
    writeln!(out, "## Facts\n\n| | |\n|---|---|")?;
    for (name, value) in [
        ("session", Some(export.id.to_owned())),
        ("address", export.url.map(str::to_owned)),
        ("developer", text(&session.developer_id)),
        ("bug", session.bug_id.clone()),
        ("agent", agent),
        ("model", session.model.clone()),
        ("repository", text(&repo.name)),
        ("url", text(&repo.url)),
        ("branch", text(&repo.branch)),
        ("commit before", text(&repo.commit_before)),
        ("commit after", text(&repo.commit_after)),
        ("test command", text(&repo.test_command)),
        ("begin", time(session.start_time)),
        ("end", time(session.end_time)),
    ] {
        if let Some(value) = value {
            writeln!(out, "| {name} | {} |", inline(&value))?;
        }
    }
    writeln!(out)
}

fn write_event(event: &Event, out: &mut impl Write) -> io::Result<()> {
    let time = event.timestamp.map_or_else(String::new, |time| {
        format!("`{}` ", time.format("%H:%M:%S"))
    });
    let actor = match &event.actor {
        Actor::Agent => String::new(),
        other => format!("{} ", code(&other.to_string())),
    };
    let head = format!("{time}{actor}");
    let redacted = if event.redacted { " (redacted)" } else { "" };
    match &event.body {
        Body::FileOpen { file_path } => writeln!(out, "- {head}opened {}\n", code(file_path)),
        Body::FileClose { file_path } => writeln!(out, "- {head}closed {}\n", code(file_path)),
        Body::FileRead { file_path, .. } => writeln!(out, "- {head}read {}\n", code(file_path)),
        Body::CodeEdit {
            file_path,
            diff,
            snapshot_after,
        } => {
            writeln!(out, "### {head}edited {}{redacted}\n", code(file_path))?;
            match snapshot_after {
                Some(text) if diff.is_empty() => folded("The file afterwards", text, "text", out),
                _ => fenced(diff, "diff", out),
            }
        }
        Body::TerminalCommand {
            command,
            exit_code,
            output,
            duration_ms,
            ended,
            ..
        } => {
            let took = duration_ms
                .map_or_else(String::new, |took| format!(", {:.1} s", took as f64 / 1e3));
            let end = match (ended, exit_code) {
                (Some(Ended::TimedOut), _) => "timed out".to_owned(),
                (Some(Ended::Interrupted), _) => "interrupted".to_owned(),
                (Some(Ended::Background), _) => "in the background".to_owned(),
                (None, Some(code)) => format!("exit code {code}"),
                (None, None) => "exit code unknown".to_owned(),
            };
            writeln!(out, "### {head}ran a command: {end}{took}{redacted}\n")?;
            fenced(command, "sh", out)?;
            if output.trim().is_empty() {
                return Ok(());
            }
            folded("Output", output, "text", out)
        }
        Body::TestResult {
            tests_passed,
            test_command,
            failed_tests,
            summary,
        } => {
            let how = match tests_passed {
                Some(true) => "passed",
                Some(false) => "failed",
                None => "were run, with an outcome that is not known",
            };
            writeln!(out, "**{head}Tests {how}**: {}\n", code(test_command))?;
            for test in failed_tests.iter().take(20) {
                writeln!(out, "- failed: {}", code(test))?;
            }
            if failed_tests.len() > 20 {
                writeln!(out, "- and {} more", failed_tests.len() - 20)?;
            }
            if !failed_tests.is_empty() {
                writeln!(out)?;
            }
            if summary.trim().is_empty() {
                return Ok(());
            }
            fenced(summary, "text", out)
        }
        Body::ReasoningStep { content }
        | Body::AgentMessage { content }
        | Body::UserMessage { content } => {
            let who = match (&event.body, &event.actor) {
                (Body::UserMessage { .. }, Actor::Human) => "The person",
                (Body::UserMessage { .. }, Actor::System) => "The tool, in the person's name",
                _ if event.extra.get("kind").and_then(|kind| kind.as_str()) == Some("thinking") => {
                    "The agent thought"
                }
                _ => "The agent",
            };
            writeln!(out, "**{time}{who}**{redacted}\n")?;
            quote(content, out)
        }
        Body::ToolCall { name, arguments } => {
            writeln!(out, "- {head}called {}\n", code(name))?;
            folded("Arguments", &arguments.to_string(), "json", out)
        }
        Body::ToolResult {
            name,
            content,
            is_error,
        } => {
            let name = name.as_deref().unwrap_or("a tool");
            let how = if *is_error == Some(true) {
                "failed"
            } else {
                "answered"
            };
            writeln!(out, "- {head}{} {how}\n", code(name))?;
            if content.trim().is_empty() {
                return Ok(());
            }
            folded("Answer", content, "text", out)
        }
        Body::Search { query, path, .. } => {
            let place = path
                .as_deref()
                .map_or_else(String::new, |path| format!(" in {}", code(path)));
            writeln!(out, "- {head}searched for {}{place}\n", code(query))
        }
        Body::Commit { sha, message } => {
            let sha = sha
                .as_deref()
                .map_or_else(String::new, |sha| format!("{} ", code(sha)));
            writeln!(out, "- {head}committed {sha}{}\n", inline(message))
        }
        Body::PullRequest { url } => writeln!(out, "- {head}pull request {}\n", code(url)),
        Body::Compaction { summary } => {
            writeln!(out, "**{head}The agent's memory was summarised**\n")?;
            match summary {
                Some(summary) => folded("Summary", summary, "text", out),
                None => Ok(()),
            }
        }
        Body::Error { message } => {
            writeln!(out, "**{head}Error**\n")?;
            fenced(message, "text", out)
        }
        Body::ApprovalDenied { what } => writeln!(out, "- {head}did not allow {}\n", code(what)),
        Body::Rollback { reason, .. } => {
            let reason = reason
                .as_deref()
                .unwrap_or("what came before was taken back");
            writeln!(out, "- {head}rollback: {}\n", inline(reason))
        }
    }
}

/// A block that nothing inside can end.
fn fenced(text: &str, language: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", text::fenced(&plain(text), language))
}

/// The same, folded away.
fn folded(title: &str, text: &str, language: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<details><summary>{title}</summary>\n")?;
    fenced(&cut(text), language, out)?;
    writeln!(out, "</details>\n")
}

/// Words of a person or an agent: quoted, so that their headings are not ours.
fn quote(text: &str, out: &mut impl Write) -> io::Result<()> {
    // A fence that is not closed would swallow what follows the quotation only within it.
    for line in plain(text).trim().lines() {
        let line = line.trim_end();
        if line.is_empty() {
            writeln!(out, ">")?;
        } else {
            writeln!(out, "> {}", line.replace('<', "&lt;"))?;
        }
    }
    writeln!(out)
}

/// A text within a line, as code.
fn code(text: &str) -> String {
    let text = one_line(text);
    let fence = "`".repeat(text::longest_backticks(&text) + 1);
    if text.is_empty() {
        "(nothing)".to_owned()
    } else if text.starts_with('`') || text.ends_with('`') {
        format!("{fence} {text} {fence}")
    } else {
        format!("{fence}{text}{fence}")
    }
}

/// A text within a line, as words.
fn inline(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|'
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn one_line(text: &str) -> String {
    plain(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text without terminal escapes and other characters that are not seen.
fn plain(text: &str) -> Cow<'_, str> {
    // Joiners, which emoji are made with, can hide words too.
    const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
    let text = clean(text);
    if text.contains(JOINERS) {
        Cow::Owned(text.replace(JOINERS, ""))
    } else {
        text
    }
}

/// The head and the tail of a text that is too long.
fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_OUTPUT {
        return Cow::Borrowed(text);
    }
    let head = text.floor_char_boundary(LONGEST_OUTPUT / 4);
    let tail = text.ceil_char_boundary(text.len() - LONGEST_OUTPUT * 3 / 4);
    Cow::Owned(format!(
        "{}\n[{} bytes are left out here]\n{}",
        &text[..head],
        tail - head,
        &text[tail..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_block() {
        let mut out = Vec::new();
        fenced("a\n````\nb", "text", &mut out).expect("memory takes all");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "`````text\na\n````\nb\n`````\n\n"
        );
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`x`"), "`` `x` ``");
        assert_eq!(inline("a|b\n<c>"), r"a\|b \<c\>");
    }

    #[test]
    fn escapes_and_hidden_characters_are_gone() {
        assert_eq!(plain("\u{1b}[31mred\u{1b}[0m\u{202e}\r\nx"), "red\nx");
        assert_eq!(plain("p\u{200d}a\u{2062}s\u{61c}s\u{e0041}"), "pass");
    }

    #[test]
    fn long_outputs_keep_head_and_tail() {
        let text = format!("begin{}end", "é".repeat(LONGEST_OUTPUT));
        let cut = cut(&text);
        assert!(
            cut.starts_with("begin") && cut.ends_with("end") && cut.len() < LONGEST_OUTPUT + 100
        );
    }
}

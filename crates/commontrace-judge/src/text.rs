//! The texts of an event.

use commontrace_session::{Body, Event};
use serde_json::Value;

/// Hands every text of an event over, in the order of its members.
pub fn each_text<'a>(event: &'a Event, take: &mut dyn FnMut(&'a str)) {
    match &event.body {
        Body::FileOpen { file_path } | Body::FileClose { file_path } => take(file_path),
        Body::CodeEdit {
            file_path,
            diff,
            snapshot_after,
            ..
        } => {
            take(file_path);
            take(diff);
            snapshot_after.iter().for_each(|text| take(text));
        }
        Body::TerminalCommand {
            command, output, ..
        } => {
            take(command);
            take(output);
        }
        Body::TestResult {
            test_command,
            failed_tests,
            summary,
            ..
        } => {
            take(test_command);
            failed_tests.iter().for_each(|text| take(text));
            take(summary);
        }
        Body::ReasoningStep { content, .. }
        | Body::UserMessage { content, .. }
        | Body::AgentMessage { content, .. }
        | Body::ToolResult { content, .. } => take(content),
        Body::ToolCall { arguments, .. } => each_string(arguments, take),
        Body::FileRead {
            file_path, content, ..
        } => {
            take(file_path);
            content.iter().for_each(|text| take(text));
        }
        Body::Search {
            query,
            path,
            results,
            ..
        } => {
            take(query);
            path.iter().chain(results).for_each(|text| take(text));
        }
        Body::Commit { message, .. } | Body::Error { message, .. } => take(message),
        Body::PullRequest { url, .. } => take(url),
        Body::Compaction { summary, .. } => summary.iter().for_each(|text| take(text)),
        Body::ApprovalDenied { what, .. } => take(what),
        Body::Rollback { reason, .. } => reason.iter().for_each(|text| take(text)),
    }
}

/// What somebody said of the session, which is no evidence of what happened in it.
pub fn said(event: &Event) -> Option<&str> {
    match &event.body {
        Body::ReasoningStep { content, .. } | Body::AgentMessage { content, .. } => Some(content),
        _ => None,
    }
}

/// The sentences and lines of a text.
pub fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| {
        let mut rest = line;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = rest
                .match_indices(['.', '!', '?'])
                .map(|(at, _)| at + 1)
                .find(|&end| rest[end..].starts_with(' ') || end == rest.len())
                .unwrap_or(rest.len());
            let (sentence, left) = rest.split_at(end);
            rest = left.trim_start();
            Some(sentence)
        })
    })
}

/// The start of a text, for a sentence about it.
pub fn start(text: &str, chars: usize) -> String {
    let text = text.trim();
    let line = text.lines().next().unwrap_or("");
    match line.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.len() < text.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

fn each_string<'a>(value: &'a Value, take: &mut dyn FnMut(&'a str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(items) => items.iter().for_each(|item| each_string(item, take)),
        Value::Object(members) => members.values().for_each(|item| each_string(item, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_at_points_and_lines_but_not_inside_numbers() {
        let read: Vec<_> = sentences("It took 1.5 s. Fixed!\nDone").collect();
        assert_eq!(read, ["It took 1.5 s.", "Fixed!", "Done"]);
    }
}

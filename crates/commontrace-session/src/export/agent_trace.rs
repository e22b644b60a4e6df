//! Agent Trace 0.1.0: which lines of which files the agent wrote. It says nothing of quality, by design.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use commontrace_core::hex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Export;
use crate::{Actor, Body, Event, diff};

/// The longest model id that the format allows.
const LONGEST_MODEL: usize = 250;

/// Writes the attribution of a session. Line numbers are those after each edit; of an edit whose place is
/// not known, none are told.
pub(super) fn write(
    export: &Export<'_>,
    events: &mut impl Iterator<Item = Event>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut files: BTreeMap<String, Vec<Range<usize>>> = BTreeMap::new();
    let mut last = None;
    for event in events {
        last = last.max(event.timestamp);
        let by_agent = matches!(event.actor, Actor::Agent | Actor::Subagent(_));
        if let Body::CodeEdit {
            file_path, diff, ..
        } = &event.body
            && by_agent
            && is_in_repository(file_path)
        {
            let ranges = files.entry(file_path.clone()).or_default();
            if !event.place_unknown() {
                apply(ranges, diff);
            }
        }
    }
    let session = export.session;
    let time = session
        .end_time
        .or(last)
        .or(session.start_time)
        .unwrap_or_default();
    let url = export
        .url
        .map_or_else(|| format!("urn:commontrace:{}", export.id), str::to_owned);
    let mut contributor = json!({"type": "ai"});
    if let Some(model) = &session.model {
        let mut model = with_provider(model);
        model.truncate(model.floor_char_boundary(LONGEST_MODEL));
        contributor["model_id"] = Value::from(model);
    }
    let files: Vec<Value> = files
        .into_iter()
        .filter(|(_, ranges)| !ranges.is_empty())
        .map(|(path, ranges)| {
            let ranges: Vec<Value> = ranges
                .iter()
                .map(|range| json!({"start_line": range.start, "end_line": range.end - 1}))
                .collect();
            let mut conversation =
                json!({"url": url, "contributor": contributor, "ranges": ranges});
            if export.verdict.is_some() {
                let related = json!([{"type": "verdict", "url": format!("{url}#verdict")}]);
                conversation["related"] = related;
            }
            json!({"path": path, "conversations": [conversation]})
        })
        .collect();
    let mut document = Map::new();
    document.insert("version".to_owned(), Value::from("0.1.0"));
    document.insert("id".to_owned(), Value::from(uuid(export.id)));
    document.insert("timestamp".to_owned(), serde_json::to_value(time)?);
    let revision = [&session.repo.commit_after, &session.repo.commit_before]
        .into_iter()
        .find(|commit| commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if let Some(revision) = revision {
        document.insert(
            "vcs".to_owned(),
            json!({"type": "git", "revision": revision}),
        );
    }
    if let Some(name) = &session.format {
        let mut tool = json!({"name": name});
        if let Some(version) = &session.tool_version {
            tool["version"] = Value::from(&**version);
        }
        document.insert("tool".to_owned(), tool);
    }
    document.insert("files".to_owned(), Value::from(files));
    document.insert(
        "metadata".to_owned(),
        json!({"org.commontrace.session": export.id}),
    );
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

/// A model as `provider/model`; the names of the large families tell whose they are.
fn with_provider(model: &str) -> String {
    let families = [
        ("claude-", "anthropic"),
        ("gpt-", "openai"),
        ("gemini-", "google"),
    ];
    let provider = families
        .iter()
        .find(|(family, _)| model.starts_with(family));
    match provider {
        Some((_, provider)) => format!("{provider}/{model}"),
        None => model.to_owned(),
    }
}

/// Whether a path is relative to the repository's root, as the format wants it.
fn is_in_repository(path: &str) -> bool {
    !path.is_empty() && !path.starts_with(['/', '\\', '~']) && path.as_bytes().get(1) != Some(&b':')
}

/// Moves the ranges of earlier edits by what an edit adds and takes, and adds its own.
fn apply(ranges: &mut Vec<Range<usize>>, diff: &str) {
    let mut lines: Vec<Range<usize>> = Vec::new();
    let shifts = diff::shifts(diff);
    for range in ranges.drain(..) {
        lines.extend(moved(&range, &shifts));
    }
    lines.extend(diff::added_ranges(diff));
    lines.sort_by_key(|range| range.start);
    for range in lines {
        match ranges.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => ranges.push(range),
        }
    }
}

/// What is left of a range after an edit.
fn moved(range: &Range<usize>, shifts: &[diff::Shift]) -> Vec<Range<usize>> {
    let mut left = Vec::new();
    let mut start = range.start;
    let mut by: isize = 0;
    let mut push = |start: usize, end: usize, by: isize| {
        if start < end {
            left.push(start.saturating_add_signed(by)..end.saturating_add_signed(by));
        }
    };
    for shift in shifts {
        if shift.removed.start >= range.end {
            break;
        }
        if shift.removed.end <= start {
            by = shift.by;
            continue;
        }
        push(start, shift.removed.start.max(start), by);
        start = shift.removed.end.max(start);
        by = shift.by;
    }
    push(start, range.end, by);
    left
}

/// An id in the shape of a UUID that follows from the session's id.
fn uuid(id: &str) -> String {
    let digest = Sha256::digest(format!("agent-trace:{id}").as_bytes());
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    // Version 8 is the one for ids that are made in a way of one's own.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(&bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_edits_move_the_lines_of_earlier_ones() {
        let mut ranges = Vec::new();
        apply(&mut ranges, "@@ -0,0 +1,4 @@\n+a\n+b\n+c\n+d\n");
        assert_eq!(ranges.first(), Some(&(1..5)));
        // Two lines before, one taken out of the middle.
        apply(
            &mut ranges,
            "@@ -1,1 +1,3 @@\n+x\n+y\n a\n@@ -2,2 +4,1 @@\n-b\n c\n",
        );
        assert_eq!(ranges.first(), Some(&(1..6)));
        let mut ranges: Vec<_> = std::iter::once(10..12).collect();
        apply(&mut ranges, "@@ -1,2 +1,1 @@\n-a\n b\n");
        assert_eq!(ranges.first(), Some(&(9..11)));
        apply(&mut ranges, "@@ -9,2 +9,0 @@\n-a\n-b\n");
        assert!(ranges.is_empty());
    }
}

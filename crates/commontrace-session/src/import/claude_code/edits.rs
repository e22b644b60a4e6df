//! Changes of files, as unified diffs.
//!
//! The patch in the record is made for display: where a line begins with tabs it has blanks, and does not
//! apply. So the diff is made of the file before and what was replaced in it, and the patch only serves
//! where these are not there.

use serde_json::Value;

use super::super::json::{self, Member, members};
use super::super::state::Call;
use super::results::Twin;
use crate::diff;
use crate::{Body, Event};

members!(
    /// A hunk of `structuredPatch`.
    Hunk {
        old_start = "oldStart",
        new_start = "newStart",
        lines = "lines",
    }
);

/// The event of a change that was made.
pub(super) fn event(call: &Call, path: String, twin: &Twin<'_>) -> Event {
    let original = json::text(twin.original);
    let after = after(call, twin, original.as_deref());
    let mut placed = true;
    let mut snapshot = None;
    let diff = match (&original, after) {
        (Some(before), Some(after)) => {
            // An edit of nothing makes a file; the record has an empty one before it.
            let before =
                Some(&**before).filter(|before| !(before.is_empty() && creates(call, twin)));
            diff::between(&path, before, Some(&after))
        }
        // Without a file before, what is written is a new file, unless the record says what was replaced.
        (None, Some(after)) if creates(call, twin) => diff::between(&path, None, Some(&after)),
        (_, after) => {
            let shown = shown(&path, twin.patch);
            if shown.is_none() && after.is_none() {
                placed = false;
            }
            snapshot = after.filter(|_| shown.is_none());
            match (shown, &snapshot) {
                (Some(shown), _) => shown,
                (None, Some(_)) => String::new(),
                (None, None) => replaced(&path, call, twin),
            }
        }
    };
    let mut event = call.event(Body::CodeEdit {
        file_path: path,
        diff,
        snapshot_after: snapshot,
    });
    if !placed {
        event = event.with_place_unknown();
    }
    if json::flag(twin.user_modified) == Some(true) {
        event
            .extra
            .insert("user_modified".to_owned(), Value::Bool(true));
    }
    event
}

/// Whether the file was not there before.
fn creates(call: &Call, twin: &Twin<'_>) -> bool {
    let is_new = call.name == "Write" && json::items(twin.patch).is_empty();
    is_new || (call.name == "Edit" && call.text("old_string") == Some(""))
}

/// The file afterwards, if it follows from the record.
fn after(call: &Call, twin: &Twin<'_>, original: Option<&str>) -> Option<String> {
    match &*call.name {
        "Write" => json::text(twin.content)
            .map(Into::into)
            .or_else(|| call.text("content").map(str::to_owned)),
        "Edit" => {
            let old = json::text(twin.old).or_else(|| call.text("old_string").map(Into::into))?;
            let new = json::text(twin.new).or_else(|| call.text("new_string").map(Into::into))?;
            let all = json::flag(twin.replace_all)
                .or_else(|| call.arguments.get("replace_all")?.as_bool())
                .unwrap_or(false);
            apply(original.unwrap_or(""), &old, &new, all)
        }
        "MultiEdit" => {
            let mut text = original?.to_owned();
            for edit in call.arguments.get("edits")?.as_array()? {
                let part = |name| edit.get(name).and_then(Value::as_str);
                let all = edit
                    .get("replace_all")
                    .and_then(Value::as_bool)
                    .unwrap_or(false);
                text = apply(&text, part("old_string")?, part("new_string")?, all)?;
            }
            Some(text)
        }
        _ => None,
    }
}

/// The text with one or all places replaced; `None` if there is no such place.
fn apply(text: &str, old: &str, new: &str, all: bool) -> Option<String> {
    if old.is_empty() {
        return text.is_empty().then(|| new.to_owned());
    }
    if !text.contains(old) {
        return None;
    }
    Some(if all {
        text.replace(old, new)
    } else {
        text.replacen(old, new, 1)
    })
}

/// The diff that the record shows.
fn shown(path: &str, patch: Member<'_>) -> Option<String> {
    let hunks = json::objects::<Hunk<'_>>(patch);
    if hunks.is_empty() {
        return None;
    }
    let mut out = diff::header(path, true, true);
    for hunk in hunks {
        let lines = json::texts(hunk.lines);
        let start = |member| {
            let first = json::int(member).unwrap_or(1).max(1);
            usize::try_from(first - 1).unwrap_or(0)
        };
        let mut changes: Vec<(char, String)> = Vec::new();
        for line in lines {
            let mut chars = line.chars();
            match chars.next() {
                Some(sign @ (' ' | '+' | '-')) => {
                    changes.push((sign, format!("{}\n", chars.as_str())));
                }
                // `\ No newline at end of file` is said of the line before.
                Some('\\') => {
                    if let Some((_, line)) = changes.last_mut() {
                        line.pop();
                    }
                }
                _ => changes.push((' ', format!("{line}\n"))),
            }
        }
        let changes = changes.iter().map(|(sign, line)| (*sign, line.as_str()));
        diff::push_hunk(
            &mut out,
            start(hunk.old_start),
            start(hunk.new_start),
            changes,
        );
    }
    Some(out)
}

/// What was replaced by what, where nothing tells the place.
fn replaced(path: &str, call: &Call, twin: &Twin<'_>) -> String {
    let part = |member, name| json::text(member).or_else(|| call.text(name).map(Into::into));
    let old = part(twin.old, "old_string").unwrap_or_default();
    let new = part(twin.new, "new_string")
        .or_else(|| call.text("new_source").map(Into::into))
        .unwrap_or_default();
    let ended = |text: &str| {
        if text.is_empty() || text.ends_with('\n') {
            text.to_owned()
        } else {
            format!("{text}\n")
        }
    };
    diff::between(path, Some(&ended(&old)), Some(&ended(&new)))
}

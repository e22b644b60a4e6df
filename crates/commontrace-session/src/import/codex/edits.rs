//! The edits that a patch is made of.

use serde_json::Value;

use super::super::desk::Desk;
use super::super::json;
use super::super::state::{Call, State};
use super::{Scene, patch};
use crate::{Body, Event, diff};

/// The events of the changes that a call has made.
pub(super) fn edits(state: &State, call: &Call, changes: Vec<patch::Change>) -> Vec<Event> {
    let edit = |(number, change): (usize, patch::Change)| {
        let path = change.moved_to.as_deref().unwrap_or(&change.path);
        let mut event = call.event(Body::CodeEdit {
            file_path: state.roots.relative(path),
            diff: change.diff,
            snapshot_after: None,
        });
        event.id = match number {
            0 => call.id.clone(),
            _ => format!("{}#{number}", call.id),
        };
        if change.moved_to.is_some() {
            event.extra.insert(
                "moved_from".to_owned(),
                Value::from(state.roots.relative(&change.path)),
            );
        }
        if change.placed {
            event
        } else {
            event.with_place_unknown()
        }
    };
    changes.into_iter().enumerate().map(edit).collect()
}

/// The changes that were made, as the tool recorded them: `{path: {type, unified_diff, move_path}}`, or with
/// the type as the only member.
pub(super) fn recorded(desk: &mut Desk<'_>, scene: &Scene<'_>) -> Vec<patch::Change> {
    let Some(Value::Object(changes)) = json::value(scene.payload.changes) else {
        return Vec::new();
    };
    let roots = desk.state(scene.key).roots.clone();
    let mut all = Vec::new();
    for (path, change) in changes {
        let (kind, about) = match change.get("type").and_then(Value::as_str) {
            Some(kind) => (kind.to_owned(), &change),
            None => match change.as_object().and_then(|members| members.iter().next()) {
                Some((kind, about)) => (kind.clone(), about),
                None => continue,
            },
        };
        let text = |name: &str| about.get(name).and_then(Value::as_str);
        let path = roots.relative(&path);
        let moved_to = text("move_path")
            .map(|to| roots.relative(to))
            .filter(|to| *to != path);
        let diff = match &*kind {
            "add" => diff::between(&path, None, Some(text("content").unwrap_or(""))),
            "delete" => diff::between(&path, Some(text("content").unwrap_or("")), None),
            _ => {
                // Some versions write the lines that name the file, others do not.
                let hunks = text("unified_diff").unwrap_or("");
                let hunks = hunks.find("@@ ").map_or("", |at| &hunks[at..]);
                format!("{}{hunks}", patch::header(&path, moved_to.as_deref()))
            }
        };
        all.push(patch::Change {
            path,
            moved_to,
            diff,
            placed: true,
        });
    }
    all
}

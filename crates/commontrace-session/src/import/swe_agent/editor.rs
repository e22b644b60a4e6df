//! The line editor of SWE-agent: what is open, what it showed, and what its commands change.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Step;
use crate::import::json::{self, members};
use crate::import::paths::Roots;
use crate::import::tools;
use crate::{Body, Event, diff};

members!(
    /// The state of the editor after a step: an object, or in older files the text of one.
    EditorState {
        open = "open_file",
        folder = "working_dir",
    }
);

/// What is known of the file that is open in the editor.
#[derive(Default)]
pub(super) struct Editor {
    open: Option<String>,
    /// The lines that were shown last, by number.
    shown: BTreeMap<usize, String>,
}

/// Whether the editor did not take an edit.
pub(super) fn refused(observation: &str) -> bool {
    let signs = [
        "Your proposed edit has introduced new syntax error",
        "Your edit was not applied",
        "Text not found",
    ];
    signs.iter().any(|sign| observation.contains(sign)) || observation.starts_with("Usage: edit")
}

/// The quoted words at the start of a text.
fn quoted(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(quote @ ('\'' | '"')) = rest.chars().next() {
        let mut word = String::new();
        let mut chars = rest.char_indices().skip(1);
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if quote == '"' => word.extend(chars.next().map(|(_, c)| c)),
                c if c == quote => {
                    end = at + 1;
                    break;
                }
                c => word.push(c),
            }
        }
        words.push(word);
        rest = rest[end..].trim_start();
    }
    words
}

/// `view PATH`, `create PATH --file_text '…'` and the like, as the tool was called on a command line.
pub(super) fn editor_arguments(rest: &str) -> Value {
    let mut words = rest.trim().splitn(3, char::is_whitespace);
    let mut arguments = serde_json::Map::new();
    let mut put = |name: &str, value: &str| {
        arguments.insert(name.to_owned(), Value::from(value));
    };
    put("command", words.next().unwrap_or(""));
    put("path", words.next().unwrap_or(""));
    let mut options = words.next().unwrap_or("").trim();
    while let Some(rest) = options.strip_prefix("--") {
        let (name, after) = rest.split_once([' ', '=']).unwrap_or((rest, ""));
        let after = after.trim_start();
        if let Some(quoted) = after.strip_prefix('\'') {
            let (value, left) = unquoted(quoted);
            put(name, &value);
            options = left.trim_start();
        } else {
            let end = after.find(" --").unwrap_or(after.len());
            put(name, after[..end].trim_end());
            options = after[end..].trim_start();
        }
    }
    Value::Object(arguments)
}

/// A text up to the single quote that ends it, and what follows. Within it, a shell writes a quote as
/// `'"'"'`.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\'') {
        value.push_str(&rest[..at]);
        match rest[at..].strip_prefix("'\"'\"'") {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return (value, &rest[at + 1..]),
        }
    }
    value.push_str(rest);
    (value, "")
}

impl Editor {
    /// Notes the file that is open when a step is taken; returns the folder that the shell is in.
    pub(super) fn opened(&mut self, step: Step<'_>) -> Option<String> {
        let owned = json::text(step.state);
        let state = match &owned {
            Some(text) => serde_json::from_str::<EditorState<'_>>(text).ok(),
            None => json::object(step.state),
        };
        let state = state?;
        let text = |member| json::said(member).map(std::borrow::Cow::into_owned);
        if let Some(open) = text(state.open).filter(|open| open != "n/a") {
            self.open = Some(open);
        }
        text(state.folder)
    }

    /// Notes what a step shows of a file: `[File: path (3 lines total)]` and numbered lines.
    pub(super) fn see(&mut self, observation: &str) {
        let file = observation
            .lines()
            .find_map(|line| line.strip_prefix("[File: ")?.split(" (").next());
        let Some(file) = file else {
            return;
        };
        self.open = Some(file.to_owned());
        self.shown = observation
            .lines()
            .filter_map(|line| {
                let (number, text) = line.split_once(':')?;
                Some((number.parse().ok()?, text.to_owned()))
            })
            .collect();
    }

    /// What is asked of the open file: `4:4\nnew lines\nend_of_edit`, or `'old' 'new'`.
    pub(super) fn edit(&self, rest: &str, roots: &Roots) -> Option<Edit> {
        let path = roots.relative(self.open.as_deref()?);
        let named = self.lines(rest, &path);
        let placed = matches!(named, Some(Some(_)));
        let diff = match named {
            Some(diff) => diff.unwrap_or_default(),
            None => replacement(rest, &path)?,
        };
        Some(Edit { path, diff, placed })
    }

    /// The diff of an edit that names lines; none if the old ones were not shown.
    fn lines(&self, rest: &str, path: &str) -> Option<Option<String>> {
        let (range, text) = rest.split_once('\n')?;
        let (first, last) = range.trim().split_once(':')?;
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        let text = text.trim_end().strip_suffix("end_of_edit").unwrap_or(text);
        if first == 0 || last < first || last - first > 100_000 {
            return Some(None);
        }
        let old: Option<Vec<String>> = (first..=last)
            .map(|line| Some(format!("{}\n", self.shown.get(&line)?)))
            .collect();
        Some(old.map(|old| {
            let mut out = diff::header(path, true, true);
            let new = tools::ended(text);
            let lines = old
                .iter()
                .map(|line| ('-', &**line))
                .chain(new.split_inclusive('\n').map(|line| ('+', line)));
            diff::push_hunk(&mut out, first - 1, first - 1, lines);
            out
        }))
    }
}

/// The diff of an edit that names what is replaced and by what.
fn replacement(rest: &str, path: &str) -> Option<String> {
    let mut words = quoted(rest).into_iter();
    let (old, new) = (words.next()?, words.next()?);
    Some(diff::between(
        path,
        Some(&tools::ended(&old)),
        Some(&tools::ended(&new)),
    ))
}

/// What is asked of a file.
pub(super) struct Edit {
    pub(super) path: String,
    diff: String,
    /// Whether it is known where in the file.
    placed: bool,
}

impl Edit {
    /// The event of it, if it was done.
    pub(super) fn event(self) -> Event {
        let edit = Event::new(Body::CodeEdit {
            file_path: self.path,
            diff: self.diff,
            snapshot_after: None,
        });
        if self.placed {
            edit
        } else {
            edit.with_place_unknown()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_read_as_a_shell_reads_them() {
        for (typed, expected) in [
            ("view /a.py", json!({"command": "view", "path": "/a.py"})),
            (
                "str_replace /a.py --old_str 'it'\"'\"'s\u{0} a\n' --new_str 'b'",
                json!({"command": "str_replace", "path": "/a.py", "old_str": "it's\u{0} a\n", "new_str": "b"}),
            ),
            (
                "insert /a.py --insert_line=3 --new_str x",
                json!({"command": "insert", "path": "/a.py", "insert_line": "3", "new_str": "x"}),
            ),
            (
                "create /a.py --file_text 'open",
                json!({"command": "create", "path": "/a.py", "file_text": "open"}),
            ),
            ("", json!({"command": "", "path": ""})),
        ] {
            assert_eq!(editor_arguments(typed), expected, "{typed}");
        }
    }
}

//! The patches of Codex's `apply_patch`, which have a grammar of their own without line numbers.

use std::fmt::Write as _;

use crate::diff;

/// A change of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: String,
    /// Where the file is moved to.
    pub(super) moved_to: Option<String>,
    /// A unified diff. Hunks stand in their order, at lines that are counted from the first of each.
    pub(super) diff: String,
    /// Whether the lines of the hunks are those of the file.
    pub(super) placed: bool,
}

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";

/// The changes of the patch in a text: the patch alone, or a command that feeds it to `apply_patch`.
pub(super) fn changes(text: &str) -> Option<Vec<Change>> {
    let start = text.find(BEGIN)?;
    let patch = &text[start + BEGIN.len()..];
    let patch = patch.find(END).map_or(patch, |end| &patch[..end]);
    let mut changes = Vec::new();
    let mut file: Option<File<'_>> = None;
    for line in patch.lines() {
        let header = line.trim_end();
        let begins = [
            ("*** Update File: ", Kind::Update),
            ("*** Add File: ", Kind::Add),
            ("*** Delete File: ", Kind::Delete),
        ]
        .into_iter()
        .find_map(|(mark, kind)| Some((header.strip_prefix(mark)?.trim(), kind)));
        if let Some((path, kind)) = begins {
            changes.extend(file.take().map(File::change));
            file = Some(File::new(path, kind));
        } else if let Some(file) = &mut file {
            file.line(line);
        }
    }
    changes.extend(file.map(File::change));
    (!changes.is_empty()).then_some(changes)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Update,
    Add,
    Delete,
}

/// The part of a patch that is about one file.
struct File<'p> {
    path: &'p str,
    kind: Kind,
    moved_to: Option<&'p str>,
    /// Each with the words that tell its place.
    hunks: Vec<(&'p str, Vec<(char, String)>)>,
}

impl<'p> File<'p> {
    fn new(path: &'p str, kind: Kind) -> Self {
        Self {
            path,
            kind,
            moved_to: None,
            hunks: Vec::new(),
        }
    }

    fn line(&mut self, line: &'p str) {
        if let Some(to) = line.strip_prefix("*** Move to: ") {
            self.moved_to = Some(to.trim());
            return;
        }
        if line.starts_with("*** End of File") {
            return;
        }
        if let Some(place) = line.strip_prefix("@@") {
            self.hunks.push((place.trim(), Vec::new()));
            return;
        }
        if self.hunks.is_empty() {
            self.hunks.push(("", Vec::new()));
        }
        let mut chars = line.chars();
        let (sign, text) = match chars.next() {
            Some(sign @ ('+' | '-' | ' ')) => (sign, chars.as_str()),
            // Models leave out the blank of an empty line.
            _ => (' ', line),
        };
        if let Some((_, lines)) = self.hunks.last_mut() {
            lines.push((sign, format!("{text}\n")));
        }
    }

    fn change(self) -> Change {
        let path = self.path;
        let diff = match self.kind {
            Kind::Delete => diff::header(path, true, false),
            Kind::Add => {
                let new: String = self
                    .hunks
                    .iter()
                    .flat_map(|(_, lines)| lines.iter().map(|(_, line)| &**line))
                    .collect();
                diff::between(path, None, Some(&new))
            }
            Kind::Update => self.update(),
        };
        Change {
            path: path.to_owned(),
            moved_to: self.moved_to.map(str::to_owned),
            diff,
            placed: self.kind == Kind::Add,
        }
    }

    fn update(&self) -> String {
        let mut out = header(self.path, self.moved_to);
        let (mut old, mut new) = (0, 0);
        for (place, lines) in self.hunks.iter().filter(|(_, lines)| !lines.is_empty()) {
            let begin = out.len();
            diff::push_hunk(
                &mut out,
                old,
                new,
                lines.iter().map(|(sign, line)| (*sign, &**line)),
            );
            if !place.is_empty()
                && let Some(end) = out[begin..].find('\n')
            {
                out.insert_str(begin + end, &format!(" {place}"));
            }
            old += lines.iter().filter(|(sign, _)| *sign != '+').count();
            new += lines.iter().filter(|(sign, _)| *sign != '-').count();
        }
        out
    }
}

/// The lines that name a file, also one that is moved.
pub(super) fn header(path: &str, moved_to: Option<&str>) -> String {
    let Some(to) = moved_to.filter(|to| *to != path) else {
        return diff::header(path, true, true);
    };
    let mut out = String::new();
    let _ = writeln!(
        out,
        "diff --git a/{path} b/{to}\nrename from {path}\nrename to {to}"
    );
    let _ = write!(out, "--- a/{path}\n+++ b/{to}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_a_patch_is_a_change() {
        let patch = "apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: src/a.rs\n*** Move to: src/b.rs\n@@ fn x() {\n one\n-two\n+zwei\n\n@@\n-three\n*** Add File: new.txt\n+hello\n+you\n*** Delete File: old.txt\n*** End Patch\nEOF";
        let changes = changes(patch).expect("a patch");
        assert_eq!(changes.len(), 3);
        assert_eq!(
            changes[0].diff,
            "diff --git a/src/a.rs b/src/b.rs\nrename from src/a.rs\nrename to src/b.rs\n--- a/src/a.rs\n+++ b/src/b.rs\n\
             @@ -1,3 +1,3 @@ fn x() {\n one\n-two\n+zwei\n \n@@ -4,1 +3,0 @@\n-three\n"
        );
        assert_eq!(changes[0].moved_to.as_deref(), Some("src/b.rs"));
        assert_eq!(
            changes[1].diff,
            "--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1,2 @@\n+hello\n+you\n"
        );
        assert!(changes[1].placed && !changes[0].placed);
        assert_eq!(changes[2].diff, "--- a/old.txt\n+++ /dev/null\n");
    }

    #[test]
    fn other_texts_are_no_patches() {
        for text in [
            "",
            "*** Begin Patch",
            "*** Begin Patch\nx\n*** End Patch",
            "*** Update File: x",
        ] {
            assert_eq!(changes(text), None, "{text}");
        }
    }
}

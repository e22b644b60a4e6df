//! Which changes of files stand, and which were taken back: by a change to the contrary or by the version control.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use super::{Edit, Facts};
use crate::recognise::{Change, creates, lines, path_kind};

/// The edits of each file that stand, with the hashes of what they added and removed.
pub(super) type Open<'a> = HashMap<&'a str, Vec<(usize, u64, u64)>>;

impl<'a> Facts<'a> {
    /// Notes a change of a file, and whether it is the one before taken back.
    pub(super) fn edit(&mut self, at: usize, path: &'a str, diff: &'a str, open: &mut Open<'a>) {
        let (mut added, mut removed) = (DefaultHasher::new(), DefaultHasher::new());
        for (change, line) in lines(diff) {
            match change {
                Change::Added => line.hash(&mut added),
                Change::Removed => line.hash(&mut removed),
                Change::Around => {}
            }
        }
        let (added, removed) = (added.finish(), removed.finish());
        let mut undone = false;
        let before = open.entry(path).or_default();
        if let Some(&(edit, then_added, then_removed)) = before.last()
            && added != removed
            && (then_added, then_removed) == (removed, added)
        {
            before.pop();
            self.edits[edit].undone = true;
            undone = true;
        } else {
            before.push((self.edits.len(), added, removed));
        }
        self.edits.push(Edit {
            at,
            path,
            kind: path_kind(path),
            diff,
            creates: creates(diff),
            undone,
        });
    }

    /// Notes what a command of the version control takes back.
    pub(super) fn undo(&mut self, command: &str, open: &mut Open<'a>) {
        if !command.contains("git ") {
            return;
        }
        // Stashing and taking it out again shows a failure without the fix; it undoes nothing.
        let unstash = command.contains("stash pop") || command.contains("stash apply");
        if unstash {
            let stashed = open
                .values()
                .flatten()
                .map(|(edit, ..)| *edit)
                .collect::<Vec<_>>();
            for edit in stashed {
                self.edits[edit].undone = false;
            }
            return;
        }
        let stash = command.contains("git stash")
            && !["list", "show", "drop"]
                .iter()
                .any(|word| command.contains(word));
        let all = command.contains("git reset --hard")
            || ["git checkout .", "git checkout -- .", "git restore ."]
                .iter()
                .any(|whole| {
                    command.match_indices(whole).any(|(at, _)| {
                        let next = command[at + whole.len()..].chars().next();
                        next.is_none_or(|c| c.is_whitespace() || c == ';' || c == '&')
                    })
                });
        let some = command.contains("git checkout") || command.contains("git restore");
        if !(stash || all || some) {
            return;
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut taken = Vec::new();
        for (path, edits) in open.iter_mut() {
            let named = || {
                words.iter().any(|word| {
                    let word = word.trim_matches(['"', '\'']).trim_start_matches("./");
                    let start = path.strip_suffix(word).filter(|_| !word.is_empty());
                    start.is_some_and(|start| start.is_empty() || start.ends_with('/'))
                })
            };
            if stash || all || (some && named()) {
                taken.extend(edits.iter().map(|(edit, ..)| *edit));
                if !stash {
                    edits.clear();
                }
            }
        }
        for edit in taken {
            self.edits[edit].undone = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{edit, events, ran};

    #[test]
    fn what_was_taken_back_is_no_fix() {
        let change = "@@ -1 +1 @@\n-a\n+b\n";
        let back = "@@ -1 +1 @@\n-b\n+a\n";
        let reverted = events([edit("x.py", change), edit("x.py", back)]);
        assert_eq!(Facts::read(&reverted, "").fixes().count(), 0);
        for (command, left) in [
            ("git checkout -- src/x.py", 0),
            ("git restore ./src/x.py", 0),
            ("git checkout .", 0),
            ("git checkout -- y.py", 1),
            ("git checkout py", 1),
        ] {
            let back = events([edit("src/x.py", change), ran(command, 0, "")]);
            assert_eq!(Facts::read(&back, "").fixes().count(), left, "{command}");
        }
        let stashed = events([
            edit("x.py", change),
            ran("git stash", 0, ""),
            ran("pytest", 1, "1 failed"),
            ran("git stash pop", 0, ""),
        ]);
        assert_eq!(Facts::read(&stashed, "").fixes().count(), 1);
    }
}

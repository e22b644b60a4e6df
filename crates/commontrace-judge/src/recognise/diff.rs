//! The lines of a unified diff.

/// What a diff says of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is there afterwards only.
    Added,
    /// It was there before only.
    Removed,
    /// It is there in both, or it is the heading of a hunk, which names what is around it.
    Around,
}

/// Returns the lines of a diff without their first character, but for the names of the files.
pub fn lines(diff: &str) -> impl Iterator<Item = (Change, &str)> {
    let mut rest = diff.lines().peekable();
    std::iter::from_fn(move || {
        loop {
            let line = rest.next()?;
            let names_next = rest.peek().is_some_and(|next| next.starts_with("+++ "));
            if line.starts_with("--- ") && names_next {
                rest.next();
                continue;
            }
            if let Some(added) = line.strip_prefix('+') {
                return Some((Change::Added, added));
            }
            if let Some(removed) = line.strip_prefix('-') {
                return Some((Change::Removed, removed));
            }
            return Some((Change::Around, line));
        }
    })
}

/// Whether a diff makes a file that was not there.
pub fn creates(diff: &str) -> bool {
    diff.lines()
        .take(8)
        .any(|line| line.starts_with("--- /dev/null") || line.starts_with("@@ -0,0 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_files_are_no_changed_lines() {
        let diff = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@ def f\n-a\n+b\n c\n";
        let read: Vec<_> = lines(diff).collect();
        assert_eq!(
            read,
            [
                (Change::Around, "@@ -1,2 +1,2 @@ def f"),
                (Change::Removed, "a"),
                (Change::Added, "b"),
                (Change::Around, " c"),
            ]
        );
        assert!(!creates(diff));
        assert!(creates("--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+a\n"));
    }
}

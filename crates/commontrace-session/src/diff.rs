//! Unified diffs of what a session changed.
//!
//! Made from the texts before and after wherever a record keeps them, because the patches that tools record
//! for display do not always apply: some of them show tabs as blanks.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use similar::TextDiff;

/// Lines of unchanged text around a change.
const CONTEXT: usize = 3;

/// Up to this many differing lines the shortest diff is looked for; beyond it all of them go and come.
const MOST_COMPARED: usize = 4000;

/// The diff that turns `old` into `new`, empty if they are equal; `None` stands for no such file.
pub fn between(path: &str, old: Option<&str>, new: Option<&str>) -> String {
    let mut out = header(path, old.is_some(), new.is_some());
    let (old, new) = (old.unwrap_or(""), new.unwrap_or(""));
    if old == new {
        return String::new();
    }
    let (old_lines, new_lines) = (lines(old), lines(new));
    let (before, after) = common(&old_lines, &new_lines);
    let differing = old_lines.len() + new_lines.len() - 2 * (before + after);
    if differing <= MOST_COMPARED {
        let diff = TextDiff::from_slices(&old_lines, &new_lines);
        for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
            let changes = hunk.iter_changes().map(|change| {
                let sign = match change.tag() {
                    similar::ChangeTag::Equal => ' ',
                    similar::ChangeTag::Delete => '-',
                    similar::ChangeTag::Insert => '+',
                };
                (sign, change.value())
            });
            let first = hunk.ops().first();
            let start = first.map_or(0, |op| op.old_range().start);
            let new_start = first.map_or(0, |op| op.new_range().start);
            push_hunk(&mut out, start, new_start, changes);
        }
    } else {
        let start = before.saturating_sub(CONTEXT);
        let tail = old_lines.len() - after;
        let changes = old_lines[start..before]
            .iter()
            .map(|line| (' ', *line))
            .chain(old_lines[before..tail].iter().map(|line| ('-', *line)))
            .chain(
                new_lines[before..new_lines.len() - after]
                    .iter()
                    .map(|line| ('+', *line)),
            )
            .chain(
                old_lines[tail..(tail + CONTEXT).min(old_lines.len())]
                    .iter()
                    .map(|line| (' ', *line)),
            );
        push_hunk(&mut out, start, start, changes);
    }
    out
}

/// The two lines that name the file before and after.
pub fn header(path: &str, existed: bool, exists: bool) -> String {
    // A name that ends the line early would turn what follows into a patch of its own.
    let path: Cow<'_, str> = if path.contains(['\n', '\r', '\t']) {
        Cow::Owned(path.replace(['\n', '\r', '\t'], " "))
    } else {
        Cow::Borrowed(path)
    };
    let path = path.trim_start_matches('/');
    let old = if existed {
        format!("a/{path}")
    } else {
        "/dev/null".to_owned()
    };
    let new = if exists {
        format!("b/{path}")
    } else {
        "/dev/null".to_owned()
    };
    format!("--- {old}\n+++ {new}\n")
}

/// Appends one hunk; the starts count from 0, and each line brings its own line break if it has one.
pub(crate) fn push_hunk<'a>(
    out: &mut String,
    old_start: usize,
    new_start: usize,
    lines: impl Iterator<Item = (char, &'a str)>,
) {
    let (mut old, mut new) = (0, 0);
    let mut body = String::new();
    for (sign, line) in lines {
        old += usize::from(sign != '+');
        new += usize::from(sign != '-');
        body.push(sign);
        body.push_str(line);
        if !line.ends_with('\n') {
            body.push_str("\n\\ No newline at end of file\n");
        }
    }
    // Of a side without lines, the line before it is named.
    let first = |start: usize, count: usize| start + usize::from(count > 0);
    let _ = write!(
        out,
        "@@ -{},{old} +{},{new} @@\n{body}",
        first(old_start, old),
        first(new_start, new)
    );
}

/// The lines that a diff leaves in place of others: 1-based ranges in the file afterwards.
pub(crate) fn added_ranges(diff: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    each_change(diff, |is_added, _, new| {
        if is_added {
            match ranges.last_mut() {
                Some(range) if range.end == new => range.end += 1,
                _ => ranges.push(new..new + 1),
            }
        }
    });
    ranges
}

/// Lines that a diff takes away (possibly none, at a place), and how far those behind them move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shift {
    /// 1-based lines of the file before.
    pub(crate) removed: Range<usize>,
    /// By how many lines what follows moves, with all that the diff did before.
    pub(crate) by: isize,
}

/// How a diff moves the lines of a file, in their order.
pub(crate) fn shifts(diff: &str) -> Vec<Shift> {
    let mut shifts: Vec<Shift> = Vec::new();
    let mut by = 0;
    each_change(diff, |is_added, old, _| {
        if shifts.last().is_none_or(|shift| shift.removed.end != old) {
            let removed = old..old;
            shifts.push(Shift { removed, by });
        }
        by += if is_added { 1 } else { -1 };
        if let Some(shift) = shifts.last_mut() {
            shift.removed.end = old + usize::from(!is_added);
            shift.by = by;
        }
    });
    shifts
}

/// Calls `change` for each line that is added or taken away, with the next line of the file before and of the
/// one after.
fn each_change(diff: &str, mut change: impl FnMut(bool, usize, usize)) {
    let (mut old, mut new) = (0, 0);
    // How many lines of the hunk are still to come.
    let (mut old_left, mut new_left) = (0_usize, 0_usize);
    for line in diff.lines() {
        if old_left == 0 && new_left == 0 {
            if let Some((before, after)) = hunk_header(line) {
                (old_left, new_left) = (before.len(), after.len());
                // Of no lines, the one before them is named.
                old = before.start + usize::from(before.is_empty());
                new = after.start;
            }
            continue;
        }
        let sign = line.as_bytes().first();
        match sign {
            Some(b'\\') => continue,
            Some(b'+') => change(true, old, new),
            Some(b'-') => change(false, old, new),
            _ => {}
        }
        if sign != Some(&b'+') {
            old += 1;
            old_left = old_left.saturating_sub(1);
        }
        if sign != Some(&b'-') {
            new += 1;
            new_left = new_left.saturating_sub(1);
        }
    }
}

/// The old and new lines that `@@ -1,2 +3,4 @@` names.
fn hunk_header(line: &str) -> Option<(Range<usize>, Range<usize>)> {
    let mut words = line.strip_prefix("@@ ")?.split(' ');
    let mut range = |sign: char| {
        let text = words.next()?.strip_prefix(sign)?;
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        // No file has more lines, and sums of these are far from the end of the numbers.
        let (start, count): (u32, u32) = (start.parse().ok()?, count.parse().ok()?);
        let (start, count) = (usize::try_from(start).ok()?, usize::try_from(count).ok()?);
        Some(start..start.checked_add(count)?)
    };
    Some((range('-')?, range('+')?))
}

/// The lines of a text, each with its line break.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// How many lines two texts share at their starts and at their ends.
fn common(old: &[&str], new: &[&str]) -> (usize, usize) {
    let before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let after = old[before..]
        .iter()
        .rev()
        .zip(new[before..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    (before, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_with_context_and_line_numbers() {
        let old = "a\nb\nc\nd\ne\nf\n";
        let new = "a\nb\nc\nd\nE\nf\n";
        assert_eq!(
            between("src/x.rs", Some(old), Some(new)),
            "--- a/src/x.rs\n+++ b/src/x.rs\n@@ -2,5 +2,5 @@\n b\n c\n d\n-e\n+E\n f\n"
        );
        assert_eq!(between("x", Some("a"), Some("a")), "");
    }

    #[test]
    fn new_files_removed_files_and_missing_line_breaks() {
        assert_eq!(
            between("x", None, Some("a\nb")),
            "--- /dev/null\n+++ b/x\n@@ -0,0 +1,2 @@\n+a\n+b\n\\ No newline at end of file\n"
        );
        assert_eq!(
            between("x", Some("a\n"), None),
            "--- a/x\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n"
        );
    }

    #[test]
    fn a_large_rewrite_is_one_hunk() {
        let old: String = (0..5000).map(|n| format!("old {n}\n")).collect();
        let new: String = (0..5000).map(|n| format!("new {n}\n")).collect();
        let diff = between(
            "x",
            Some(&format!("first\n{old}")),
            Some(&format!("first\n{new}")),
        );
        assert!(diff.contains("@@ -1,5001 +1,5001 @@\n first\n-old 0\n"));
        assert_eq!(added_ranges(&diff).first(), Some(&(2..5002)));
    }

    #[test]
    fn ranges_are_those_of_the_file_afterwards() {
        let diff =
            "--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n a\n+b\n c\n@@ -10,2 +11,2 @@\n-x\n+--- y\n z\n";
        assert_eq!(added_ranges(diff), [2..3, 11..12]);
        assert!(added_ranges("garbage\n@@ -x +y @@\n+a").is_empty());
        assert!(added_ranges("@@ -1,9 +18446744073709551614,1 @@\n+a\n b\n c").is_empty());
    }
}

//! Finding what was probably meant by a misspelt name.

/// Finds the candidate closest to `name`, if one is close enough to suggest.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let (distance, best) = candidates
        .into_iter()
        .map(|candidate| (edits(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    // A third of the letters wrong is another word.
    (distance <= name.chars().count() / 3).then_some(best)
}

/// Counts the edits of the Levenshtein distance: insertions, deletions and replacements of one
/// character.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
            ("é", "e", 1),
        ] {
            assert_eq!(edits(a, b), distance, "{a} {b}");
            assert_eq!(edits(b, a), distance, "{b} {a}");
        }
    }

    #[test]
    fn only_a_close_name_is_suggested() {
        let names = ["listen", "data_dir", "log_format"];
        assert_eq!(nearest("listne", names), Some("listen"));
        assert_eq!(nearest("datadir", names), Some("data_dir"));
        assert_eq!(nearest("colour", names), None);
    }
}

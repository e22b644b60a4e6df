//! Ids that are not the same in every run: with the clock, an address, a temporary path or a line in them.
//!
//! Compared naively, such an id is a test that is gone and another that is new. Runs of the *same* tree
//! that disagree on an id show that it is unstable; masking its digits makes the copies meet, or it is
//! left out and counted. Between two trees only what is known to move is masked, because a number there
//! can be the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::outcome::Outcome;

/// Results of one run by id.
pub type Outcomes = BTreeMap<String, Outcome>;

/// Two sides whose ids can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aligned {
    /// The runs before, in order.
    pub before: Vec<Outcomes>,
    /// The runs after, in order.
    pub after: Vec<Outcomes>,
    /// Ids that were left out because they were in some runs of a side only.
    pub excluded: BTreeSet<String>,
    /// How many ids were replaced by a masked one.
    pub folded: usize,
}

/// The runs of one side, and which of them are whole: a run that was stopped lacks ids for that reason.
#[derive(Debug, Clone, Copy)]
pub struct SideRuns<'a> {
    /// The runs.
    pub runs: &'a [Outcomes],
    /// For each run whether it ended by itself.
    pub whole: &'a [bool],
}

/// Folds or leaves out unstable ids, on both sides alike.
#[must_use]
pub fn align(before: SideRuns<'_>, after: SideRuns<'_>) -> Aligned {
    let mut fold = BTreeSet::new();
    let mut excluded = BTreeSet::new();
    for side in [before, after] {
        let (masks, rest) = unstable(side);
        fold.extend(masks);
        excluded.extend(rest);
    }
    let mut folded = BTreeSet::new();
    let in_all = |side: SideRuns<'_>, id: &String| side.runs.iter().all(|run| run.contains_key(id));
    let mut rename = |side: SideRuns<'_>| -> Vec<Outcomes> {
        side.runs
            .iter()
            .map(|run| {
                let mut renamed = Outcomes::new();
                for (id, outcome) in run {
                    let stable = in_all(before, id) && in_all(after, id);
                    let mask = (!stable && !fold.is_empty()).then(|| masked(id));
                    let id = if let Some(mask) = mask.filter(|mask| fold.contains(mask)) {
                        folded.insert(id.clone());
                        mask
                    } else if excluded.contains(id) {
                        continue;
                    } else {
                        id.clone()
                    };
                    keep_worst(&mut renamed, id, *outcome);
                }
                renamed
            })
            .collect()
    };
    let mut aligned = Aligned {
        before: rename(before),
        after: rename(after),
        ..Aligned::default()
    };
    excluded.retain(|id| !folded.contains(id));
    aligned.excluded = excluded;
    aligned.folded = folded.len() + meet(&mut aligned);
    aligned
}

/// The masks under which unstable ids of one side meet in each whole run, and the ids that do not meet.
fn unstable(side: SideRuns<'_>) -> (BTreeSet<String>, BTreeSet<String>) {
    let whole: Vec<&Outcomes> = side
        .runs
        .iter()
        .zip(side.whole)
        .filter_map(|(run, whole)| whole.then_some(run))
        .collect();
    let mut seen: BTreeMap<&String, usize> = BTreeMap::new();
    for id in whole.iter().flat_map(|run| run.keys()) {
        *seen.entry(id).or_default() += 1;
    }
    let unstable: BTreeSet<&String> = seen
        .into_iter()
        .filter(|(_, runs)| *runs < whole.len())
        .map(|(id, _)| id)
        .collect();
    let mut masks: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (at, run) in whole.iter().enumerate() {
        for id in run.keys().filter(|id| unstable.contains(id)) {
            let mask = masked(id);
            if mask != **id {
                masks.entry(mask).or_default().insert(at);
            }
        }
    }
    let meeting: BTreeSet<String> = masks
        .into_iter()
        .filter(|(_, runs)| runs.len() == whole.len())
        .map(|(mask, _)| mask)
        .collect();
    let rest = unstable
        .into_iter()
        .filter(|id| !meeting.contains(&masked(id)))
        .cloned()
        .collect();
    (meeting, rest)
}

/// Folds ids of which one side has this and the other that, and which differ only in what moves.
fn meet(aligned: &mut Aligned) -> usize {
    let ids = |runs: &[Outcomes]| -> BTreeSet<String> {
        runs.iter().flat_map(|run| run.keys().cloned()).collect()
    };
    let (before, after) = (ids(&aligned.before), ids(&aligned.after));
    let lonely = |these: &BTreeSet<String>, those: &BTreeSet<String>| -> BTreeMap<String, String> {
        these
            .difference(those)
            .filter_map(|id| {
                let mask = without_moving_parts(id);
                (mask != *id).then(|| (id.clone(), mask))
            })
            .collect()
    };
    let (old, new) = (lonely(&before, &after), lonely(&after, &before));
    let masks: BTreeSet<&String> = new.values().collect();
    let both: BTreeSet<&String> = old.values().filter(|mask| masks.contains(mask)).collect();
    let mut folded = 0;
    for (runs, names) in [(&mut aligned.before, &old), (&mut aligned.after, &new)] {
        for (id, mask) in names.iter().filter(|(_, mask)| both.contains(mask)) {
            folded += 1;
            for run in runs.iter_mut() {
                if let Some(outcome) = run.remove(id) {
                    keep_worst(run, mask.clone(), outcome);
                }
            }
        }
    }
    folded
}

fn keep_worst(run: &mut Outcomes, id: String, outcome: Outcome) {
    run.entry(id)
        .and_modify(|kept| *kept = (*kept).max(outcome))
        .or_insert(outcome);
}

/// The id with every number, and every word that looks like one in hex, as `#`.
#[must_use]
pub fn masked(id: &str) -> String {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"0x[0-9a-fA-F]+|\b[0-9a-f]*[0-9][0-9a-f]{5,}\b|[0-9]+")
            .expect("a valid pattern")
    });
    let moved = without_moving_parts(id);
    NUMBER.replace_all(&moved, "#").into_owned()
}

/// The id with `#` for dates, times, seconds since 1970, addresses, UUIDs, temporary paths and lines.
#[must_use]
pub fn without_moving_parts(id: &str) -> String {
    static MOVING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"\d{4}-\d{2}-\d{2}(?:[T _]\d{2}[:.-]?\d{2}(?:[:.-]?\d{2}(?:[.,]\d+)?)?)?(?:Z|[+-]\d{2}:?\d{2})?",
            r"|\b\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?",
            r"|0x[0-9a-fA-F]{4,}",
            r"|\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
            r"|\b\d{9,}(?:\.\d+)?",
            r"|/(?:private/)?(?:tmp|var/tmp|var/folders)/[^\s\]):,]+",
            r"|\bline \d+\b",
        ))
        .expect("a valid pattern")
    });
    MOVING.replace_all(id, "#").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(ids: &[&str]) -> Outcomes {
        ids.iter()
            .map(|id| ((*id).to_owned(), Outcome::Pass))
            .collect()
    }

    fn check(before: &[Outcomes], after: &[Outcomes]) -> Aligned {
        let whole = [true; 8];
        align(
            SideRuns {
                runs: before,
                whole: &whole[..before.len()],
            },
            SideRuns {
                runs: after,
                whole: &whole[..after.len()],
            },
        )
    }

    #[test]
    fn the_clock_in_an_id_is_folded_within_a_side_and_between_sides() {
        let side = |minute: u8| -> Vec<Outcomes> {
            (0..2)
                .map(|n| run(&["a", &format!("t[12:{minute}:0{n}]")]))
                .collect()
        };
        let aligned = check(&side(10), &side(20));
        assert!(aligned.excluded.is_empty());
        assert_eq!(aligned.folded, 4);
        assert_eq!(aligned.before[0].keys().collect::<Vec<_>>(), ["a", "t[#]"]);
        assert_eq!(aligned.before[0], aligned.after[1]);
    }

    #[test]
    fn one_run_each_folds_what_is_known_to_move_and_nothing_else() {
        for (old, new, meets) in [
            ("t[2026-11-21T10:00:00]", "t[2026-11-21T10:00:07]", true),
            ("t[1763719200]", "t[1763719207]", true),
            (
                "t[<object at 0x7f00aa10>]",
                "t[<object at 0x7f00bb20>]",
                true,
            ),
            ("t[/tmp/pytest-1/x]", "t[/tmp/pytest-2/x]", true),
            (
                "doc(foo)::src/lib.rs - add (line 3)",
                "doc(foo)::src/lib.rs - add (line 9)",
                true,
            ),
            ("test_v1", "test_v2", false),
            ("t[3]", "t[4]", false),
        ] {
            let aligned = check(&[run(&[old])], &[run(&[new])]);
            assert_eq!(
                aligned.before[0] == aligned.after[0],
                meets,
                "{old} and {new}"
            );
        }
    }

    #[test]
    fn an_id_that_does_not_meet_is_left_out_on_both_sides_and_counted() {
        let aligned = check(&[run(&["a", "odd"]), run(&["a"])], &[run(&["a", "odd"])]);
        assert_eq!(aligned.excluded.iter().collect::<Vec<_>>(), ["odd"]);
        assert_eq!(aligned.after, [run(&["a"])]);
    }

    #[test]
    fn stable_numbers_stay() {
        let runs = [run(&["t[1]", "t[2]"]), run(&["t[1]", "t[2]"])];
        let aligned = check(&runs, &runs);
        assert_eq!((aligned.folded, aligned.before[0].len()), (0, 2));
    }
}

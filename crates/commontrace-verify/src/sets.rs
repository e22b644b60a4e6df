//! Which tests turned green, which broke, and which cannot be told: FAIL_TO_PASS and its siblings.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::unstable::{Outcomes, SideRuns, align};

/// One run, as far as its results go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunOutcomes {
    /// The results by id.
    pub outcomes: Outcomes,
    /// Ids that failed and passed within this run.
    pub flaky: BTreeSet<String>,
    /// Whether the run ended by itself; what is absent from another was only not reached.
    pub whole: bool,
}

/// What the runs of one side say about a test.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It passed in every run.
    Pass,
    /// It passed in none and failed in at least one.
    Fail,
    /// It passed in none and was skipped.
    Skip,
    /// It was in no run.
    Absent,
    /// It passed in some runs and not in others.
    Flaky,
}

/// A test that does not pass after the change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NotPassing {
    /// Which test.
    pub id: String,
    /// What it does instead.
    pub after: Class,
}

/// A test that turned green.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct TurnedGreen {
    /// Which test.
    pub id: String,
    /// What it did before. A test that ran and failed proves more than one that did not exist.
    pub before: Class,
}

/// How two states compare. All lists are sorted by id, and no id is in two of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sets {
    /// Did not pass before, passes after.
    pub fail_to_pass: Vec<TurnedGreen>,
    /// Passes before and after.
    pub pass_to_pass: Vec<String>,
    /// Passed before, does not pass after: a regression. Being skipped or absent is one too.
    pub pass_to_fail: Vec<NotPassing>,
    /// Failed before, does not pass after.
    pub fail_to_fail: Vec<NotPassing>,
    /// Was absent or skipped before, fails after.
    pub new_failing: Vec<String>,
    /// Passes in some runs of a side and not in others; compared with nothing.
    pub flaky: Vec<String>,
    /// Of the flaky ones those that failed before and passed after at least once.
    pub flaky_candidates: Vec<String>,
    /// Is in some runs of a side only; compared with nothing.
    pub unstable: Vec<String>,
    /// How many ids were masked so that they could be compared.
    pub folded: u64,
}

/// Compares the runs before with the runs after. A test that is absent has not passed.
#[must_use]
pub fn compare(before: &[RunOutcomes], after: &[RunOutcomes]) -> Sets {
    let outcomes = |side: &[RunOutcomes]| -> (Vec<Outcomes>, Vec<bool>) {
        side.iter()
            .map(|run| (run.outcomes.clone(), run.whole))
            .unzip()
    };
    let (old, old_whole) = outcomes(before);
    let (new, new_whole) = outcomes(after);
    let aligned = align(
        SideRuns {
            runs: &old,
            whole: &old_whole,
        },
        SideRuns {
            runs: &new,
            whole: &new_whole,
        },
    );
    let retried: BTreeSet<&String> = before
        .iter()
        .chain(after)
        .flat_map(|run| run.flaky.iter())
        .collect();
    let old = classify(&aligned.before);
    let new = classify(&aligned.after);
    let mut sets = Sets {
        unstable: aligned.excluded.iter().cloned().collect(),
        folded: aligned.folded as u64,
        ..Sets::default()
    };
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for id in ids {
        let class = |side: &BTreeMap<String, Class>| side.get(id).copied().unwrap_or(Class::Absent);
        let (was, is) = (class(&old), class(&new));
        let id = id.clone();
        match (was, is) {
            _ if retried.contains(&id) => sets.flaky.push(id),
            (Class::Flaky, _) | (_, Class::Flaky) => {
                let failed_before = was != Class::Pass;
                let passed_after = matches!(is, Class::Pass | Class::Flaky);
                if failed_before && passed_after {
                    sets.flaky_candidates.push(id.clone());
                }
                sets.flaky.push(id);
            }
            (Class::Pass, Class::Pass) => sets.pass_to_pass.push(id),
            (Class::Pass, after) => sets.pass_to_fail.push(NotPassing { id, after }),
            (before, Class::Pass) => sets.fail_to_pass.push(TurnedGreen { id, before }),
            (Class::Fail, after) => sets.fail_to_fail.push(NotPassing { id, after }),
            (_, Class::Fail) => sets.new_failing.push(id),
            _ => {}
        }
    }
    sets
}

/// What the runs of one side say about each test that is in any of them.
#[must_use]
pub fn classify(runs: &[Outcomes]) -> BTreeMap<String, Class> {
    let ids: BTreeSet<&String> = runs.iter().flat_map(|run| run.keys()).collect();
    ids.into_iter()
        .map(|id| {
            let outcomes: Vec<Option<Outcome>> =
                runs.iter().map(|run| run.get(id).copied()).collect();
            let passed = outcomes
                .iter()
                .flatten()
                .filter(|outcome| outcome.passed())
                .count();
            let class = if passed == outcomes.len() {
                Class::Pass
            } else if passed > 0 {
                Class::Flaky
            } else if outcomes.iter().flatten().any(|outcome| outcome.failed()) {
                Class::Fail
            } else {
                Class::Skip
            };
            (id.clone(), class)
        })
        .collect()
}

/// What a comparison of a side's runs with each other finds, where nothing has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// Tests that failed in the first run and passed in the rest. More than none means that a single
    /// run each would have called them fixed.
    pub fail_to_pass: u64,
    /// Tests that passed in the first run and not in the rest.
    pub pass_to_fail: u64,
}

/// The negative control: the first run of a side against its other runs. `None` with fewer than two.
#[must_use]
pub fn control(runs: &[RunOutcomes]) -> Option<Control> {
    let (first, rest) = runs.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let sets = compare(std::slice::from_ref(first), rest);
    Some(Control {
        fail_to_pass: sets.fail_to_pass.len() as u64,
        pass_to_fail: sets.pass_to_fail.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(results: &[(&str, Outcome)]) -> RunOutcomes {
        RunOutcomes {
            outcomes: results
                .iter()
                .map(|(id, outcome)| ((*id).to_owned(), *outcome))
                .collect(),
            flaky: BTreeSet::new(),
            whole: true,
        }
    }

    fn arbitrary_run() -> impl Strategy<Value = RunOutcomes> {
        let outcome = prop_oneof![
            Just(Outcome::Pass),
            Just(Outcome::Skip),
            Just(Outcome::Error),
            Just(Outcome::Fail)
        ];
        (
            proptest::collection::btree_map("[a-c]{1,2}", outcome, 0..8),
            any::<bool>(),
        )
            .prop_map(|(outcomes, whole)| RunOutcomes {
                outcomes,
                flaky: BTreeSet::new(),
                whole,
            })
    }

    fn side() -> impl Strategy<Value = Vec<RunOutcomes>> {
        proptest::collection::vec(arbitrary_run(), 1..4)
    }

    proptest! {
        #[test]
        fn no_id_is_in_two_sets(before in side(), after in side()) {
            let sets = compare(&before, &after);
            let mut ids: Vec<&String> = sets.fail_to_pass.iter().map(|test| &test.id)
                .chain(&sets.pass_to_pass)
                .chain(sets.pass_to_fail.iter().map(|test| &test.id))
                .chain(sets.fail_to_fail.iter().map(|test| &test.id))
                .chain(&sets.new_failing)
                .chain(&sets.flaky)
                .chain(&sets.unstable)
                .collect();
            let all = ids.len();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(all, ids.len());
        }

        #[test]
        fn no_change_gives_no_fail_to_pass_and_no_regression(side in side()) {
            let sets = compare(&side, &side);
            prop_assert!(sets.fail_to_pass.is_empty());
            prop_assert!(sets.pass_to_fail.is_empty());
        }

        #[test]
        fn what_turned_green_passes_in_every_run_after_and_in_none_before(
            before in side(), after in side(),
        ) {
            for test in compare(&before, &after).fail_to_pass {
                prop_assert!(after.iter().all(|run| run.outcomes.get(&test.id) == Some(&Outcome::Pass)));
                prop_assert!(before.iter().all(|run| run.outcomes.get(&test.id) != Some(&Outcome::Pass)));
            }
        }

        #[test]
        fn turning_round_turns_regressions_into_fixes(before in side(), after in side()) {
            let forth = compare(&before, &after);
            let back = compare(&after, &before);
            let broken: Vec<_> = forth.pass_to_fail.iter().map(|test| &test.id).collect();
            let fixed: Vec<_> = back.fail_to_pass.iter().map(|test| &test.id).collect();
            prop_assert_eq!(broken, fixed);
        }
    }

    #[test]
    fn absent_and_skipped_tests_have_not_passed() {
        use Outcome::{Fail, Pass, Skip};
        let before = [run(&[
            ("a", Pass),
            ("b", Pass),
            ("c", Fail),
            ("d", Fail),
            ("e", Skip),
        ])];
        let after = [run(&[
            ("a", Skip),
            ("c", Skip),
            ("d", Pass),
            ("e", Pass),
            ("f", Pass),
            ("g", Fail),
        ])];
        let sets = compare(&before, &after);
        let broken: Vec<_> = sets
            .pass_to_fail
            .iter()
            .map(|t| (t.id.as_str(), t.after))
            .collect();
        assert_eq!(broken, [("a", Class::Skip), ("b", Class::Absent)]);
        let green: Vec<_> = sets
            .fail_to_pass
            .iter()
            .map(|t| (t.id.as_str(), t.before))
            .collect();
        assert_eq!(
            green,
            [("d", Class::Fail), ("e", Class::Skip), ("f", Class::Absent)]
        );
        assert_eq!(
            sets.fail_to_fail,
            [NotPassing {
                id: "c".into(),
                after: Class::Skip
            }]
        );
        assert_eq!(sets.new_failing, ["g"]);
    }

    #[test]
    fn a_test_that_passes_now_and_then_is_in_no_set_but_the_flaky() {
        let red = || run(&[("a", Outcome::Fail)]);
        let green = || run(&[("a", Outcome::Pass)]);
        let sets = compare(&[red(), red()], &[green(), red()]);
        assert!(sets.fail_to_pass.is_empty());
        assert_eq!((sets.flaky.len(), sets.flaky_candidates.len()), (1, 1));
    }

    #[test]
    fn a_run_that_was_stopped_lacks_tests_without_making_them_unstable() {
        let mut stopped = run(&[("a", Outcome::Pass)]);
        stopped.whole = false;
        let whole = run(&[("a", Outcome::Pass), ("b", Outcome::Pass)]);
        let sets = compare(&[whole], &[stopped.clone(), stopped]);
        assert_eq!(
            sets.pass_to_fail,
            [NotPassing {
                id: "b".into(),
                after: Class::Absent
            }]
        );
    }

    #[test]
    fn the_control_counts_what_one_run_each_would_have_called_fixed() {
        let red = run(&[("a", Outcome::Fail)]);
        let green = run(&[("a", Outcome::Pass)]);
        assert_eq!(
            control(&[red, green]).map(|control| control.fail_to_pass),
            Some(1)
        );
        assert_eq!(control(&[run(&[])]), None);
    }
}

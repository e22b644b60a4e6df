//! The rules by which sets become a verdict.

use std::collections::BTreeSet;

use super::{Material, SideRun, all};
use crate::reason::Reason;
use crate::sets::{Class, NotPassing, Sets, TurnedGreen};
use crate::validity::Validity;
use crate::verdict::Flag;

/// The verdict on sets, by the first rule that applies.
pub(super) fn reason(
    material: Material<'_>,
    before: &[SideRun],
    sets: &Sets,
    removed: &[String],
    still: &[String],
    flags: &BTreeSet<Flag>,
) -> (Reason, String) {
    let change = material.change;
    let timed_out = |runs: &[SideRun]| runs.iter().any(|run| run.validity == Validity::TimedOut);
    if let Some(test) = worst(&sets.pass_to_fail) {
        let (reason, what) = match test.after {
            _ if timed_out(change) && !timed_out(before) => (
                Reason::TimedOutAfter,
                "was not reached in time with the change",
            ),
            Class::Skip => (
                Reason::TestsSkipped,
                "passed before and is skipped with the change",
            ),
            Class::Absent => (
                Reason::TestsRemoved,
                "passed before and is gone with the change",
            ),
            _ => (
                Reason::Regression,
                "passed before and fails with the change",
            ),
        };
        return (reason, named(sets.pass_to_fail.len(), &test.id, what));
    }
    if let Some(id) = removed.first().filter(|_| !material.independent_tests) {
        return (
            Reason::TestsRemoved,
            named(removed.len(), id, "was there at the base and is gone"),
        );
    }
    if timed_out(change) {
        return (
            Reason::TimedOut,
            "the tests did not end in time with the change".into(),
        );
    }
    if timed_out(before) {
        return (
            Reason::TimedOut,
            "the tests did not end in time before the change".into(),
        );
    }
    if let Some(id) = still.first() {
        let what = "was to pass with the change and does not";
        return (Reason::StillFailing, named(still.len(), id, what));
    }
    let outside = |runs: &[SideRun], pick: fn(u64, u64) -> u64| {
        runs.iter()
            .map(|run| run.failures_outside_tests)
            .reduce(pick)
            .unwrap_or_default()
    };
    if !all(before, Validity::Unbuilt) && outside(change, u64::min) > outside(before, u64::max) {
        let message = "something outside of the tests fails with the change and did not before";
        return (Reason::Regression, message.into());
    }
    if let Some(test) = sets.fail_to_pass.first() {
        let what = "did not pass before and passes with the change, and no test broke";
        return (
            Reason::FailToPass,
            named(sets.fail_to_pass.len(), &test.id, what),
        );
    }
    if let Some(id) = sets.flaky_candidates.first() {
        let what = "turned green, but not in every run";
        return (
            Reason::OnlyFlaky,
            named(sets.flaky_candidates.len(), id, what),
        );
    }
    if flags.contains(&Flag::TestsPassWithoutFix) {
        let message = "tests turned green by a change of the tests alone, without the fix";
        return (Reason::TestsPassWithoutFix, message.into());
    }
    (
        Reason::NoFailToPass,
        "no test turned green, so nothing shows that the change works".into(),
    )
}

/// The regression to name: one that fails rather than one that is skipped or gone.
fn worst(broken: &[NotPassing]) -> Option<&NotPassing> {
    broken.iter().min_by_key(|test| test.after)
}

/// Tests that were to turn green and did not.
pub(super) fn still_failing(
    expected: &[String],
    reddened: &BTreeSet<String>,
    sets: &Sets,
) -> Vec<String> {
    let green: BTreeSet<&String> = sets
        .fail_to_pass
        .iter()
        .map(|test| &test.id)
        .chain(&sets.pass_to_pass)
        .collect();
    let stands_for = |expected: &str, id: &str| {
        let cut = expected.contains('[') && !expected.contains(']');
        expected == id || (cut && id.starts_with(expected))
    };
    let mut still: Vec<String> = expected
        .iter()
        .map(|id| id.trim())
        .filter(|id| !green.iter().any(|green| stands_for(id, green)))
        .map(str::to_owned)
        .collect();
    let red = sets
        .fail_to_fail
        .iter()
        .map(|test| &test.id)
        .chain(&sets.new_failing);
    for id in red {
        // What is new and fails was brought by the change, whoever wrote it.
        if reddened.contains(id) || sets.new_failing.contains(id) {
            still.push(id.clone());
        }
    }
    still.sort();
    still.dedup();
    still
}

/// Tests of the base that are gone, and those that moved: a passing test of the same name is new
/// elsewhere.
pub(super) fn removed(from_base: &Sets, sets: &Sets) -> (Vec<String>, BTreeSet<String>) {
    let arrived: BTreeSet<&str> = from_base
        .fail_to_pass
        .iter()
        .chain(&sets.fail_to_pass)
        .filter(|test| test.before == Class::Absent)
        .map(|test| leaf(&test.id))
        .collect();
    let gone = from_base
        .pass_to_fail
        .iter()
        .chain(&from_base.fail_to_fail)
        .filter(|test| test.after == Class::Absent)
        .map(|test| test.id.clone());
    let (moved, removed): (BTreeSet<_>, BTreeSet<_>) =
        gone.partition(|id| arrived.contains(leaf(id)));
    (removed.into_iter().collect(), moved)
}

/// The name of a test without the file, class or module that it is in.
fn leaf(id: &str) -> &str {
    let id = id.rsplit(" > ").next().unwrap_or(id);
    let end = id.find('[').unwrap_or(id.len());
    let start = id[..end].rfind(['/', ':', '.']).map_or(0, |at| at + 1);
    &id[start..]
}

fn named(count: usize, id: &str, what: &str) -> String {
    let id = crate::report::prefix(id, 200);
    match count {
        0 | 1 => format!("`{id}` {what}"),
        _ => format!("`{id}` {what}; {count} tests in all"),
    }
}

/// A runner that stops at the first failing suite does not come to the others before the change. What
/// passes at the base and with the change did not turn green.
pub(super) fn passes_since_base(sets: &mut Sets, from_base: &Sets) {
    let (passing, green) = std::mem::take(&mut sets.fail_to_pass)
        .into_iter()
        .partition(|test| {
            test.before == Class::Absent && from_base.pass_to_pass.binary_search(&test.id).is_ok()
        });
    sets.fail_to_pass = green;
    let passing: Vec<TurnedGreen> = passing;
    sets.pass_to_pass
        .extend(passing.into_iter().map(|test| test.id));
    sets.pass_to_pass.sort();
}

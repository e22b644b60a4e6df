//! What differs between two verifications of the same change.

use std::collections::BTreeSet;

use commontrace_verify::Verdict;
use commontrace_verify::verdict::Side;

/// Ids that are named for each difference.
const NAMED: usize = 5;

/// Returns what differs, each in a line; nothing if both say the same. Tests that are flaky or unstable in
/// either are compared with nothing.
pub fn differences(signed: &Verdict, again: &Verdict) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, signed: String, again: String| {
        if signed != again {
            found.push(format!("{what}: signed {signed}, now {again}"));
        }
    };
    compare(
        "test command",
        format!("{:?}", signed.command),
        format!("{:?}", again.command),
    );
    for side in [Side::Base, Side::BaseWithTests, Side::Change] {
        if let (Some(before), Some(now)) = (tree(signed, side), tree(again, side)) {
            compare(&format!("files of {side:?}"), before, now);
        }
    }
    compare(
        "status",
        format!("{:?} ({:?})", signed.status, signed.reason),
        format!("{:?} ({:?})", again.status, again.reason),
    );
    compare(
        "basis",
        format!("{:?}", signed.basis),
        format!("{:?}", again.basis),
    );
    let moving: BTreeSet<&str> = [signed, again]
        .into_iter()
        .flat_map(|verdict| verdict.lists.flaky.iter().chain(&verdict.lists.unstable))
        .map(String::as_str)
        .collect();
    for ((name, before), (_, now)) in sets(signed).into_iter().zip(sets(again)) {
        let only = |a: &BTreeSet<&str>, b: &BTreeSet<&str>| named(a, b, &moving);
        if let Some(ids) = only(&before, &now) {
            found.push(format!("{name}: signed and not there now: {ids}"));
        }
        if let Some(ids) = only(&now, &before) {
            found.push(format!("{name}: there now and not signed: {ids}"));
        }
    }
    // The numbers also tell of tests beyond those that the lists show.
    if moving.is_empty() && found.is_empty() && signed.counts != again.counts {
        found.push(format!(
            "counts: signed {:?}, now {:?}",
            signed.counts, again.counts
        ));
    }
    found
}

fn tree(verdict: &Verdict, side: Side) -> Option<String> {
    let found = verdict.sides.iter().find(|summary| summary.side == side);
    found.map(|summary| summary.tree.clone())
}

fn sets(verdict: &Verdict) -> [(&'static str, BTreeSet<&str>); 5] {
    let lists = &verdict.lists;
    [
        (
            "fail_to_pass",
            lists.fail_to_pass.iter().map(|test| &*test.id).collect(),
        ),
        (
            "pass_to_fail",
            lists.pass_to_fail.iter().map(|test| &*test.id).collect(),
        ),
        (
            "fail_to_fail",
            lists.fail_to_fail.iter().map(|test| &*test.id).collect(),
        ),
        (
            "new_failing",
            lists.new_failing.iter().map(String::as_str).collect(),
        ),
        (
            "removed",
            lists.removed.iter().map(String::as_str).collect(),
        ),
    ]
}

/// The first ids that are in one set only, leaving out those that move.
fn named(of: &BTreeSet<&str>, and_not: &BTreeSet<&str>, moving: &BTreeSet<&str>) -> Option<String> {
    let ids: Vec<&&str> = of
        .difference(and_not)
        .filter(|id| !moving.contains(**id))
        .collect();
    let shown: Vec<String> = ids.iter().take(NAMED).map(|id| format!("{id:?}")).collect();
    let more = ids.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    (!ids.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use commontrace_verify::sets::{Class, TurnedGreen};
    use commontrace_verify::{Reason, Status};

    use super::*;

    fn verdict(green: &[&str]) -> Verdict {
        let mut verdict = Verdict::without_runs(Reason::FailToPass, "");
        verdict.lists.fail_to_pass = green
            .iter()
            .map(|id| TurnedGreen {
                id: (*id).to_owned(),
                before: Class::Fail,
            })
            .collect();
        verdict.counts.fail_to_pass = green.len() as u64;
        verdict
    }

    #[test]
    fn the_same_is_no_difference_and_time_is_none_either() {
        let signed = verdict(&["a", "b"]);
        let mut again = signed.clone();
        again.duration_ms += 1;
        assert_eq!(differences(&signed, &again), Vec::<String>::new());
    }

    #[test]
    fn a_test_that_is_missing_or_new_is_named() {
        let found = differences(&verdict(&["a", "b"]), &verdict(&["b", "c"]));
        assert_eq!(
            found,
            [
                "fail_to_pass: signed and not there now: \"a\"",
                "fail_to_pass: there now and not signed: \"c\"",
            ]
        );
    }

    #[test]
    fn what_moves_is_compared_with_nothing() {
        let mut again = verdict(&["b"]);
        again.lists.flaky = vec!["a".to_owned()];
        again.counts.flaky = 1;
        let found = differences(&verdict(&["a", "b"]), &again);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn another_status_and_more_tests_than_the_lists_show_are_differences() {
        let signed = verdict(&["a"]);
        let mut again = signed.clone();
        again.status = Status::Refuted;
        assert!(differences(&signed, &again)[0].starts_with("status: signed Verified"));
        let mut again = signed.clone();
        again.counts.pass_to_pass = 7;
        assert!(differences(&signed, &again)[0].starts_with("counts: "));
    }
}

//! From runs to a verdict: the rules, without any I/O.

use std::collections::BTreeSet;

use crate::reason::Reason;
use crate::report::Confidence;
use crate::sets::{Class, NotPassing, RunOutcomes, Sets, compare};
use crate::split::belongs;
use crate::validity::Validity;
use crate::verdict::{Basis, Flag};

/// One run, as far as the decision goes.
#[derive(Debug, Clone)]
pub struct SideRun {
    /// Whether it may be believed.
    pub validity: Validity,
    /// Its results.
    pub results: RunOutcomes,
    /// How many tests were really run.
    pub executed: u64,
    /// Failures that belong to no test.
    pub failures_outside_tests: u64,
    /// How much its results may be relied upon.
    pub confidence: Confidence,
}

/// Everything that a decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// A: the runs at the base.
    pub base: &'a [SideRun],
    /// B: the runs at the base with the change's tests; `None` if the change has no tests.
    pub with_tests: Option<&'a [SideRun]>,
    /// C: the runs with the whole change.
    pub change: &'a [SideRun],
    /// Whether the change's tests come from somebody else than its author. Then a test that they take
    /// away is gone for a reason.
    pub independent_tests: bool,
    /// The files of the change's tests.
    pub test_files: &'a [String],
    /// Ids that have to turn green, if the caller knows some. One that was cut within its parameters
    /// stands for every id that begins with it.
    pub expected: &'a [String],
}

/// What was decided.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The cause; its status is the verdict's.
    pub reason: Reason,
    /// The same in one sentence.
    pub message: String,
    /// What was compared.
    pub basis: Basis,
    /// How the tests compare.
    pub sets: Sets,
    /// Tests of the base that are gone and did not move elsewhere.
    pub removed: Vec<String>,
    /// What else a reader should know.
    pub flags: BTreeSet<Flag>,
    /// The least confidence of what was compared.
    pub confidence: Confidence,
}

impl Decision {
    fn only(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            basis: Basis::default(),
            sets: Sets::default(),
            removed: Vec::new(),
            flags: BTreeSet::new(),
            confidence: Confidence::None,
        }
    }
}

/// Decides.
#[must_use]
pub fn decide(material: Material<'_>) -> Decision {
    let Material {
        base,
        with_tests,
        change,
        ..
    } = material;
    for (runs, name) in [
        (base, "at the base"),
        (
            with_tests.unwrap_or_default(),
            "at the base with the change's tests",
        ),
        (change, "with the change"),
    ] {
        for run in runs {
            if let Validity::Infrastructure(reason) = run.validity {
                return Decision::only(
                    reason,
                    format!("the tests could not be run {name}: {reason}"),
                );
            }
        }
    }
    if change.is_empty() || base.is_empty() {
        return Decision::only(Reason::NoTestsRan, "no tests were run");
    }
    let (basis, before) = match before(material) {
        Ok(found) => found,
        Err(decision) => return *decision,
    };
    if all(change, Validity::Unbuilt) {
        return if before.iter().any(|run| run.executed > 0) {
            Decision {
                basis,
                ..Decision::only(
                    Reason::BuildBroken,
                    "the tests do not build with the change, and did before",
                )
            }
        } else {
            Decision::only(
                Reason::BuildFailed,
                "the tests build neither before nor with the change",
            )
        };
    }
    if let Some(reason) = first_invalid(change) {
        return Decision::only(
            reason,
            format!("a run with the change proves nothing: {reason}"),
        );
    }
    compared(material, basis, before)
}

/// The side that the change is compared with.
fn before(material: Material<'_>) -> Result<(Basis, &[SideRun]), Box<Decision>> {
    let invalid = |runs, name: &str| {
        first_invalid(runs).map(|reason| {
            Box::new(Decision::only(
                reason,
                format!("a run {name} proves nothing: {reason}"),
            ))
        })
    };
    let Some(with_tests) = material.with_tests else {
        return match invalid(material.base, "at the base") {
            Some(decision) => Err(decision),
            None => Ok((Basis::Base, material.base)),
        };
    };
    // Tests that use what the change brings do not build without it; whatever the build tool is,
    // then no test ran and the exit status said so.
    let unbuilt = with_tests.iter().all(|run| {
        let build = Validity::Invalid(Reason::ExitDisagrees);
        run.validity == Validity::Unbuilt || (run.validity == build && run.executed == 0)
    });
    if unbuilt {
        return match invalid(material.base, "at the base") {
            Some(decision) => Err(decision),
            None => Ok((Basis::BaseUnbuilt, material.base)),
        };
    }
    match invalid(with_tests, "at the base with the change's tests") {
        Some(decision) => Err(decision),
        None => Ok((Basis::WithTests, with_tests)),
    }
}

fn all(runs: &[SideRun], validity: Validity) -> bool {
    runs.iter().all(|run| run.validity == validity)
}

/// Why a side proves nothing, if it does not. A build that fails in some runs only proves nothing.
fn first_invalid(runs: &[SideRun]) -> Option<Reason> {
    let some_unbuilt = runs.iter().any(|run| run.validity == Validity::Unbuilt);
    if some_unbuilt && !all(runs, Validity::Unbuilt) {
        return Some(Reason::BuildFailed);
    }
    runs.iter().find_map(|run| match run.validity {
        Validity::Invalid(reason) => Some(reason),
        _ => None,
    })
}

fn results(runs: &[SideRun]) -> Vec<RunOutcomes> {
    runs.iter().map(|run| run.results.clone()).collect()
}

/// Both sides have results: compares them.
fn compared(material: Material<'_>, basis: Basis, before: &[SideRun]) -> Decision {
    let (old, new) = (results(before), results(material.change));
    let mut sets = compare(&old, &new);
    let mut flags = BTreeSet::new();
    if basis == Basis::BaseUnbuilt {
        flags.insert(Flag::BeforeUnbuilt);
        sets.fail_to_pass.retain(|test| {
            material
                .test_files
                .iter()
                .any(|file| belongs(&test.id, file))
        });
    }
    if all(before, Validity::Unbuilt) {
        flags.insert(Flag::BaseUnbuilt);
    }
    let from_base = material
        .with_tests
        .map(|_| compare(&results(material.base), &new));
    // Where the change's tests made a test red, it has to be green with the change.
    let reddened = match material.with_tests.filter(|_| basis == Basis::WithTests) {
        Some(with_tests) => {
            let sets = compare(&results(material.base), &results(with_tests));
            let green: Vec<String> = sets
                .fail_to_pass
                .iter()
                .filter(|test| test.before == Class::Fail)
                .map(|test| test.id.clone())
                .collect();
            if !green.is_empty() {
                flags.insert(Flag::TestsPassWithoutFix);
            }
            sets.pass_to_fail
                .into_iter()
                .map(|test| test.id)
                .chain(sets.new_failing)
                .collect()
        }
        None => BTreeSet::new(),
    };
    let (removed, moved) = removed(from_base.as_ref().unwrap_or(&sets), &sets);
    if moved {
        flags.insert(Flag::TestsMoved);
        // A test that moved is not a regression.
        let gone: BTreeSet<&String> = removed.iter().collect();
        sets.pass_to_fail
            .retain(|test| test.after != Class::Absent || gone.contains(&test.id));
    }
    for (set, flag) in [
        (!sets.flaky.is_empty(), Flag::FlakyTests),
        (
            !sets.unstable.is_empty() || sets.folded > 0,
            Flag::UnstableIds,
        ),
        (
            !sets.fail_to_pass.is_empty()
                && sets
                    .fail_to_pass
                    .iter()
                    .all(|test| test.before == Class::Absent),
            Flag::OnlyAbsentBefore,
        ),
    ] {
        if set {
            flags.insert(flag);
        }
    }
    let still = still_failing(material.expected, &reddened, &sets);
    let (reason, message) = reason(material, before, &sets, &removed, &still, &flags);
    let confidence = before
        .iter()
        .filter(|run| run.validity != Validity::Unbuilt)
        .chain(material.change)
        .map(|run| run.confidence)
        .min()
        .unwrap_or(Confidence::None);
    Decision {
        reason,
        message,
        basis,
        sets,
        removed,
        flags,
        confidence,
    }
}

/// The verdict on sets, by the first rule that applies.
fn reason(
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
fn still_failing(expected: &[String], reddened: &BTreeSet<String>, sets: &Sets) -> Vec<String> {
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

/// Tests of the base that are gone, and whether others moved: the same name is new elsewhere.
fn removed(from_base: &Sets, sets: &Sets) -> (Vec<String>, bool) {
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
    let (moved, mut removed): (Vec<_>, Vec<_>) = gone.partition(|id| arrived.contains(leaf(id)));
    removed.sort();
    removed.dedup();
    (removed, !moved.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome::{self, Fail, Pass, Skip};
    use crate::verdict::Status;

    fn run(results: &[(&str, Outcome)]) -> SideRun {
        SideRun {
            validity: Validity::Valid,
            executed: results.len() as u64,
            results: RunOutcomes {
                outcomes: results
                    .iter()
                    .map(|(id, o)| ((*id).to_owned(), *o))
                    .collect(),
                flaky: BTreeSet::new(),
                whole: true,
            },
            failures_outside_tests: 0,
            confidence: Confidence::High,
        }
    }

    fn broken(validity: Validity) -> SideRun {
        let mut broken = run(&[]);
        broken.validity = validity;
        broken.results.whole = false;
        broken
    }

    struct Case<'a> {
        a: &'a [SideRun],
        b: Option<&'a [SideRun]>,
        c: &'a [SideRun],
    }

    fn decide_own(case: &Case<'_>) -> Decision {
        decide(Material {
            base: case.a,
            with_tests: case.b,
            change: case.c,
            independent_tests: false,
            test_files: &["tests/test_n.py".into()],
            expected: &[],
        })
    }

    #[test]
    fn the_rules_in_their_order() {
        let old = run(&[("old", Pass)]);
        let red = run(&[("old", Pass), ("n", Fail)]);
        let green = run(&[("old", Pass), ("n", Pass)]);
        for (what, a, b, c, expected) in [
            ("a right fix", &old, Some(&red), &green, Reason::FailToPass),
            ("a wrong fix", &old, Some(&red), &red, Reason::StillFailing),
            (
                "a fix that breaks another",
                &old,
                Some(&red),
                &run(&[("old", Fail), ("n", Pass)]),
                Reason::Regression,
            ),
            (
                "a fix that skips another",
                &old,
                Some(&red),
                &run(&[("old", Skip), ("n", Pass)]),
                Reason::TestsSkipped,
            ),
            (
                "a test that is gone",
                &old,
                Some(&run(&[("n", Fail)])),
                &run(&[("n", Pass)]),
                Reason::TestsRemoved,
            ),
            (
                "a test that only moved",
                &run(&[("a::old", Pass)]),
                Some(&run(&[("b::old", Pass), ("n", Fail)])),
                &run(&[("b::old", Pass), ("n", Pass)]),
                Reason::FailToPass,
            ),
            (
                "a failing test that is gone",
                &run(&[("old", Pass), ("n", Fail)]),
                Some(&old),
                &old,
                Reason::TestsRemoved,
            ),
            (
                "a weakened test",
                &run(&[("old", Pass), ("n", Fail)]),
                Some(&green),
                &green,
                Reason::TestsPassWithoutFix,
            ),
            (
                "a test that passes anyway",
                &old,
                Some(&green),
                &green,
                Reason::NoFailToPass,
            ),
            (
                "no tests of its own, and one turns green",
                &red,
                None,
                &green,
                Reason::FailToPass,
            ),
            (
                "no tests of its own, and none turns green",
                &red,
                None,
                &red,
                Reason::NoFailToPass,
            ),
            (
                "a new test beside the fix",
                &old,
                None,
                &green,
                Reason::FailToPass,
            ),
        ] {
            let (a, b, c) = (
                [a.clone(), a.clone()],
                b.map(|b| [b.clone(), b.clone()]),
                [c.clone(), c.clone()],
            );
            let decision = decide_own(&Case {
                a: &a,
                b: b.as_ref().map(|b| &b[..]),
                c: &c,
            });
            assert_eq!(decision.reason, expected, "{what}: {}", decision.message);
        }
    }

    #[test]
    fn tests_that_do_not_build_on_the_base_are_compared_with_the_base_itself() {
        let old = [run(&[("tests.test_o::old", Pass)])];
        let unbuilt = [broken(Validity::Unbuilt)];
        let new = [run(&[
            ("tests.test_o::old", Pass),
            ("tests.test_n::n", Pass),
            ("tests.test_other::x", Pass),
        ])];
        let decision = decide_own(&Case {
            a: &old,
            b: Some(&unbuilt),
            c: &new,
        });
        assert_eq!(
            (decision.reason, decision.basis),
            (Reason::FailToPass, Basis::BaseUnbuilt)
        );
        // Only what is in a file of the change's tests counts.
        assert_eq!(decision.sets.fail_to_pass.len(), 1);
        assert_eq!(decision.sets.pass_to_pass, ["tests.test_o::old"]);
        assert!(decision.flags.contains(&Flag::BeforeUnbuilt));
    }

    #[test]
    fn a_change_that_does_not_build_is_refuted_and_a_base_that_does_not_is_not() {
        let green = [run(&[("old", Pass)])];
        let unbuilt = [broken(Validity::Unbuilt)];
        let decision = decide_own(&Case {
            a: &green,
            b: None,
            c: &unbuilt,
        });
        assert_eq!(decision.reason, Reason::BuildBroken);
        let decision = decide_own(&Case {
            a: &unbuilt,
            b: None,
            c: &unbuilt,
        });
        assert_eq!(decision.reason, Reason::BuildFailed);
        let decision = decide_own(&Case {
            a: &unbuilt,
            b: None,
            c: &green,
        });
        assert_eq!(decision.reason, Reason::FailToPass);
        assert!(decision.flags.contains(&Flag::BaseUnbuilt));
    }

    #[test]
    fn flaky_is_unstable_only_where_nothing_else_turned_green() {
        let red = run(&[("f", Fail), ("n", Fail)]);
        let both = run(&[("f", Pass), ("n", Pass)]);
        let only = run(&[("f", Fail), ("n", Pass)]);
        let a = [red.clone(), red.clone()];
        let decision = decide_own(&Case {
            a: &a,
            b: None,
            c: &[both, only],
        });
        assert_eq!(decision.reason, Reason::FailToPass);
        assert!(decision.flags.contains(&Flag::FlakyTests));
        let flaky = [run(&[("f", Pass), ("n", Fail)]), red];
        let decision = decide_own(&Case {
            a: &a,
            b: None,
            c: &flaky,
        });
        assert_eq!(decision.reason.status(), Status::Unstable);
    }

    #[test]
    fn infrastructure_comes_before_everything_and_an_invalid_run_before_results() {
        let green = [run(&[("old", Pass)])];
        let oom = [broken(Validity::Infrastructure(Reason::Oom))];
        assert_eq!(
            decide_own(&Case {
                a: &green,
                b: None,
                c: &oom
            })
            .reason,
            Reason::Oom
        );
        let lies = [broken(Validity::Invalid(Reason::ExitDisagrees))];
        let decision = decide_own(&Case {
            a: &green,
            b: None,
            c: &lies,
        });
        assert_eq!(decision.reason, Reason::ExitDisagrees);
    }

    #[test]
    fn a_timeout_refutes_only_if_it_came_with_the_change() {
        let whole = run(&[("a", Pass), ("b", Pass)]);
        let mut cut = run(&[("a", Pass)]);
        cut.validity = Validity::TimedOut;
        cut.results.whole = false;
        let decision = decide_own(&Case {
            a: &[whole],
            b: None,
            c: &[cut.clone()],
        });
        assert_eq!(decision.reason, Reason::TimedOutAfter);
        let decision = decide_own(&Case {
            a: &[cut.clone()],
            b: None,
            c: &[cut],
        });
        assert_eq!(decision.reason, Reason::TimedOut);
    }

    #[test]
    fn an_expected_test_has_to_be_green_and_may_be_cut_within_its_parameters() {
        let red = [run(&[("t[a b]", Fail)])];
        let green = [run(&[("t[a b]", Pass)])];
        let with = |expected: &[String]| {
            decide(Material {
                base: &red,
                with_tests: None,
                change: &green,
                independent_tests: true,
                test_files: &[],
                expected,
            })
            .reason
        };
        assert_eq!(with(&["t[a".into()]), Reason::FailToPass);
        assert_eq!(with(&["u".into()]), Reason::StillFailing);
    }

    #[test]
    fn a_test_that_independent_tests_take_away_is_gone_for_a_reason() {
        let a = [run(&[("old", Pass)])];
        let b = [run(&[("n", Fail)])];
        let c = [run(&[("n", Pass)])];
        let decision = decide(Material {
            base: &a,
            with_tests: Some(&b),
            change: &c,
            independent_tests: true,
            test_files: &[],
            expected: &[],
        });
        assert_eq!(decision.reason, Reason::FailToPass);
        assert_eq!(decision.removed, ["old"]);
    }
}

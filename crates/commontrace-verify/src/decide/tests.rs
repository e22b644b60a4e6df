//! What is decided in which case.

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

#[test]
fn a_test_that_was_only_not_reached_before_the_change_did_not_turn_green() {
    let a = [run(&[("first", Pass), ("second", Pass)])];
    // The runner stops at the first failure.
    let b = [run(&[("first", Fail)])];
    let c = [run(&[("first", Pass), ("second", Pass)])];
    let decision = decide_own(&Case {
        a: &a,
        b: Some(&b),
        c: &c,
    });
    assert_eq!(decision.reason, Reason::FailToPass);
    assert_eq!(decision.sets.fail_to_pass.len(), 1);
    assert_eq!(decision.sets.pass_to_pass, ["second"]);
}

#[test]
fn a_command_that_runs_nothing_with_the_change_s_tests_did_not_build_them() {
    let a = [run(&[("tests.test_o::old", Pass)])];
    let b = [broken(Validity::Invalid(Reason::ToolFailed))];
    let c = [run(&[
        ("tests.test_o::old", Pass),
        ("tests.test_n::n", Pass),
    ])];
    let decision = decide_own(&Case {
        a: &a,
        b: Some(&b),
        c: &c,
    });
    assert_eq!(
        (decision.reason, decision.basis),
        (Reason::FailToPass, Basis::BaseUnbuilt)
    );
}

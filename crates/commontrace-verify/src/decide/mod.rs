//! From runs to a verdict: the rules, without any I/O.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::reason::Reason;
use crate::report::Confidence;
use crate::sets::{Class, NotPassing, RunOutcomes, Sets, compare};
use crate::split::belongs;
use crate::validity::Validity;
use crate::verdict::{Basis, Flag};
use rules::{passes_since_base, reason, removed, still_failing};

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
                    format!("the tests could not be run {name}: {}", reason.of_run()),
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
            format!("a run with the change proves nothing: {}", reason.of_run()),
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
                format!("a run {name} proves nothing: {}", reason.of_run()),
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
    // then no test ran and the command failed.
    let unbuilt = with_tests.iter().all(|run| {
        let nothing_ran = matches!(
            run.validity,
            Validity::Invalid(Reason::ExitDisagrees | Reason::ReportInvalid | Reason::ToolFailed)
        );
        run.validity == Validity::Unbuilt || (nothing_ran && run.executed == 0)
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
        let in_tests = |id: &str| material.test_files.iter().any(|file| belongs(id, file));
        sets.fail_to_pass.retain(|test| in_tests(&test.id));
        // What somebody else's tests took away is gone for a reason.
        let taken = |test: &NotPassing| {
            material.independent_tests && test.after == Class::Absent && in_tests(&test.id)
        };
        sets.pass_to_fail.retain(|test| !taken(test));
    }
    if all(before, Validity::Unbuilt) {
        flags.insert(Flag::BaseUnbuilt);
    }
    let from_base = material
        .with_tests
        .map(|_| compare(&results(material.base), &new));
    if let Some(from_base) = from_base.as_ref().filter(|_| basis == Basis::WithTests) {
        passes_since_base(&mut sets, from_base);
    }
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
    if !moved.is_empty() {
        flags.insert(Flag::TestsMoved);
        sets.pass_to_fail.retain(|test| !moved.contains(&test.id));
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

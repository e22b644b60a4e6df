//! The same things happen to small repositories of many kinds: a right fix, a wrong one, a flaky test, a
//! deleted one, an id with the clock in it, and what a change could try to be verified for nothing.
//! Every verdict has to be right.

use commontrace_verify::verify::{Change, Request, Tests};
use commontrace_verify::{Reason, Verdict};

use tokio_util::sync::CancellationToken;

use crate::kinds::{self, Kind, Test};
use crate::process::ProcessRunner;
use crate::support::TestRepository;
use crate::verify::check_in;

use Test::{Clock, Coin, FlakySum, More, Mul, Skipped, Sum, Weak, Zero};

/// One thing that happens to a repository.
struct Case {
    what: &'static str,
    /// The change's version of the source.
    source: String,
    /// The change's version of the tests.
    tests: Option<&'static [Test]>,
    /// Tests by somebody else, which replace those of the change.
    independent: Option<&'static [Test]>,
    /// What is put around the command.
    command: fn(&str) -> String,
    reason: Reason,
    /// Whether the tests pass with the change.
    passed: bool,
}

fn cases(kind: &Kind) -> Vec<Case> {
    let case = |what, source, tests, reason, passed| Case {
        what,
        source,
        tests,
        independent: None,
        command: str::to_owned,
        reason,
        passed,
    };
    let op = |op: &str| kind.source_with(op);
    let fix = || op("+");
    const BOTH: Option<&[Test]> = Some(&[Zero, Sum]);
    let mut cases = vec![
        case("a right fix", fix(), BOTH, Reason::FailToPass, true),
        case("a wrong fix", op("*"), BOTH, Reason::StillFailing, false),
        case(
            "a fix that breaks another test",
            op("+ 1 +"),
            BOTH,
            Reason::Regression,
            false,
        ),
        case(
            "a flaky test beside a fix",
            fix(),
            Some(&[Zero, Sum, Coin]),
            Reason::FailToPass,
            false,
        ),
        case(
            "a flaky test in place of a fix",
            op("- 0 -"),
            Some(&[Zero, FlakySum]),
            Reason::OnlyFlaky,
            false,
        ),
        case(
            "a deleted test",
            fix(),
            Some(&[Sum]),
            Reason::TestsRemoved,
            true,
        ),
        case(
            "a clock in a test's id",
            fix(),
            Some(&[Zero, Sum, Clock]),
            Reason::FailToPass,
            true,
        ),
        case(
            "a fix without a test",
            fix(),
            None,
            Reason::NoFailToPass,
            true,
        ),
        case(
            "a test that passes without the fix",
            fix(),
            Some(&[Zero, More]),
            Reason::NoFailToPass,
            true,
        ),
        case(
            "a weakened test on its own",
            op("*"),
            Some(&[Zero, Weak]),
            Reason::NoFailToPass,
            true,
        ),
        case(
            "a skipped test",
            fix(),
            Some(&[Zero, Skipped]),
            Reason::NoFailToPass,
            true,
        ),
        case(
            "a new test of what the fix brings",
            kind.source_with_mul("+"),
            Some(&[Zero, Mul]),
            Reason::FailToPass,
            true,
        ),
        Case {
            independent: BOTH,
            ..case(
                "a weakened test, held to the real one",
                op("*"),
                Some(&[Zero, Weak]),
                Reason::StillFailing,
                false,
            )
        },
        Case {
            independent: BOTH,
            ..case(
                "a deleted test, held to the real ones",
                fix(),
                Some(&[Sum]),
                Reason::FailToPass,
                true,
            )
        },
        Case {
            command: |command| format!("{command} || true"),
            ..case(
                "a wrong fix with an exit code that lies",
                op("*"),
                BOTH,
                Reason::StillFailing,
                false,
            )
        },
        Case {
            command: |command| format!("{command}; exit 1"),
            ..case(
                "a right fix with an exit code that lies",
                fix(),
                BOTH,
                Reason::ExitDisagrees,
                false,
            )
        },
    ];
    for (what, source, reason) in kind.hooks {
        let source = source.replace("{source}", &op("*"));
        // Tests that are gone have not failed.
        let passed = *reason == Reason::TestsRemoved;
        cases.push(case(what, source, BOTH, *reason, passed));
    }
    cases
}

/// What happens to the base in every case: it subtracts, and one test does not notice.
async fn check_kind(kind: &Kind) {
    if !kind.is_available() {
        // Said in the output of the tests: what is not installed is not tested.
        eprintln!("{} is not installed", kind.name);
        return;
    }
    let mut wrong = Vec::new();
    // Many cases have states in common, which are run once.
    let folder = tempfile::tempdir().unwrap();
    for case in cases(kind) {
        let repository = TestRepository::new();
        let (source, tests) = (kind.source_with("-"), kind.tests(&[Zero]));
        let mut files = vec![(kind.source.0, source.as_str()), (kind.test_file, &tests)];
        files.extend(kind.others);
        let base = repository.commit(&files);
        let tests = case.tests.map(|tests| kind.tests(tests));
        let mut files = vec![(kind.source.0, case.source.as_str())];
        files.extend(tests.as_ref().map(|tests| (kind.test_file, tests.as_str())));
        let fix = repository.commit(&files);
        let command = (case.command)(kind.command);
        let mut request = Request::new(&repository.url(), &base, Change::Commit(fix), &command);
        if let Some(tests) = case.independent {
            request.tests =
                Tests::Files(vec![(kind.test_file.to_owned(), Some(kind.tests(tests)))]);
        }
        // Twice is enough to see what is flaky here; three times is the default.
        request.runs = 2;
        let verdict = check_in(
            &request,
            folder.path(),
            &ProcessRunner::default(),
            &CancellationToken::new(),
        )
        .await;
        if (verdict.reason, verdict.tests_passed) != (case.reason, Some(case.passed)) {
            wrong.push(format!(
                "{}, expected {:?}: {}",
                case.what,
                case.reason,
                show(&verdict)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", kind.name, wrong.join("\n"));
}

fn show(verdict: &Verdict) -> String {
    let runs: Vec<String> = verdict
        .sides
        .iter()
        .flat_map(|side| side.runs.iter().map(move |run| (side.side, run)))
        .map(|(side, run)| {
            let (validity, totals, warnings) = (run.validity, run.totals, &run.warnings);
            format!(
                "  {side:?} {validity:?} {:?} {totals:?} {warnings:?}",
                run.exit_code
            )
        })
        .collect();
    let (message, lists) = (&verdict.message, &verdict.lists);
    let said = verdict.test_output_snippet.as_deref().unwrap_or_default();
    format!(
        "{:?} {:?} {message} {lists:?}\n{}\n{said}",
        verdict.reason,
        verdict.tests_passed,
        runs.join("\n")
    )
}

#[tokio::test]
async fn in_shell_with_tap() {
    check_kind(&kinds::TAP).await;
}

#[tokio::test]
async fn in_shell_with_junit_xml() {
    check_kind(&kinds::JUNIT).await;
}

#[tokio::test]
async fn in_shell_with_ctrf() {
    check_kind(&kinds::CTRF).await;
}

#[tokio::test]
async fn in_perl_with_prove() {
    check_kind(&kinds::PROVE).await;
}

#[tokio::test]
async fn in_python_with_unittest() {
    check_kind(&kinds::UNITTEST).await;
}

#[tokio::test]
async fn in_python_with_pytest() {
    check_kind(&kinds::PYTEST).await;
}

#[tokio::test]
async fn in_javascript_with_node() {
    check_kind(&kinds::NODE).await;
}

#[tokio::test]
async fn in_javascript_with_a_jest_report() {
    check_kind(&kinds::JEST).await;
}

#[tokio::test]
async fn in_rust_with_cargo() {
    check_kind(&kinds::CARGO).await;
}

#[tokio::test]
async fn in_go() {
    check_kind(&kinds::GO).await;
}

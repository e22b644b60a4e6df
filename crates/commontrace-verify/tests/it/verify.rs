//! Verification as a whole: what surrounds the comparison of results.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use commontrace_verify::git::{Edit, Protocol, Replacement};
use commontrace_verify::progress::Progress;
use commontrace_verify::setup::Setup;
use commontrace_verify::verdict::{Flag, Side, Status};
use commontrace_verify::verify::{Change, Context, Request, Tests, verify};
use commontrace_verify::{Reason, Verdict};
use tokio_util::sync::CancellationToken;

use crate::process::{OUT_OF_TIME, ProcessRunner};
use crate::support::TestRepository;

/// Verifies in a folder of its own.
async fn check(request: &Request) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    check_in(
        request,
        folder.path(),
        &ProcessRunner::default(),
        &CancellationToken::new(),
    )
    .await
}

pub async fn check_in(
    request: &Request,
    folder: &std::path::Path,
    runner: &ProcessRunner,
    cancel: &CancellationToken,
) -> Verdict {
    let ticks = std::sync::atomic::AtomicU64::new(0);
    let context = Context {
        runner,
        folder,
        protocols: &[Protocol::File],
        fetch_limit: Duration::from_secs(60),
        clock: &|| Duration::from_secs(ticks.fetch_add(7, Ordering::Relaxed)),
        progress: &|_| {},
        logs: None,
        cancel: cancel.clone(),
    };
    verify(request, &context).await.verdict
}

const COMMAND: &str = "sh tests/run.sh > $COMMONTRACE_REPORTS/run.tap";
const BROKEN: &str = "add() { echo $(($1 - $2)); }\n";
const FIXED: &str = "add() { echo $(($1 + $2)); }\n";
const TESTS: &str = ". ./lib.sh\nif [ $(add 1 2) = 3 ]; then echo 'ok 1 - sum'; s=0; else echo 'not ok 1 - sum'; s=1; fi\n\
                     echo 1..1\nexit $s\n";

/// A repository with a failing test, and the commit that makes it pass.
fn calculator() -> (TestRepository, String, String) {
    let repository = TestRepository::new();
    let base = repository.commit(&[("lib.sh", BROKEN), ("tests/run.sh", TESTS)]);
    let fix = repository.commit(&[("lib.sh", FIXED)]);
    (repository, base, fix)
}

fn request(repository: &TestRepository, base: &str, change: Change) -> Request {
    Request::new(&repository.url(), base, change, COMMAND)
}

#[tokio::test]
async fn a_verdict_says_what_was_run_and_what_turned_green() {
    let (repository, base, fix) = calculator();
    let verdict = check(&request(&repository, &base, Change::Commit(fix))).await;
    assert_eq!(verdict.status, Status::Verified, "{}", verdict.message);
    assert_eq!(
        (verdict.counts.fail_to_pass, verdict.counts.red_before),
        (1, 1)
    );
    assert_eq!(verdict.lists.fail_to_pass[0].id, "sum");
    assert_eq!(
        (verdict.tests_passed, verdict.test_exit_code),
        (Some(true), Some(0))
    );
    let sides: Vec<_> = verdict
        .sides
        .iter()
        .map(|side| (side.side, side.runs.len()))
        .collect();
    assert_eq!(sides, [(Side::Base, 3), (Side::Change, 3)]);
    assert_eq!(verdict.isolation, ["none"]);
    assert_eq!(verdict.duration_ms, 7_000);
    // The test was there before the change.
    assert_eq!(verdict.flags, [Flag::NotIsolated]);
}

#[tokio::test]
async fn a_session_s_edits_are_applied_and_compared_with_the_fix_commit() {
    let (repository, base, fix) = calculator();
    let edit = |path: &str, replacement| Edit {
        path: path.into(),
        replacement,
    };
    let right = edit(
        "lib.sh",
        Replacement::Diff(
            "@@ -1 +1 @@\n-add() { echo $(($1 - $2)); }\n+add() { echo $(($1 + $2)); }\n".into(),
        ),
    );
    let more = edit("notes", Replacement::Content("x\n".into()));
    for (edits, differs) in [
        (vec![right.clone()], vec![]),
        (vec![right, more], vec!["notes"]),
    ] {
        let mut request = request(&repository, &base, Change::Edits(edits));
        request.fix = Some(fix.clone());
        let verdict = check(&request).await;
        assert_eq!(verdict.status, Status::Verified, "{}", verdict.message);
        assert_eq!(verdict.differs_from_fix, differs);
        assert_eq!(
            verdict.flags.contains(&Flag::DiffersFromFix),
            !differs.is_empty()
        );
    }
}

#[tokio::test]
async fn tests_of_another_commit_replace_those_of_the_change() {
    let repository = TestRepository::new();
    let base = repository.commit(&[
        ("lib.sh", BROKEN),
        ("tests/run.sh", "echo 'ok 1 - nothing'; echo 1..1\n"),
    ]);
    let reference = repository.commit(&[("lib.sh", FIXED), ("tests/run.sh", TESTS)]);
    let edits = |lib: &str| {
        let edit = |path: &str, content: &str| Edit {
            path: path.into(),
            replacement: Replacement::Content(content.into()),
        };
        Change::Edits(vec![
            edit("lib.sh", lib),
            edit("tests/run.sh", "echo 'ok 1 - sum'; echo 1..1\n"),
            edit(
                "tests/helper.sh",
                "a helper that the real tests do not have\n",
            ),
        ])
    };
    for (lib, reason) in [
        (FIXED, Reason::FailToPass),
        ("add() { echo 2; }\n", Reason::StillFailing),
    ] {
        let mut request = request(&repository, &base, edits(lib));
        request.tests = Tests::Commit(reference.clone());
        let verdict = check(&request).await;
        assert_eq!(verdict.reason, reason, "{}", verdict.message);
        assert!(!verdict.flags.contains(&Flag::SelfTested));
    }
}

#[tokio::test]
async fn a_change_with_tests_of_its_own_is_self_tested() {
    let repository = TestRepository::new();
    let none = "echo 'ok 1 - nothing'; echo 1..1\n";
    let base = repository.commit(&[("lib.sh", BROKEN), ("tests/none.sh", none)]);
    let fix = repository.commit(&[("lib.sh", FIXED), ("tests/run.sh", TESTS)]);
    let mut request = request(&repository, &base, Change::Commit(fix));
    request.command = "for t in tests/*.sh; do sh $t > $COMMONTRACE_REPORTS/$(basename $t).tap || s=1; done; exit $s".into();
    let verdict = check(&request).await;
    assert_eq!(verdict.status, Status::Verified, "{}", verdict.message);
    assert!(verdict.flags.contains(&Flag::SelfTested));
}

#[tokio::test]
async fn what_cannot_be_run_is_infrastructure_and_never_a_failed_test() {
    let (repository, base, fix) = calculator();
    let good = request(&repository, &base, Change::Commit(fix));
    let with = |change: &dyn Fn(&mut Request)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    for (request, reason) in [
        (
            with(&|r| r.repository = "/nowhere".into()),
            Reason::CloneFailed,
        ),
        (
            with(&|r| r.repository = "https://example.org/x".into()),
            Reason::CloneFailed,
        ),
        (
            with(&|r| r.base = "0123456789".into()),
            Reason::CommitMissing,
        ),
        (
            with(&|r| {
                r.change = Change::Patch(b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n".to_vec());
            }),
            Reason::PatchFailed,
        ),
        (
            with(&|r| r.command = "no-such-program".into()),
            Reason::ToolMissing,
        ),
        (
            with(&|r| r.setup = Setup::Command("echo cannot; exit 1".into())),
            Reason::DependencyFailed,
        ),
        (
            with(&|r| r.command = "echo 'Could not resolve host: example.org'; exit 1".into()),
            Reason::NetworkNeeded,
        ),
        (with(&|r| r.command = "kill -9 $$".into()), Reason::Killed),
    ] {
        let verdict = check(&request).await;
        assert_eq!(
            (verdict.status, verdict.reason),
            (Status::Infrastructure, reason),
            "{}",
            verdict.message
        );
        assert_eq!(
            (verdict.tests_passed, verdict.test_exit_code),
            (None, None),
            "{reason:?}"
        );
    }
    for (request, reason) in [
        (with(&|r| r.command = " ".into()), Reason::NoTestCommand),
        (
            with(&|r| r.repository = String::new()),
            Reason::NoRepository,
        ),
        (
            with(&|r| r.change = Change::Commit(r.base.clone())),
            Reason::NoChange,
        ),
    ] {
        let verdict = check(&request).await;
        assert_eq!((verdict.status, verdict.reason), (Status::NotRun, reason));
    }
}

#[tokio::test]
async fn a_run_that_does_not_end_keeps_what_it_reported() {
    let repository = TestRepository::new();
    let tests = |wait: &str| {
        format!("echo 'TAP version 13'; echo 1..2; echo 'ok 1 - a'; {wait} echo 'ok 2 - b'\n")
    };
    let base = repository.commit(&[
        ("tests/run.sh", &tests(". ./lib.sh;")),
        ("lib.sh", "true\n"),
    ]);
    let fix = repository.commit(&[("lib.sh", &format!("exit {OUT_OF_TIME}\n"))]);
    let mut request = request(&repository, &base, Change::Commit(fix));
    request.runs = 1;
    let verdict = check(&request).await;
    assert_eq!(verdict.reason, Reason::TimedOutAfter, "{}", verdict.message);
    assert_eq!(
        (verdict.counts.pass_to_pass, verdict.counts.pass_to_fail),
        (1, 1)
    );
    assert_eq!(
        (verdict.tests_passed, verdict.test_exit_code),
        (Some(false), None)
    );
}

#[tokio::test]
async fn a_limit_that_ends_a_run_with_the_change_says_nothing_about_its_tests() {
    let repository = TestRepository::new();
    let base = repository.commit(&[("lib.sh", BROKEN), ("tests/run.sh", TESTS)]);
    // What a shell makes of the signal for a file that is too large.
    let fix = repository.commit(&[("lib.sh", &format!("{FIXED}exit 153\n"))]);
    let verdict = check(&request(&repository, &base, Change::Commit(fix))).await;
    assert_eq!(
        (verdict.status, verdict.reason, verdict.tests_passed),
        (Status::Infrastructure, Reason::FileTooLarge, None)
    );
    assert_eq!(
        verdict.message,
        "the tests could not be run with the change: the tests wrote a larger file than they may; let them write \
         less to one file"
    );
}

#[tokio::test]
async fn dependencies_are_set_up_once_for_the_same_manifests() {
    let repository = TestRepository::new();
    let tests = TESTS.replace(
        "echo 1..1",
        "[ -f vendor/dep ] && [ -f $COMMONTRACE_DEPENDENCIES/other ] || exit 9\necho 1..1",
    );
    let base = repository.commit(&[
        ("lib.sh", BROKEN),
        ("tests/run.sh", &tests),
        ("vendor/own", "x\n"),
    ]);
    let fix = repository.commit(&[("lib.sh", FIXED)]);
    let other = repository.commit(&[("lib.sh", FIXED), ("Cargo.lock", "# another\n")]);
    let folder = tempfile::tempdir().unwrap();
    let setup = "echo 1 >> vendor/dep; touch $COMMONTRACE_DEPENDENCIES/other";
    for (change, set_ups) in [(&fix, 1), (&fix, 0), (&other, 1)] {
        let mut request = request(&repository, &base, Change::Commit(change.clone()));
        request.setup = Setup::Command(setup.into());
        request.runs = 1;
        request.use_cache = false;
        let runner = ProcessRunner::default();
        let verdict = check_in(&request, folder.path(), &runner, &CancellationToken::new()).await;
        assert_eq!(verdict.status, Status::Verified, "{}", verdict.message);
        assert_eq!(runner.runs.load(Ordering::Relaxed), 2 + set_ups);
        assert_eq!(verdict.setup_command.as_deref(), Some(setup));
    }
}

#[tokio::test]
async fn a_set_up_leaves_nothing_to_other_files_with_the_same_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let mut outputs = Vec::new();
    for brought in ["theirs", "ours"] {
        let repository = TestRepository::new();
        let tests = TESTS.replace(
            "echo 1..1",
            "cat $COMMONTRACE_DEPENDENCIES/it >&2\necho 1..1",
        );
        let script = format!("echo {brought} > $COMMONTRACE_DEPENDENCIES/it\n");
        let base = repository.commit(&[
            ("lib.sh", BROKEN),
            ("tests/run.sh", &tests),
            ("deps.sh", &script),
        ]);
        let fix = repository.commit(&[("lib.sh", FIXED)]);
        let mut request = request(&repository, &base, Change::Commit(fix));
        request.setup = Setup::Command("sh deps.sh".into());
        let verdict = check_in(
            &request,
            folder.path(),
            &ProcessRunner::default(),
            &CancellationToken::new(),
        )
        .await;
        assert_eq!(verdict.status, Status::Verified, "{}", verdict.message);
        outputs.push(verdict.test_output_snippet.unwrap_or_default());
    }
    assert!(outputs[0].contains("theirs"), "{outputs:?}");
    assert!(outputs[1].contains("ours"), "{outputs:?}");
}

#[tokio::test]
async fn a_second_verification_of_the_same_runs_nothing() {
    let (repository, base, fix) = calculator();
    let folder = tempfile::tempdir().unwrap();
    let request = request(&repository, &base, Change::Commit(fix));
    let cancel = CancellationToken::new();
    let (first, second) = (ProcessRunner::default(), ProcessRunner::default());
    let one = check_in(&request, folder.path(), &first, &cancel).await;
    let two = check_in(&request, folder.path(), &second, &cancel).await;
    assert_eq!(
        (
            first.runs.load(Ordering::Relaxed),
            second.runs.load(Ordering::Relaxed)
        ),
        (6, 0)
    );
    assert_eq!((one.status, one.counts), (two.status, two.counts));
    assert!(
        two.sides
            .iter()
            .flat_map(|side| &side.runs)
            .all(|run| run.cached)
    );
    // Another command is another run.
    let mut other = request.clone();
    other.command = format!("true && {COMMAND}");
    let third = ProcessRunner::default();
    check_in(&other, folder.path(), &third, &cancel).await;
    assert_eq!(third.runs.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn nothing_but_caches_is_left_behind() {
    let (repository, base, fix) = calculator();
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(&repository, &base, Change::Commit(fix));
    request.command = format!("mkdir -p deep/er && touch deep/er/x && chmod 0 deep; {COMMAND}");
    let cancel = CancellationToken::new();
    check_in(&request, folder.path(), &ProcessRunner::default(), &cancel).await;
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["repositories", "runs"]);
}

#[tokio::test]
async fn progress_is_told_and_cancelling_ends_the_running_command() {
    let (repository, base, fix) = calculator();
    let mut request = request(&repository, &base, Change::Commit(fix));
    request.command = format!("{COMMAND}; sleep 600");
    let folder = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let steps = Mutex::new(Vec::new());
    let context = Context {
        runner: &ProcessRunner::default(),
        folder: folder.path(),
        protocols: &[Protocol::File],
        fetch_limit: Duration::from_secs(60),
        clock: &|| Duration::ZERO,
        progress: &|step| {
            steps.lock().unwrap().push(step);
            if matches!(step, Progress::Running { .. }) {
                cancel.cancel();
            }
        },
        logs: None,
        cancel: cancel.clone(),
    };
    let verdict = verify(&request, &context).await.verdict;
    assert_eq!(
        (verdict.status, verdict.reason),
        (Status::NotRun, Reason::Cancelled)
    );
    assert_eq!(verdict.tests_passed, None);
    let running = Progress::Running {
        side: Side::Base,
        run: 1,
        of: 3,
    };
    assert_eq!(
        *steps.lock().unwrap(),
        [Progress::Fetching, Progress::Preparing, running]
    );
}

#[tokio::test]
async fn a_report_that_lies_in_the_repository_is_no_report() {
    let repository = TestRepository::new();
    let report = "1..1\nok 1 - sum\n";
    let base = repository.commit(&[
        ("lib.sh", BROKEN),
        ("tests/run.sh", "exit 0 # $COMMONTRACE_REPORTS\n"),
    ]);
    let fix = repository.commit(&[
        ("lib.sh", FIXED),
        ("reports/run.tap", report),
        ("run.tap", report),
    ]);
    let mut request = request(&repository, &base, Change::Commit(fix));
    request.command = "sh tests/run.sh # $COMMONTRACE_REPORTS".into();
    let verdict = check(&request).await;
    assert_eq!(verdict.reason, Reason::ReportMissing, "{}", verdict.message);
}

//! What came out of a verification, in full: enough to read it, and enough to make it again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::logs::KeptLog;
use crate::outcome::Totals;
use crate::reason::Reason;
use crate::report::{Confidence, Source};
use crate::runner::End;
use crate::sets::{Control, NotPassing, Sets, TurnedGreen};
use crate::validity::Validity;

/// The most ids of each list that a verdict shows. All of them are in the sets beside it.
pub const MAX_LISTED: usize = 100;
/// The most changed files that a verdict names.
pub const MAX_CHANGED: usize = 1_000;
/// The longest [`Verdict::test_output_snippet`], in characters.
pub const MAX_SNIPPET_CHARS: usize = 2_000;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Tests turned green and none broke.
    Verified,
    /// A test broke, or one that was to turn green did not.
    Refuted,
    /// No test turned green: the change may be right, but nothing here shows it.
    NoEvidence,
    /// What turned green does so by chance.
    Unstable,
    /// A run proves nothing.
    InvalidRun,
    /// The tests could not be run, for a reason that is not theirs. Never a failed test.
    Infrastructure,
    /// Nothing was run.
    NotRun,
}

/// What a reader should know besides the status.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// The tests that show it come from the change's own author.
    SelfTested,
    /// Everything that turned green did not exist before, which proves less than a red test.
    OnlyAbsentBefore,
    /// The session's edits do not give the fix commit's files.
    DiffersFromFix,
    /// Some tests are flaky; they were compared with nothing.
    FlakyTests,
    /// Some ids are not the same in every run.
    UnstableIds,
    /// The change's tests do not build on the base; see [`Basis::BaseUnbuilt`].
    BeforeUnbuilt,
    /// The base itself does not build.
    BaseUnbuilt,
    /// A test that failed at the base passes with the change's tests alone.
    TestsPassWithoutFix,
    /// A command ended with exit status 0 although tests failed.
    ExitZeroWithFailures,
    /// Results were read from text, not from a report.
    ResultsFromText,
    /// Results are of low confidence.
    LowConfidence,
    /// Tests moved to another place under the same name.
    TestsMoved,
    /// The repository has submodules, which were not fetched.
    Submodules,
    /// The repository has large files (LFS), of which only the pointers were there.
    Lfs,
    /// The change was applied with help: a three-way merge, fuzz, or other line ends.
    PatchedWithHelp,
    /// Runs at the base found tests that would have been called fixed after a single run each.
    ControlFailed,
    /// The commands were not isolated.
    NotIsolated,
}

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// B against C: the base with the change's tests against the whole change.
    #[default]
    WithTests,
    /// A against C, because the change has no tests of its own.
    Base,
    /// The change's tests do not build on the base: what turned green is taken from files of the
    /// change's tests only, and the rest from A against C.
    BaseUnbuilt,
}

/// How many tests are in each set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Did not pass before, pass after.
    pub fail_to_pass: u64,
    /// Of these: ran and failed before.
    pub red_before: u64,
    /// Of these: were skipped before.
    pub skipped_before: u64,
    /// Of these: did not exist before.
    pub absent_before: u64,
    /// Pass before and after.
    pub pass_to_pass: u64,
    /// Passed before and do not after.
    pub pass_to_fail: u64,
    /// Failed before and do not pass after.
    pub fail_to_fail: u64,
    /// Were not there before and fail.
    pub new_failing: u64,
    /// Are gone though they were there at the base.
    pub removed: u64,
    /// Pass now and then.
    pub flaky: u64,
    /// Have ids that are not in every run.
    pub unstable: u64,
    /// Have ids that were masked so that they could be compared.
    pub folded: u64,
}

/// The ids of each set, at most [`MAX_LISTED`] of each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Lists {
    /// Did not pass before, pass after.
    pub fail_to_pass: Vec<TurnedGreen>,
    /// Passed before and do not after.
    pub pass_to_fail: Vec<NotPassing>,
    /// Failed before and do not pass after.
    pub fail_to_fail: Vec<NotPassing>,
    /// Were not there before and fail.
    pub new_failing: Vec<String>,
    /// Are gone though they were there at the base.
    pub removed: Vec<String>,
    /// Pass now and then.
    pub flaky: Vec<String>,
    /// Have ids that are not in every run.
    pub unstable: Vec<String>,
    /// Whether a list has more than it shows.
    pub cut: bool,
}

/// One of the states that tests run at.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A: the base.
    Base,
    /// B: the base with the change's tests.
    BaseWithTests,
    /// C: the base with the whole change.
    Change,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// How it ended, in words: `exited`, `signalled`, `timed_out`, …
    pub end: String,
    /// The exit code, if it ended by itself.
    pub exit_code: Option<i32>,
    /// Whether it may be believed.
    pub validity: Validity,
    /// How many tests ended how.
    pub totals: Totals,
    /// What results were read from.
    pub source: Source,
    /// How much they may be relied upon.
    pub confidence: Confidence,
    /// What contained it.
    pub isolation: String,
    /// How long it took. Of a cached run, when it was made.
    pub duration_ms: u64,
    /// Whether this is an earlier run of the same files with the same command.
    pub cached: bool,
    /// What its parsers noticed.
    pub warnings: Vec<String>,
    /// Its whole output, if that is kept.
    #[serde(default)]
    pub log: Option<KeptLog>,
}

/// The runs at one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SideSummary {
    /// Which state.
    pub side: Side,
    /// The hash of its files, as git makes it.
    pub tree: String,
    /// Its runs.
    pub runs: Vec<RunSummary>,
}

/// The verdict on a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// What was found.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// The same in one sentence.
    pub message: String,
    /// Whether the tests pass with the change: exit status 0 and no failure in every run. `null` when
    /// that is not known. This is not the status: passing tests alone prove nothing.
    pub tests_passed: Option<bool>,
    /// The exit code of the last run with the change.
    pub test_exit_code: Option<i32>,
    /// The start and the end of that run's output, the end being longer.
    pub test_output_snippet: Option<String>,
    /// How many tests are in each set.
    pub counts: Counts,
    /// Which tests these are.
    pub lists: Lists,
    /// What was compared.
    pub basis: Basis,
    /// What else a reader should know.
    pub flags: Vec<Flag>,
    /// The least confidence of the results that were compared.
    pub confidence: Confidence,
    /// The base's runs against each other, where nothing has changed.
    pub negative_control: Option<Control>,
    /// The test command as it was asked for.
    pub command: String,
    /// The test command as it was run, with options added so that it writes a report.
    pub command_run: String,
    /// The command that set up dependencies, if there was one.
    pub setup_command: Option<String>,
    /// Paths of the files that the change changes, at most [`MAX_CHANGED`]; none in verdicts of earlier
    /// versions.
    #[serde(default)]
    pub changed: Option<Vec<String>>,
    /// Paths whose content differs from the fix commit's, at most [`MAX_LISTED`].
    pub differs_from_fix: Vec<String>,
    /// What was run.
    pub sides: Vec<SideSummary>,
    /// How often each state was run.
    pub runs_per_side: u32,
    /// What contained the commands.
    pub isolation: Vec<String>,
    /// Anything else, in words.
    pub warnings: Vec<String>,
    /// How long it all took, by the caller's clock.
    pub duration_ms: u64,
    /// The version of the rules.
    pub runner_version: String,
}

impl Verdict {
    /// A verdict without any run.
    #[must_use]
    pub fn without_runs(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: reason.status(),
            reason,
            message: message.into(),
            tests_passed: None,
            test_exit_code: None,
            test_output_snippet: None,
            counts: Counts::default(),
            lists: Lists::default(),
            basis: Basis::default(),
            flags: Vec::new(),
            confidence: Confidence::None,
            negative_control: None,
            command: String::new(),
            command_run: String::new(),
            setup_command: None,
            changed: None,
            differs_from_fix: Vec::new(),
            sides: Vec::new(),
            runs_per_side: 0,
            isolation: Vec::new(),
            warnings: Vec::new(),
            duration_ms: 0,
            runner_version: crate::RUNNER_VERSION.to_owned(),
        }
    }
}

impl Counts {
    /// Counts sets, and the tests that are gone.
    #[must_use]
    pub fn of(sets: &Sets, removed: &[String]) -> Self {
        use crate::sets::Class;
        let before = |class| {
            sets.fail_to_pass
                .iter()
                .filter(|test| test.before == class)
                .count() as u64
        };
        Self {
            fail_to_pass: sets.fail_to_pass.len() as u64,
            red_before: before(Class::Fail),
            skipped_before: before(Class::Skip),
            absent_before: before(Class::Absent),
            pass_to_pass: sets.pass_to_pass.len() as u64,
            pass_to_fail: sets.pass_to_fail.len() as u64,
            fail_to_fail: sets.fail_to_fail.len() as u64,
            new_failing: sets.new_failing.len() as u64,
            removed: removed.len() as u64,
            flaky: sets.flaky.len() as u64,
            unstable: sets.unstable.len() as u64,
            folded: sets.folded,
        }
    }
}

impl Lists {
    /// The first ids of each set.
    #[must_use]
    pub fn of(sets: &Sets, removed: &[String]) -> Self {
        let mut cut = false;
        Self {
            fail_to_pass: first(&sets.fail_to_pass, &mut cut),
            pass_to_fail: first(&sets.pass_to_fail, &mut cut),
            fail_to_fail: first(&sets.fail_to_fail, &mut cut),
            new_failing: first(&sets.new_failing, &mut cut),
            removed: first(removed, &mut cut),
            flaky: first(&sets.flaky, &mut cut),
            unstable: first(&sets.unstable, &mut cut),
            cut,
        }
    }
}

fn first<T: Clone>(list: &[T], cut: &mut bool) -> Vec<T> {
    *cut |= list.len() > MAX_LISTED;
    list.iter().take(MAX_LISTED).cloned().collect()
}

/// How a command ended, in one word.
#[must_use]
pub fn end_word(end: End) -> &'static str {
    match end {
        End::Exited(_) => "exited",
        End::Signalled(_) => "signalled",
        End::TimedOut => "timed_out",
        End::OutOfMemory => "out_of_memory",
        End::DiskFull => "disk_full",
        End::FileTooLarge => "file_too_large",
        End::TooManyProcesses => "too_many_processes",
        End::OutputLimit => "output_limit",
        End::Cancelled => "cancelled",
    }
}

/// The start and the end of an output, the end being longer, in at most [`MAX_SNIPPET_CHARS`]
/// characters. `omitted` bytes between `head` and `tail` were not kept at all.
#[must_use]
pub fn snippet(head: &[u8], tail: &[u8], omitted: u64) -> String {
    const GAP: &str = "\n[…]\n";
    let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
    let whole = head.chars().count() + tail.chars().count();
    if omitted == 0 && whole <= MAX_SNIPPET_CHARS {
        return format!("{head}{tail}");
    }
    let room = MAX_SNIPPET_CHARS - GAP.chars().count();
    let start: String = head.chars().take(room / 4).collect();
    let end = if omitted == 0 {
        format!("{head}{tail}")
    } else {
        tail.into_owned()
    };
    let end = if end.is_empty() {
        head.into_owned()
    } else {
        end
    };
    let skip = end.chars().count().saturating_sub(room - room / 4);
    let end: String = end.chars().skip(skip).collect();
    format!("{start}{GAP}{end}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_snippet_is_never_longer_than_it_may_be(
            head in proptest::collection::vec(any::<u8>(), 0..5_000),
            tail in proptest::collection::vec(any::<u8>(), 0..5_000),
            omitted in 0_u64..3,
        ) {
            prop_assert!(snippet(&head, &tail, omitted).chars().count() <= MAX_SNIPPET_CHARS);
        }
    }

    #[test]
    fn a_snippet_has_the_start_and_more_of_the_end() {
        let output = (0..1_000)
            .map(|n| format!("line {n}\n"))
            .collect::<String>();
        let text = snippet(&output.as_bytes()[..4_000], &output.as_bytes()[4_000..], 0);
        assert!(text.starts_with("line 0\n") && text.ends_with("line 999\n"));
        let (head, tail) = text.split_once("[…]").unwrap();
        assert!(tail.len() > 2 * head.len());
    }

    #[test]
    fn a_short_output_is_shown_whole() {
        assert_eq!(snippet(b"a\n", b"b\n", 0), "a\nb\n");
    }

    #[test]
    fn a_verdict_survives_its_own_json() {
        let verdict = Verdict::without_runs(Reason::NoTestCommand, "there is no test command");
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
        assert!(json.contains(r#""status":"not_run""#) && json.contains(r#""tests_passed":null"#));
    }
}

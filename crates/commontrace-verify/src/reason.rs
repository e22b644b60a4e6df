//! Why a verdict is what it is: one code for each cause, the same in the JSON and in the manual.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::runner::End;
use crate::verdict::Status;

/// The cause of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Tests turned green and none broke.
    FailToPass,

    /// A test that passed before fails.
    Regression,
    /// A test that passed before is gone.
    TestsRemoved,
    /// A test that passed before is skipped.
    TestsSkipped,
    /// A test that the change brings or was to turn green does not pass.
    StillFailing,
    /// The tests could be built before and cannot be any more.
    BuildBroken,
    /// The tests ended in time before and do not any more.
    TimedOutAfter,

    /// No test turned green.
    NoFailToPass,
    /// Tests turned green by a change of the tests alone.
    TestsPassWithoutFix,

    /// All that turned green is flaky.
    OnlyFlaky,

    /// No test ran.
    NoTestsRan,
    /// The exit status says failure and the results show none.
    ExitDisagrees,
    /// The tool counted other tests than its output shows.
    ResultsDisagree,
    /// A report was to be written and was not.
    ReportMissing,
    /// A report is cut off or not what it should be.
    ReportInvalid,
    /// The tests cannot be built.
    BuildFailed,
    /// The tests did not end in time.
    TimedOut,
    /// The test runner was not used as it should be, or broke.
    ToolFailed,

    /// No isolation works here.
    SandboxUnavailable,
    /// The command could not be started.
    LaunchFailed,
    /// The container image is not there.
    ImageMissing,
    /// The repository could not be fetched.
    CloneFailed,
    /// The repository has no such commit.
    CommitMissing,
    /// Dependencies could not be set up.
    DependencyFailed,
    /// The change could not be applied.
    PatchFailed,
    /// The memory was used up.
    Oom,
    /// The disk space was used up.
    DiskFull,
    /// A file became larger than one may be.
    FileTooLarge,
    /// There were more processes than there may be.
    TooManyProcesses,
    /// More output was written than may be.
    OutputLimit,
    /// The tests want a network.
    NetworkNeeded,
    /// Setting up did not end in time.
    TimeoutSetup,
    /// A program that the command needs is not there.
    ToolMissing,
    /// Something outside killed the tests.
    Killed,
    /// Files could not be read or written on this side.
    Io,

    /// Somebody cancelled it.
    Cancelled,
    /// There is no test command.
    NoTestCommand,
    /// There is no repository to run tests in.
    NoRepository,
    /// There is no change.
    NoChange,
}

/// The code, as in JSON.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Reason {
    /// Which limit ended a command, or that it was cancelled; nothing if it ended otherwise. A limit of time has
    /// another reason for each kind of command.
    pub(crate) fn of_limit(end: End) -> Option<Self> {
        match end {
            End::OutOfMemory => Some(Self::Oom),
            End::DiskFull => Some(Self::DiskFull),
            // 153 is what a shell makes of the signal that the kernel sends for too large a file.
            End::FileTooLarge | End::Exited(153) => Some(Self::FileTooLarge),
            End::TooManyProcesses => Some(Self::TooManyProcesses),
            End::OutputLimit => Some(Self::OutputLimit),
            End::Cancelled => Some(Self::Cancelled),
            End::Exited(_) | End::Signalled(_) | End::TimedOut => None,
        }
    }

    /// What happened in a run that ended with this reason, and what to do about it; the code itself for
    /// reasons that are not a run's.
    pub(crate) fn of_run(self) -> String {
        let (what, remedy) = match self {
            Self::NoTestsRan => (
                "there is no proof that a test ran",
                "see whether the test command finds any",
            ),
            Self::ExitDisagrees => (
                "the test command failed, and no failed test was found in its results",
                "see the end of its output; if it does more than run tests, let it only do that, or write a report",
            ),
            Self::ResultsDisagree => (
                "the test runner counted other tests than its output shows",
                "let the test command write a report",
            ),
            Self::ReportMissing => (
                "the report that the test command was to write is not there",
                "see the end of its output",
            ),
            Self::ReportInvalid => (
                "the report that the test command wrote is empty, cut or no report",
                "see the end of its output",
            ),
            Self::BuildFailed => ("the tests could not be built", "see the end of the output"),
            Self::ToolFailed => (
                "the test runner broke, or was called wrongly",
                "see the end of its output",
            ),
            Self::Oom => (
                "the tests used up the memory that they may have",
                "let the test command run fewer at a time",
            ),
            Self::DiskFull => (
                "the tests filled the disk space that they may have",
                "let them write less, or remove what they no longer need",
            ),
            Self::FileTooLarge => (
                "the tests wrote a larger file than they may",
                "let them write less to one file",
            ),
            Self::TooManyProcesses => (
                "the tests started more processes and threads than they may",
                "let the test command run fewer at a time",
            ),
            Self::OutputLimit => (
                "the tests wrote more output than they may",
                "let the test command be less verbose",
            ),
            Self::NetworkNeeded => (
                "the tests want a network, which they never have",
                "let the set-up fetch what they need",
            ),
            Self::ToolMissing => (
                "the test command, or a program that it starts, is not there or not executable",
                "install it on the machine that runs the tests, or correct the command",
            ),
            Self::Killed => (
                "something other than a limit of the sandbox killed the tests, most likely a machine short of memory",
                "run them again",
            ),
            Self::Cancelled => return "it was cancelled".to_owned(),
            other => return other.to_string(),
        };
        format!("{what}; {remedy}")
    }

    /// The status that goes with this reason.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::FailToPass => Status::Verified,
            Self::Regression
            | Self::TestsRemoved
            | Self::TestsSkipped
            | Self::StillFailing
            | Self::BuildBroken
            | Self::TimedOutAfter => Status::Refuted,
            Self::NoFailToPass | Self::TestsPassWithoutFix => Status::NoEvidence,
            Self::OnlyFlaky => Status::Unstable,
            Self::NoTestsRan
            | Self::ExitDisagrees
            | Self::ResultsDisagree
            | Self::ReportMissing
            | Self::ReportInvalid
            | Self::BuildFailed
            | Self::TimedOut
            | Self::ToolFailed => Status::InvalidRun,
            Self::SandboxUnavailable
            | Self::LaunchFailed
            | Self::ImageMissing
            | Self::CloneFailed
            | Self::CommitMissing
            | Self::DependencyFailed
            | Self::PatchFailed
            | Self::Oom
            | Self::DiskFull
            | Self::FileTooLarge
            | Self::TooManyProcesses
            | Self::OutputLimit
            | Self::NetworkNeeded
            | Self::TimeoutSetup
            | Self::ToolMissing
            | Self::Killed
            | Self::Io => Status::Infrastructure,
            Self::Cancelled | Self::NoTestCommand | Self::NoRepository | Self::NoChange => {
                Status::NotRun
            }
        }
    }
}

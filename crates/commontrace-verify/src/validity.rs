//! Whether a run proves anything: its exit status against the results that were read from it.
//!
//! A test can print whatever it likes, and a command can swallow its exit status. So a run counts only
//! if both say the same: success with at least one test that ran, or failure with at least one failure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reason::Reason;
use crate::report::Parsed;
use crate::runner::End;
use crate::tool::Tool;

/// Whether a run may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// Results and exit status agree.
    Valid,
    /// It was stopped at a limit of time: what it reported by then counts, and the rest is absent.
    TimedOut,
    /// The tests could not be built, so there are none: every one is absent.
    Unbuilt,
    /// It proves nothing.
    Invalid(Reason),
    /// It could not be made, for a reason that is not the tests'.
    Infrastructure(Reason),
}

impl Validity {
    /// Whether results of this run may be compared with another's.
    #[must_use]
    pub fn has_results(self) -> bool {
        matches!(self, Self::Valid | Self::TimedOut)
    }

    /// Why not, if it proves nothing.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Valid => None,
            Self::TimedOut => Some(Reason::TimedOut),
            Self::Unbuilt => Some(Reason::BuildFailed),
            Self::Invalid(reason) | Self::Infrastructure(reason) => Some(reason),
        }
    }
}

/// What is known of a run.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// How the command ended.
    pub end: End,
    /// What was read from its reports or its output.
    pub parsed: &'a Parsed,
    /// The test runners that the command starts.
    pub tools: &'a [Tool],
    /// Whether the command was given a report to write.
    pub report_expected: bool,
    /// The end of the output, to tell why a command without results failed.
    pub tail: &'a [u8],
}

/// Judges a run.
#[must_use]
pub fn judge(run: Evidence<'_>) -> Validity {
    if let Some(limit) = Reason::of_limit(run.end) {
        return Validity::Infrastructure(limit);
    }
    let code = match run.end {
        // `timeout 60 cargo test` ends with 124; 152 is a shell's for too much processor time.
        End::TimedOut | End::Exited(124 | 152) => return Validity::TimedOut,
        End::Exited(126 | 127) if run.parsed.is_empty() => {
            return Validity::Infrastructure(Reason::ToolMissing);
        }
        // Killed, and not by a limit of ours: then by somebody who was short of memory.
        End::Exited(137) | End::Signalled(9) => return Validity::Infrastructure(Reason::Killed),
        End::Exited(code) => code,
        // A crash of the runner itself counts like a failing exit status.
        _ => -1,
    };
    if code == 0 {
        succeeded(&run)
    } else {
        failed(&run, code)
    }
}

/// Exit status 0: there has to be proof that tests ran.
fn succeeded(run: &Evidence<'_>) -> Validity {
    let totals = run.parsed.totals();
    if run.parsed.build_failed {
        return Validity::Unbuilt;
    }
    if !run.parsed.complete {
        return Validity::Invalid(Reason::ReportInvalid);
    }
    if totals.executed() == 0 {
        let reason = if run.report_expected {
            Reason::ReportMissing
        } else {
            Reason::NoTestsRan
        };
        return Validity::Invalid(reason);
    }
    if run.parsed.disagrees {
        return Validity::Invalid(Reason::ResultsDisagree);
    }
    Validity::Valid
}

/// Another exit status: there has to be a failure that explains it.
fn failed(run: &Evidence<'_>, code: i32) -> Validity {
    let totals = run.parsed.totals();
    let tool = match run.tools {
        [tool] => *tool,
        _ => Tool::Other,
    };
    let failures = totals.not_passed() + run.parsed.failures_outside_tests;
    match (tool, code) {
        (Tool::Pytest, 5) | (Tool::Nextest, 4) => return Validity::Invalid(Reason::NoTestsRan),
        (Tool::Pytest, 3 | 4) => return nothing_ran(run, Reason::ToolFailed),
        // Interrupted: a file could not be loaded, and then pytest runs none of the others.
        (Tool::Pytest, 2) if totals.errors > 0 && totals.passed + totals.failed == 0 => {
            return Validity::Unbuilt;
        }
        (Tool::Pytest, 6) => return Validity::Invalid(Reason::ExitDisagrees),
        (Tool::Nextest, 101) => return Validity::Unbuilt,
        _ => {}
    }
    if totals.executed() == 0 {
        if run.parsed.build_failed {
            return Validity::Unbuilt;
        }
        return nothing_ran(run, Reason::ExitDisagrees);
    }
    if failures == 0 && !run.parsed.build_failed {
        return Validity::Invalid(Reason::ExitDisagrees);
    }
    if !run.parsed.complete {
        return Validity::Invalid(Reason::ReportInvalid);
    }
    if run.parsed.disagrees {
        return Validity::Invalid(Reason::ResultsDisagree);
    }
    Validity::Valid
}

/// A command that failed before any test ran: for want of a network, or as `otherwise`.
fn nothing_ran(run: &Evidence<'_>, otherwise: Reason) -> Validity {
    const WANTS_NETWORK: [&[u8]; 7] = [
        b"Temporary failure in name resolution",
        b"Could not resolve host",
        b"failed to lookup address information",
        b"Network is unreachable",
        b"EAI_AGAIN",
        b"ENETUNREACH",
        b"dial tcp: lookup",
    ];
    let has = |needle: &[u8]| {
        run.tail
            .windows(needle.len())
            .any(|window| window == needle)
    };
    if WANTS_NETWORK.iter().any(|needle| has(needle)) {
        return Validity::Infrastructure(Reason::NetworkNeeded);
    }
    if !run.parsed.complete {
        return Validity::Invalid(Reason::ReportInvalid);
    }
    Validity::Invalid(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::report::{Collector, Source};

    fn parsed(outcomes: &[Outcome]) -> Parsed {
        let mut collector = Collector::default();
        for (n, outcome) in outcomes.iter().enumerate() {
            collector.add(&n.to_string(), *outcome, None);
        }
        collector.into_report(Source::JunitXml)
    }

    fn check(end: End, tool: Tool, parsed: &Parsed) -> Validity {
        judge(Evidence {
            end,
            parsed,
            tools: &[tool],
            report_expected: false,
            tail: b"",
        })
    }

    #[test]
    fn exit_status_and_results_have_to_agree() {
        use End::Exited;
        use Outcome::{Error, Fail, Pass, Skip};
        use Reason::{ExitDisagrees, NoTestsRan, ToolFailed};
        use Validity::{Invalid, Unbuilt, Valid};
        for (code, tool, outcomes, expected) in [
            (0, Tool::Other, vec![Pass], Valid),
            (0, Tool::Other, vec![], Invalid(NoTestsRan)),
            (0, Tool::Other, vec![Skip], Invalid(NoTestsRan)),
            (1, Tool::Other, vec![Pass], Invalid(ExitDisagrees)),
            (1, Tool::Other, vec![Pass, Fail], Valid),
            // A command that swallows the status of a failing test: the results tell.
            (0, Tool::Other, vec![Pass, Fail], Valid),
            (101, Tool::Cargo, vec![Pass, Fail], Valid),
            (100, Tool::Nextest, vec![Fail], Valid),
            (4, Tool::Nextest, vec![], Invalid(NoTestsRan)),
            (101, Tool::Nextest, vec![], Unbuilt),
            (5, Tool::Pytest, vec![], Invalid(NoTestsRan)),
            (2, Tool::Pytest, vec![Error], Unbuilt),
            (2, Tool::Pytest, vec![Error, Fail], Valid),
            (3, Tool::Pytest, vec![Pass], Invalid(ToolFailed)),
            (4, Tool::Pytest, vec![], Invalid(ToolFailed)),
            (6, Tool::Pytest, vec![Pass], Invalid(ExitDisagrees)),
        ] {
            let validity = check(Exited(code), tool, &parsed(&outcomes));
            assert_eq!(
                validity, expected,
                "{tool:?} exited with {code}: {outcomes:?}"
            );
        }
    }

    #[test]
    fn what_is_not_the_tests_fault_is_infrastructure() {
        let nothing = Parsed::nothing();
        for (end, reason) in [
            (End::OutOfMemory, Reason::Oom),
            (End::DiskFull, Reason::DiskFull),
            (End::FileTooLarge, Reason::FileTooLarge),
            (End::Exited(153), Reason::FileTooLarge),
            (End::TooManyProcesses, Reason::TooManyProcesses),
            (End::OutputLimit, Reason::OutputLimit),
            (End::Exited(127), Reason::ToolMissing),
            (End::Exited(126), Reason::ToolMissing),
            (End::Exited(137), Reason::Killed),
            (End::Signalled(9), Reason::Killed),
        ] {
            assert_eq!(
                check(end, Tool::Other, &nothing),
                Validity::Infrastructure(reason)
            );
        }
    }

    #[test]
    fn a_timeout_keeps_what_was_reported() {
        let parsed = parsed(&[Outcome::Pass]);
        assert!(check(End::TimedOut, Tool::Cargo, &parsed).has_results());
        assert!(check(End::Exited(124), Tool::Other, &parsed).has_results());
    }

    #[test]
    fn a_run_without_results_that_asked_for_a_name_wanted_a_network() {
        let run = Evidence {
            end: End::Exited(1),
            parsed: &Parsed::nothing(),
            tools: &[],
            report_expected: false,
            tail: b"error: Could not resolve host: example.org",
        };
        assert_eq!(judge(run), Validity::Infrastructure(Reason::NetworkNeeded));
    }

    #[test]
    fn a_report_that_was_to_be_written_and_was_not_proves_nothing() {
        let run = Evidence {
            end: End::Exited(0),
            parsed: &Parsed::nothing(),
            tools: &[Tool::Pytest],
            report_expected: true,
            tail: b"",
        };
        assert_eq!(judge(run), Validity::Invalid(Reason::ReportMissing));
    }

    #[test]
    fn a_cut_report_of_a_run_that_ended_proves_nothing() {
        let mut cut = parsed(&[Outcome::Pass]);
        cut.complete = false;
        assert_eq!(
            check(End::Exited(0), Tool::Pytest, &cut),
            Validity::Invalid(Reason::ReportInvalid)
        );
    }
}

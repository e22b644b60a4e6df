//! Carries a verification out, from the request to the verdict.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::decide::{Decision, Material, decide};
use crate::execute::{Executor, Ran, Stop};
use crate::git::{Edit, Protocol, Repository, Source};
use crate::logs::Logs;
use crate::progress::Progress;
use crate::reason::Reason;
use crate::report::Confidence;
use crate::runner::{End, Limits, Runner};
use crate::sets::{Class, Sets, TurnedGreen, control};
use crate::setup::Setup;
use crate::trees::{Trees, trees};
use crate::validity::Validity;
use crate::verdict::{Basis, Counts, Flag, Lists, MAX_CHANGED, MAX_LISTED, Side, Verdict};
use crate::workplace::Workplace;

/// The change that is to be verified.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A commit; what lies between it and the base.
    Commit(String),
    /// A patch to the base.
    Patch(Vec<u8>),
    /// Edits to the base, in their order.
    Edits(Vec<Edit>),
}

/// Where the tests come from that the change is measured by.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tests {
    /// The change itself: its author's own.
    #[default]
    OfChange,
    /// A commit by somebody else: its tests replace those of the change.
    Commit(String),
    /// Files by somebody else, as path and content; `None` removes one. They replace those of the change.
    Files(Vec<(String, Option<String>)>),
}

/// What is to be verified, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// A URL or an absolute path.
    pub repository: String,
    /// The commit before the change.
    pub base: String,
    /// The change.
    pub change: Change,
    /// The commit that the change should amount to, to say where it does not.
    pub fix: Option<String>,
    /// The tests to measure by.
    pub tests: Tests,
    /// Which paths are tests, if not those that custom says; see [`split`](crate::split::split).
    pub test_patterns: Option<Vec<String>>,
    /// Ids that have to turn green.
    pub expected: Vec<String>,
    /// The command that runs the tests.
    pub command: String,
    /// How dependencies are set up.
    pub setup: Setup,
    /// Whether the set-up may use the network. Tests never may.
    pub setup_network: bool,
    /// How often each state is run.
    pub runs: u32,
    /// What a run may use up.
    pub limits: Limits,
    /// What the set-up may use up.
    pub setup_limits: Limits,
    /// Whether earlier runs of the same files count.
    pub use_cache: bool,
}

impl Request {
    /// A request with the usual settings: three runs, the change's own tests, dependencies by the
    /// manifests and without a network.
    #[must_use]
    pub fn new(repository: &str, base: &str, change: Change, command: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            base: base.to_owned(),
            change,
            fix: None,
            tests: Tests::default(),
            test_patterns: None,
            expected: Vec::new(),
            command: command.to_owned(),
            setup: Setup::default(),
            setup_network: false,
            runs: 3,
            limits: Limits::default(),
            setup_limits: Limits::default(),
            use_cache: true,
        }
    }
}

/// What a verification works with.
#[derive(Clone)]
pub struct Context<'a> {
    /// Runs the commands.
    pub runner: &'a dyn Runner,
    /// A folder for caches and work. It can be removed at any time without losing anything.
    pub folder: &'a Path,
    /// How repositories may be fetched.
    pub protocols: &'a [Protocol],
    /// How long fetching may take.
    pub fetch_limit: Duration,
    /// Time since any fixed moment.
    pub clock: &'a (dyn Fn() -> Duration + Send + Sync),
    /// Is told of each step as it begins.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
    /// Keeps the outputs of runs, if they are to be kept.
    pub logs: Option<&'a dyn Logs>,
    /// Ends it early, down to the running command.
    pub cancel: CancellationToken,
}

/// A verdict with everything that it has no room for.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The verdict.
    pub verdict: Verdict,
    /// All ids of each set.
    pub sets: Sets,
    /// All tests of the base that are gone.
    pub removed: Vec<String>,
}

/// Runs the tests before and after a change and says what that proves. Whatever goes wrong is a verdict
/// too.
pub async fn verify(request: &Request, context: &Context<'_>) -> Verified {
    let began = (context.clock)();
    let mut verified = match Box::pin(attempt(request, context)).await {
        Ok(verified) => verified,
        Err(stop) => Verified {
            verdict: Verdict::without_runs(stop.reason, stop.message),
            sets: Sets::default(),
            removed: Vec::new(),
        },
    };
    let verdict = &mut verified.verdict;
    verdict.command.clone_from(&request.command);
    verdict.runs_per_side = request.runs.max(1);
    let took = (context.clock)().saturating_sub(began);
    verdict.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    verified
}

async fn attempt(request: &Request, context: &Context<'_>) -> Result<Verified, Stop> {
    let stop = |reason, message: &str| {
        Err(Stop {
            reason,
            message: message.into(),
        })
    };
    if request.command.trim().is_empty() || request.command.contains('\0') {
        return stop(
            Reason::NoTestCommand,
            "there is no command that runs the tests",
        );
    }
    if request.repository.trim().is_empty() {
        return stop(
            Reason::NoRepository,
            "there is no repository to run the tests in",
        );
    }
    (context.progress)(Progress::Fetching);
    let source = Source::new(&request.repository, context.protocols)?;
    let work = Workplace::new(context.folder).map_err(|error| Stop {
        reason: Reason::Io,
        message: format!("cannot write to `{}`: {error}", context.folder.display()),
    })?;
    let cache = context.folder.join("repositories");
    let limit = context.fetch_limit;
    let repository = Repository::open(&cache, work.path(), source, limit, &context.cancel).await?;
    Box::pin(run_all(request, context, &repository, work.path())).await
}

async fn run_all(
    request: &Request,
    context: &Context<'_>,
    repository: &Repository,
    work: &Path,
) -> Result<Verified, Stop> {
    (context.progress)(Progress::Preparing);
    let trees = Box::pin(trees(repository, request, &work.join("tree"))).await?;
    if trees.change == trees.base {
        return Err(Stop {
            reason: Reason::NoChange,
            message: "the change changes nothing".into(),
        });
    }
    let executor = Executor {
        request,
        context,
        repository,
        work,
        set_ups: Default::default(),
    };
    let mut sides: Vec<Ran> = Vec::new();
    for (side, tree) in [
        (Side::Base, Some(&trees.base)),
        (Side::BaseWithTests, trees.with_tests.as_ref()),
        (Side::Change, Some(&trees.change)),
    ] {
        let Some(tree) = tree else { continue };
        match Box::pin(executor.side(side, tree)).await {
            Ok(ran) => {
                let stopped = ran
                    .runs
                    .iter()
                    .any(|run| matches!(run.validity, Validity::Infrastructure(_)));
                sides.push(ran);
                if stopped {
                    break;
                }
            }
            // What was run before stays in the verdict.
            Err(stop) => return Ok(conclude(request, &executor, &trees, sides, Some(stop))),
        }
    }
    (context.progress)(Progress::Deciding);
    Ok(conclude(request, &executor, &trees, sides, None))
}

/// The verdict on what was run.
fn conclude(
    request: &Request,
    executor: &Executor<'_>,
    trees: &Trees,
    sides: Vec<Ran>,
    stop: Option<Stop>,
) -> Verified {
    let runs = |side| {
        sides
            .iter()
            .find(|ran| ran.summary.side == side)
            .map(|ran| ran.runs.as_slice())
    };
    let independent = !matches!(request.tests, Tests::OfChange);
    let material = Material {
        base: runs(Side::Base).unwrap_or_default(),
        with_tests: trees.with_tests.as_ref().and(runs(Side::BaseWithTests)),
        change: runs(Side::Change).unwrap_or_default(),
        independent_tests: independent,
        test_files: &trees.test_files,
        expected: &request.expected,
    };
    let decision = match stop {
        Some(stop) => {
            let mut decision = decide(material);
            decision.reason = stop.reason;
            decision.message = stop.message;
            decision
        }
        None => decide(material),
    };
    let before = match decision.basis {
        Basis::WithTests => material.with_tests.unwrap_or(material.base),
        Basis::Base | Basis::BaseUnbuilt => material.base,
    };
    let outcomes: Vec<_> = before.iter().map(|run| run.results.clone()).collect();
    let negative_control = control(&outcomes);
    let flags = flags(
        &decision,
        trees,
        &sides,
        independent,
        negative_control.is_some_and(|c| c.fail_to_pass > 0),
    );
    let change = sides.iter().find(|ran| ran.summary.side == Side::Change);
    let mut isolation: Vec<String> = sides
        .iter()
        .flat_map(|ran| ran.summary.runs.iter().map(|run| run.isolation.clone()))
        .collect();
    isolation.sort();
    isolation.dedup();
    let verdict = Verdict {
        status: decision.reason.status(),
        reason: decision.reason,
        message: decision.message,
        tests_passed: change.and_then(tests_passed),
        test_exit_code: change
            .and_then(|ran| ran.ends.last())
            .and_then(|end| end.exit_code()),
        test_output_snippet: change.and_then(|ran| ran.snippet.clone()),
        counts: Counts::of(&decision.sets, &decision.removed),
        lists: Lists::of(&decision.sets, &decision.removed),
        basis: decision.basis,
        flags: flags.into_iter().collect(),
        confidence: decision.confidence,
        negative_control,
        command: request.command.clone(),
        command_run: executor.command().command,
        setup_command: sides.iter().find_map(|ran| ran.setup_command.clone()),
        changed: Some(trees.changed.iter().take(MAX_CHANGED).cloned().collect()),
        differs_from_fix: trees
            .differs_from_fix
            .iter()
            .take(MAX_LISTED)
            .cloned()
            .collect(),
        warnings: warnings(&sides),
        sides: sides.into_iter().map(|ran| ran.summary).collect(),
        isolation,
        ..Verdict::without_runs(decision.reason, "")
    };
    Verified {
        verdict,
        sets: decision.sets,
        removed: decision.removed,
    }
}

/// Whether every run with the change succeeded; `None` if that is not known.
fn tests_passed(change: &Ran) -> Option<bool> {
    let made = change
        .runs
        .iter()
        .all(|run| !matches!(run.validity, Validity::Infrastructure(_)));
    (made && !change.runs.is_empty()).then(|| {
        change
            .runs
            .iter()
            .zip(&change.summary.runs)
            .zip(&change.ends)
            .all(|((run, summary), end)| {
                run.validity == Validity::Valid
                    && *end == End::Exited(0)
                    && summary.totals.not_passed() == 0
                    && run.failures_outside_tests == 0
            })
    })
}

fn flags(
    decision: &Decision,
    trees: &Trees,
    sides: &[Ran],
    independent: bool,
    control_failed: bool,
) -> BTreeSet<Flag> {
    let runs = || sides.iter().flat_map(|ran| &ran.summary.runs);
    let lies = |ran: &Ran| {
        ran.summary
            .runs
            .iter()
            .any(|run| run.exit_code == Some(0) && run.totals.not_passed() > 0)
    };
    let from_text = runs().any(|run| run.source.is_text());
    // Tests that were there before the change are not its author's, whoever wrote them.
    let brought = |test: &TurnedGreen| test.before == Class::Absent;
    let own_tests = trees.with_tests.is_some() || decision.sets.fail_to_pass.iter().any(brought);
    let self_tested = !independent && own_tests;
    let mut flags = decision.flags.clone();
    for (set, flag) in [
        (self_tested, Flag::SelfTested),
        (!trees.differs_from_fix.is_empty(), Flag::DiffersFromFix),
        (trees.patched_with_help, Flag::PatchedWithHelp),
        (trees.special.submodules, Flag::Submodules),
        (trees.special.lfs, Flag::Lfs),
        (control_failed, Flag::ControlFailed),
        (sides.iter().any(lies), Flag::ExitZeroWithFailures),
        (from_text, Flag::ResultsFromText),
        (decision.confidence == Confidence::Low, Flag::LowConfidence),
        (runs().any(|run| run.isolation == "none"), Flag::NotIsolated),
    ] {
        if set {
            flags.insert(flag);
        }
    }
    flags
}

fn warnings(sides: &[Ran]) -> Vec<String> {
    let mut warnings: Vec<String> = sides.iter().flat_map(|ran| ran.warnings.clone()).collect();
    warnings.sort();
    warnings.dedup();
    warnings
}

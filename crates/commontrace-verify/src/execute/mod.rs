//! The runs of one state: its tree, its dependencies, its tests.

mod set_up;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use self::set_up::SetUp;
use crate::cache::{Cache, Key, Record};
use crate::collect;
use crate::decide::SideRun;
use crate::git::{GitError, Repository, TreeId, remove_folder};
use crate::logs;
use crate::outcome::TestResult;
use crate::plan::{Instrumented, environment, instrument};
use crate::progress::Progress;
use crate::reason::Reason;
use crate::report::{Confidence, PARSER_VERSION, go_json};
use crate::runner::{End, Finished, Folders, Job, Runner, RunnerError};
use crate::sets::RunOutcomes;
use crate::setup::{self, Recipe};
use crate::tool::Tool;
use crate::validity::{Evidence, Validity, judge};
use crate::verdict::{RunSummary, Side, SideSummary, end_word, snippet};
use crate::verify::{Context, Request};

/// How much of the end of an output is looked at to tell why a command failed.
const TAIL_BYTES: usize = 8 << 10;

/// What came of one state.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) summary: SideSummary,
    pub(crate) runs: Vec<SideRun>,
    pub(crate) ends: Vec<End>,
    /// The last run's output, cut.
    pub(crate) snippet: Option<String>,
    pub(crate) setup_command: Option<String>,
    pub(crate) warnings: Vec<String>,
}

/// Something that kept tests from being run.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl From<GitError> for Stop {
    fn from(error: GitError) -> Self {
        Self {
            reason: error.reason,
            message: error.message,
        }
    }
}

impl From<RunnerError> for Stop {
    fn from(error: RunnerError) -> Self {
        Self {
            reason: error.reason,
            message: error.message,
        }
    }
}

/// Runs the tests of states, one after the other.
pub(crate) struct Executor<'a> {
    pub(crate) request: &'a Request,
    pub(crate) context: &'a Context<'a>,
    pub(crate) repository: &'a Repository,
    /// A folder for this verification alone.
    pub(crate) work: &'a Path,
    /// The tree that each kind of set-up was made in.
    pub(crate) set_ups: Mutex<BTreeMap<String, String>>,
}

impl Executor<'_> {
    /// The test command as it is run.
    pub(crate) fn command(&self) -> Instrumented {
        let inside = self
            .runner()
            .inside(&self.folders(Side::Base, PathBuf::new()));
        instrument(&self.request.command, &inside.reports)
    }

    fn runner(&self) -> &dyn Runner {
        self.context.runner
    }

    /// The tree is at the same place for every state, because paths end up in tests' ids and in what
    /// compilers make; what they make is apart.
    fn folders(&self, side: Side, dependencies: PathBuf) -> Folders {
        let scratch = match side {
            Side::Base => "scratch-a",
            Side::BaseWithTests => "scratch-b",
            Side::Change => "scratch-c",
        };
        Folders {
            tree: self.work.join("tree"),
            reports: self.work.join("reports"),
            scratch: self.work.join(scratch),
            dependencies,
        }
    }

    /// Sets up a state and runs its tests as often as asked for, or until a run could not be made.
    pub(crate) async fn side(&self, side: Side, tree: &TreeId) -> Result<Ran, Stop> {
        let SetUp {
            dependencies,
            recipe,
            key: setup,
            _place,
        } = self.set_up(side, tree).await?;
        let folders = self.folders(side, dependencies);
        let inside = self.runner().inside(&folders);
        let here = self.prepared(&recipe, &inside);
        // Where the folders happen to be makes no difference to an earlier run.
        let anywhere = anywhere();
        let recipe = setup::recipe(
            &self.request.setup,
            &folders.tree,
            &anywhere,
            self.request.setup_network,
        );
        let anywhere = self.prepared(&recipe, &anywhere);
        let identity = self.runner().identity().await;
        let tree_name = tree.to_string();
        let mut ran = Ran {
            summary: SideSummary {
                side,
                tree: tree_name.clone(),
                runs: Vec::new(),
            },
            runs: Vec::new(),
            ends: Vec::new(),
            snippet: None,
            setup_command: (!recipe.command.is_empty()).then(|| recipe.command.clone()),
            warnings: recipe.warnings,
        };
        let cache = Cache::new(self.context.folder.join("runs"));
        let of = self.request.runs.max(1);
        for run in 0..of {
            (self.context.progress)(Progress::Running {
                side,
                run: run + 1,
                of,
            });
            let key = Key {
                tree: &tree_name,
                command: &anywhere.text,
                env: &anywhere.env,
                limits: &self.request.limits,
                identity: &identity,
                setup: &setup,
                run,
                parser_version: PARSER_VERSION,
                runner_version: crate::RUNNER_VERSION,
            };
            let earlier = self.request.use_cache.then(|| cache.load(&key)).flatten();
            let (record, cached) = match earlier {
                Some(record) => (self.with_log(record).await, true),
                None => (self.run(tree, &folders, &inside, &here).await?, false),
            };
            let validity = judge(Evidence {
                end: record.end,
                parsed: &record.parsed,
                tools: &here.instrumented.tools,
                report_expected: here.instrumented.report_expected,
                tail: record.tail.as_bytes(),
            });
            let keep = matches!(
                validity,
                Validity::Valid | Validity::Unbuilt | Validity::Invalid(_)
            );
            if !cached && keep && self.request.use_cache {
                // A cache that cannot be written costs time and nothing else.
                let _ = cache.store(&key, &record);
            }
            ran.take(record, validity, cached);
            if matches!(validity, Validity::Infrastructure(_)) {
                break;
            }
        }
        let _ = cache.prune();
        let _ = setup::prune(&self.context.folder.join("dependencies"));
        Ok(ran)
    }

    /// The test command and its variables for folders at these places.
    fn prepared(&self, recipe: &Recipe, inside: &Folders) -> Command {
        let instrumented = instrument(&self.request.command, &inside.reports);
        let mut env = environment(inside);
        env.extend(recipe.env.iter().cloned());
        Command {
            text: format!("{}{}", recipe.prelude, instrumented.command),
            env,
            instrumented,
        }
    }

    /// One run in a pristine tree.
    async fn run(
        &self,
        tree: &TreeId,
        folders: &Folders,
        inside: &Folders,
        command: &Command,
    ) -> Result<Record, Stop> {
        self.repository.export(tree, &folders.tree).await?;
        let (dependencies, at) = (folders.dependencies.clone(), folders.tree.clone());
        blocking(move || {
            setup::put_added(&dependencies, &at)
                .map_err(|error| io("copy dependencies to", &at, &error))
        })
        .await?;
        fresh(&folders.reports)?;
        std::fs::create_dir_all(&folders.scratch).map_err(|e| io("make", &folders.scratch, &e))?;
        let log = self.work.join("test.log");
        let job = Job {
            command: &command.text,
            folders,
            env: &command.env,
            setup: false,
            network: false,
            limits: &self.request.limits,
            log: &log,
        };
        let finished = self.runner().run(&job, &self.context.cancel).await?;
        let (reports, root, end) = (folders.reports.clone(), inside.tree.clone(), finished.end);
        let instrumented = command.instrumented.clone();
        let read = blocking(move || {
            let output = std::fs::read(&log).map_err(|error| io("read", &log, &error))?;
            let found = collect::reports(&reports);
            let mut parsed = collect::results(&found.files, &output, end, &instrumented);
            if !found.refused.is_empty() {
                parsed.complete = false;
                parsed.confidence = parsed.confidence.min(Confidence::Low);
                parsed.warnings.extend(found.refused.into_iter().take(5));
            }
            collect::relative(&mut parsed, &root);
            Ok((parsed, output))
        })
        .await?;
        let (parsed, output) = read;
        let log = match self.context.logs {
            Some(logs) => logs.keep(logs::whole(output, &finished)).await,
            None => None,
        };
        let end_of_output = if finished.tail.is_empty() {
            &finished.head
        } else {
            &finished.tail
        };
        let from = end_of_output.len().saturating_sub(TAIL_BYTES);
        Ok(Record {
            end: finished.end,
            parsed,
            snippet: shown(&finished, &command.instrumented.tools),
            tail: String::from_utf8_lossy(&end_of_output[from..]).into_owned(),
            isolation: finished.isolation,
            duration_ms: u64::try_from(finished.duration.as_millis()).unwrap_or(u64::MAX),
            log,
        })
    }

    /// An earlier run, with its output only if that is still there.
    async fn with_log(&self, mut record: Record) -> Record {
        let there = match (&record.log, self.context.logs) {
            (Some(log), Some(logs)) => logs.has(log).await,
            _ => false,
        };
        if !there {
            record.log = None;
        }
        record
    }
}

/// A command as it is run.
struct Command {
    text: String,
    env: BTreeMap<String, String>,
    instrumented: Instrumented,
}

/// Folders at places that are nowhere: what stays the same wherever they are.
fn anywhere() -> Folders {
    Folders {
        tree: "/tree".into(),
        reports: "/reports".into(),
        scratch: "/scratch".into(),
        dependencies: "/dependencies".into(),
    }
}

/// Work on files or on large texts, which would hold up whatever else this thread has to do.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Stop> + Send + 'static,
) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(Stop {
                reason: Reason::Io,
                message: format!("reading the results failed: {error}"),
            })
        })
}

/// The output as a person would have seen it, cut.
fn shown(finished: &Finished, tools: &[Tool]) -> String {
    if tools == [Tool::Go] {
        let (head, tail) = (
            go_json::output(&finished.head),
            go_json::output(&finished.tail),
        );
        return snippet(&head, &tail, finished.omitted);
    }
    snippet(&finished.head, &finished.tail, finished.omitted)
}

/// An empty folder.
fn fresh(folder: &Path) -> Result<(), Stop> {
    remove_folder(folder)
        .and_then(|()| std::fs::create_dir_all(folder))
        .map_err(|error| io("make", folder, &error))
}

fn io(what: &str, path: &Path, error: &std::io::Error) -> Stop {
    GitError::io(what, path, error).into()
}

impl Ran {
    fn take(&mut self, record: Record, validity: Validity, cached: bool) {
        let totals = record.parsed.totals();
        let outcomes = if validity.has_results() {
            record
                .parsed
                .results
                .iter()
                .map(|TestResult { id, outcome, .. }| (id.clone(), *outcome))
                .collect()
        } else {
            BTreeMap::new()
        };
        self.runs.push(SideRun {
            validity,
            results: RunOutcomes {
                outcomes,
                flaky: record.parsed.flaky.iter().cloned().collect::<BTreeSet<_>>(),
                whole: validity == Validity::Valid,
            },
            executed: totals.executed(),
            failures_outside_tests: record.parsed.failures_outside_tests,
            confidence: record.parsed.confidence,
        });
        self.ends.push(record.end);
        self.snippet = Some(record.snippet);
        self.summary.runs.push(RunSummary {
            end: end_word(record.end).to_owned(),
            exit_code: record.end.exit_code(),
            validity,
            totals,
            source: record.parsed.source,
            confidence: record.parsed.confidence,
            isolation: record.isolation,
            duration_ms: record.duration_ms,
            cached,
            warnings: record.parsed.warnings,
            log: record.log,
        });
    }
}

//! Chooses a backend and turns what came of a run into its outcome.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use tokio_util::sync::CancellationToken;

use crate::cgroup::Cgroup;
use crate::launch::ARGUMENT;
use crate::layout::{self, Paths};
use crate::outcome::{Backend, By, Enforcement, Isolation, Outcome};
use crate::output::Collector;
use crate::plan::{Failure, Plan, Rlimits, Stage, Watch};
use crate::spec::{Launcher, Spec, TreeMode, Wanted};
use crate::supervise::{Run, Trouble, supervise};
use crate::{Error, bubblewrap};

/// Runs the command of `spec` and waits until nothing of it is left.
///
/// Standard output and standard error come as one stream, in the order in which they were written:
/// its head and tail are in the outcome, all of it up to [`crate::Limits::log`] in the file `log`, which is
/// made anew. Cancelling ends the command at once and is an outcome, [`crate::End::Cancelled`].
///
/// # Errors
/// If the command could not be started; nothing of it has run then.
pub async fn run(
    spec: &Spec,
    launcher: &Launcher,
    log: &Path,
    cancel: &CancellationToken,
) -> Result<Outcome, Error> {
    let job = Job {
        spec,
        paths: Paths::of(spec)?,
        launcher,
        log,
        cancel,
    };
    match &spec.isolation {
        Wanted::Embedded => job.run(Backend::Embedded).await,
        Wanted::Bubblewrap => job.run(Backend::Bubblewrap).await,
        Wanted::None => job.run(Backend::None).await,
        Wanted::Auto => match job.run(Backend::Embedded).await {
            Err(Error::Unavailable { reason, hint }) => {
                job.run(Backend::Bubblewrap)
                    .await
                    .map_err(|other| Error::Unavailable {
                        reason: format!("{reason}, and with bubblewrap: {other}"),
                        hint,
                    })
            }
            done => done,
        },
        Wanted::Docker { image } => crate::engine::run(&job, Backend::Docker, image).await,
        Wanted::Podman { image } => crate::engine::run(&job, Backend::Podman, image).await,
    }
}

/// The kernel does not use numbers below 300 twice; two processes are the sandbox's own.
const RESERVED_PIDS: u64 = 303;

/// A spec with all that is needed for running it.
pub(crate) struct Job<'a> {
    pub spec: &'a Spec,
    pub paths: Paths,
    pub launcher: &'a Launcher,
    pub log: &'a Path,
    pub cancel: &'a CancellationToken,
}

impl Job<'_> {
    /// Runs the command by means of the launcher.
    async fn run(&self, backend: Backend) -> Result<Outcome, Error> {
        let limits = &self.spec.limits;
        if backend == Backend::None {
            self.refuse_overlay(backend)?;
        }
        let cgroup = Cgroup::create(limits);
        let enforcement = enforcement(cgroup.as_ref(), backend, self.spec.tree_mode);
        // Watching alone loses the race against a fork bomb.
        let watched = enforcement.processes == By::Watching;
        let pid_max = watched.then(|| limits.processes.saturating_add(RESERVED_PIDS));
        if watched && (backend == Backend::Bubblewrap || !numbers_processes_by_namespace()) {
            return Err(Error::Unavailable {
                reason: "nothing limits the number of root's processes here".into(),
                hint:
                    "let root make control groups (a writable `/sys/fs/cgroup` with the controller \
                       `pids`), use Linux 6.14 or later, or run as an ordinary user"
                        .into(),
            });
        }
        let plan = |stage| self.plan(stage, &enforcement, backend);
        let plan = match backend {
            Backend::Bubblewrap => {
                let copy = bubblewrap::copied(self.spec.tree_mode);
                plan(bubblewrap::stage(self, plan(Stage::Entered { copy }))?)
            }
            Backend::None => plan(Stage::Open),
            _ => plan(Stage::Enter {
                network: self.spec.network,
                steps: layout::steps(self.spec, &self.paths, pid_max),
            }),
        };
        let mut launcher = Command::new(&self.launcher.program);
        launcher.arg(ARGUMENT);
        let collector = Collector::new(self.log, limits)?;
        let done = supervise(
            launcher,
            &plan,
            limits,
            cgroup.as_ref(),
            collector,
            self.cancel,
        )
        .await;
        if let Some(cgroup) = cgroup {
            cgroup.remove().await;
        }
        let Run {
            end,
            output,
            usage,
            layers,
        } = done.map_err(|trouble| self.describe(trouble, backend))?;
        let network = self.spec.network || backend == Backend::None;
        Ok(Outcome {
            end,
            output,
            usage,
            isolation: Isolation {
                backend,
                layers,
                network,
                enforcement,
            },
        })
    }

    /// What cannot be done without a mount namespace.
    pub fn refuse_overlay(&self, backend: Backend) -> Result<(), Error> {
        match self.spec.tree_mode {
            TreeMode::Overlay { .. } | TreeMode::ReadOnly => Err(Error::Unsupported {
                backend,
                what: "protect the tree; give it a copy of the tree to read and write".into(),
            }),
            TreeMode::ReadWrite => Ok(()),
        }
    }

    fn plan(&self, stage: Stage, enforcement: &Enforcement, backend: Backend) -> Plan {
        let limits = &self.spec.limits;
        let watched = |by, limit| (by == By::Watching).then_some(limit);
        let contained = backend != Backend::None;
        let working_dir = match backend {
            Backend::None => self.paths.tree.join(&self.spec.working_dir),
            _ => self.paths.working_dir.clone(),
        };
        Plan {
            stage,
            command: self.spec.command.clone(),
            working_dir: working_dir.into(),
            env: self.spec.environment(),
            rlimits: Rlimits {
                // One process that asks for far too much is refused; all together are watched.
                data: watched(enforcement.memory, limits.memory.saturating_mul(2)),
                processes: (enforcement.processes == By::Rlimit)
                    .then(|| limits.processes.saturating_add(2)),
                open_files: limits.open_files,
                file_size: limits.file_size,
                cpu: limits.cpu.as_secs().saturating_add(2),
            },
            watch: Watch {
                memory: watched(enforcement.memory, limits.memory),
                cpu: (enforcement.cpu == By::Watching).then_some(limits.cpu),
                processes: watched(enforcement.processes, limits.processes),
                disks: if contained {
                    layout::disks(self.spec)
                } else {
                    Vec::new()
                },
            },
            writable: layout::writable(self.spec, &self.paths),
        }
    }

    fn describe(&self, trouble: Trouble, backend: Backend) -> Error {
        match trouble {
            Trouble::Error(err) => err,
            Trouble::Failed(Failure::Unavailable { reason, hint }) => {
                Error::Unavailable { reason, hint }
            }
            Trouble::Failed(Failure::Launch { what, reason }) => Error::Launch { what, reason },
            Trouble::Failed(Failure::NotRunnable { reason, missing }) => Error::NotRunnable {
                program: self.spec.command.first().map(text).unwrap_or_default(),
                reason,
                missing,
            },
            Trouble::Silent(status, output) => {
                let output = output.text();
                let reason = match output.trim() {
                    "" => format!("its launcher ended with {status}"),
                    said => format!("its launcher ended with {status}: {said}"),
                };
                match backend {
                    Backend::Bubblewrap => Error::Unavailable {
                        reason,
                        hint: "see whether `bwrap --unshare-all --ro-bind / / true` works".into(),
                    },
                    _ => Error::Launch {
                        what: "running the sandbox".into(),
                        reason,
                    },
                }
            }
        }
    }
}

/// Whether the largest number of a process belongs to its namespace. In earlier kernels it belongs to
/// the machine, and root would change it there.
fn numbers_processes_by_namespace() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut parts = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (parts.next(), parts.next()) >= (Some(6), Some(14))
}

fn text(part: &OsString) -> String {
    part.to_string_lossy().into_owned()
}

fn enforcement(cgroup: Option<&Cgroup>, backend: Backend, tree: TreeMode) -> Enforcement {
    let has = |what: fn(&Cgroup) -> bool| cgroup.is_some_and(what);
    let contained = backend != Backend::None;
    // Without a process namespace it is not known whose processes they are.
    let otherwise = if contained { By::Watching } else { By::Nothing };
    let by_group = |held| if held { By::Cgroup } else { otherwise };
    Enforcement {
        memory: by_group(has(Cgroup::limits_memory)),
        processes: match has(Cgroup::limits_processes) {
            true => By::Cgroup,
            // The kernel does not count those of root, and without a user namespace counts all of the
            // user's.
            false if !contained || rustix::process::geteuid().is_root() => otherwise,
            false => By::Rlimit,
        },
        cpu: match has(Cgroup::counts_cpu) {
            true => By::Cgroup,
            false if contained => By::Watching,
            false => By::Rlimit,
        },
        disk: match tree {
            TreeMode::Overlay { .. } | TreeMode::ReadOnly if contained => By::Filesystem,
            TreeMode::ReadWrite if contained => By::Rlimit,
            _ => By::Nothing,
        },
    }
}

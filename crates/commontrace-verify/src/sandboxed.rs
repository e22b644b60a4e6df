//! Runs commands in the sandbox of `commontrace-sandbox`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use commontrace_sandbox::{
    Bind, Error, Launcher, Limits as SandboxLimits, Outcome, Spec, TREE, Toolchains, TreeMode,
    Wanted,
};
use tokio_util::sync::CancellationToken;

use crate::reason::Reason;
use crate::runner::{End, Finished, Folders, Job, Limits, Runner, RunnerError};

/// Runs every command in a sandbox of its own.
#[derive(Debug, Clone)]
pub struct SandboxRunner {
    launcher: Launcher,
    isolation: Wanted,
    toolchains: Toolchains,
}

impl SandboxRunner {
    /// A runner with this isolation. The toolchains are shown besides the system's programs.
    #[must_use]
    pub fn new(launcher: Launcher, isolation: Wanted, toolchains: Toolchains) -> Self {
        Self {
            launcher,
            isolation,
            toolchains,
        }
    }

    fn spec(&self, job: &Job<'_>) -> Spec {
        let inside = self.inside(job.folders);
        let command = ["sh", "-c", job.command];
        let mut spec = Spec::new(command, job.folders.tree.clone());
        let at = |host: &Path, inside: PathBuf, writable| Bind {
            host: host.to_owned(),
            inside,
            writable,
        };
        // What a set-up adds to the tree is kept; what tests write there is forgotten.
        spec.tree_mode = if job.setup || !self.has_overlay() {
            TreeMode::ReadWrite
        } else {
            TreeMode::Overlay {
                size: job.limits.disk,
            }
        };
        if self.isolation != Wanted::None {
            spec.binds.clone_from(&self.toolchains.binds);
            spec.binds.extend([
                at(&job.folders.reports, inside.reports, true),
                at(&job.folders.scratch, inside.scratch, true),
                at(&job.folders.dependencies, inside.dependencies, job.setup),
            ]);
        }
        spec.env.clone_from(&self.toolchains.env);
        spec.env.extend(
            job.env
                .iter()
                .map(|(name, value)| (name.into(), OsString::from(value))),
        );
        spec.network = job.setup && job.network;
        spec.limits = limits(job.limits);
        spec.isolation = self.isolation.clone();
        spec
    }

    /// Where an overlay is refused, a tree that is made anew for every run does the same.
    fn has_overlay(&self) -> bool {
        matches!(self.isolation, Wanted::Auto | Wanted::Embedded)
    }
}

#[async_trait]
impl Runner for SandboxRunner {
    /// The isolation, and which programs there are: the places of toolchains and when packages were
    /// last added to them.
    fn identity(&self) -> String {
        let system = ["/usr/bin", "/usr/lib", "/usr/local/bin"].map(PathBuf::from);
        let shown = self.toolchains.binds.iter().map(|bind| bind.host.clone());
        let programs: Vec<String> = system
            .into_iter()
            .chain(shown)
            .map(|folder| {
                let changed = folder
                    .metadata()
                    .and_then(|metadata| metadata.modified())
                    .ok();
                let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                format!(
                    "{}@{}",
                    folder.display(),
                    changed.unwrap_or_default().as_secs()
                )
            })
            .collect();
        format!(
            "{:?} {} {:?}",
            self.isolation,
            programs.join(" "),
            self.toolchains.env
        )
    }

    fn inside(&self, folders: &Folders) -> Folders {
        if self.isolation == Wanted::None {
            return folders.clone();
        }
        Folders {
            tree: TREE.into(),
            reports: "/reports".into(),
            scratch: "/scratch".into(),
            dependencies: "/dependencies".into(),
        }
    }

    async fn run(
        &self,
        job: &Job<'_>,
        cancel: &CancellationToken,
    ) -> Result<Finished, RunnerError> {
        let mut spec = self.spec(job);
        let mut ran = commontrace_sandbox::run(&spec, &self.launcher, job.log, cancel).await;
        if matches!(ran, Err(Error::Unsupported { .. })) && spec.tree_mode != TreeMode::ReadWrite {
            // The isolation that was chosen has no overlay after all.
            spec.tree_mode = TreeMode::ReadWrite;
            ran = commontrace_sandbox::run(&spec, &self.launcher, job.log, cancel).await;
        }
        ran.map(finished).map_err(|error| RunnerError {
            reason: match &error {
                Error::Unavailable { .. } => Reason::SandboxUnavailable,
                Error::ImageMissing { .. } => Reason::ImageMissing,
                Error::NotRunnable { missing: true, .. } => Reason::ToolMissing,
                _ => Reason::LaunchFailed,
            },
            message: error.to_string(),
        })
    }
}

fn limits(limits: &Limits) -> SandboxLimits {
    SandboxLimits {
        wall: limits.wall,
        idle: limits.idle,
        // Tests are told to use two processors.
        cpu: limits.wall.saturating_mul(2),
        memory: limits.memory,
        processes: limits.processes,
        disk: limits.disk,
        log: limits.log,
        ..SandboxLimits::default()
    }
}

fn finished(outcome: Outcome) -> Finished {
    use commontrace_sandbox::End as Ended;
    Finished {
        end: match outcome.end {
            Ended::Exited(code) => End::Exited(code),
            Ended::Signalled(signal) => End::Signalled(signal),
            Ended::TimedOut(_) => End::TimedOut,
            Ended::OutOfMemory => End::OutOfMemory,
            Ended::DiskFull => End::DiskFull,
            Ended::FileTooLarge => End::FileTooLarge,
            Ended::TooManyProcesses => End::TooManyProcesses,
            Ended::OutputLimit => End::OutputLimit,
            Ended::Cancelled => End::Cancelled,
        },
        head: outcome.output.head,
        tail: outcome.output.tail,
        omitted: outcome.output.omitted,
        isolation: outcome.isolation.to_string(),
        duration: outcome.usage.wall,
    }
}

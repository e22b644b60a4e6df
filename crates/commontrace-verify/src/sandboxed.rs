//! Runs commands in the sandbox of `commontrace-sandbox`.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use commontrace_sandbox::{
    Bind, Error, Launcher, Limits as SandboxLimits, NOBODY, Outcome, Spec, TREE, Toolchains,
    TreeMode, Wanted,
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
    engine_socket: Option<PathBuf>,
}

impl SandboxRunner {
    /// A runner with this isolation. The toolchains are shown besides the system's programs; an image of
    /// Docker or Podman has its own, and is shown none.
    #[must_use]
    pub fn new(launcher: Launcher, isolation: Wanted, toolchains: Toolchains) -> Self {
        Self {
            launcher,
            isolation,
            toolchains,
            engine_socket: None,
        }
    }

    /// Asks an engine at this socket, if it is not where engines usually have it.
    #[must_use]
    pub fn with_engine_socket(mut self, socket: Option<PathBuf>) -> Self {
        self.engine_socket = socket;
        self
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
            if !self.isolation.has_engine() {
                spec.binds.clone_from(&self.toolchains.binds);
            }
            spec.binds.extend([
                at(&job.folders.reports, inside.reports, true),
                at(&job.folders.scratch, inside.scratch, true),
                at(&job.folders.dependencies, inside.dependencies, job.setup),
            ]);
        }
        if !self.isolation.has_engine() {
            spec.env.clone_from(&self.toolchains.env);
        }
        spec.engine_socket.clone_from(&self.engine_socket);
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
    /// last added to them, or the content of the image.
    async fn identity(&self) -> String {
        if self.isolation.has_engine() {
            // Without an answer nothing can be run either, and then nothing is kept.
            let socket = self.engine_socket.as_deref();
            let image = commontrace_sandbox::image_id(&self.isolation, socket).await;
            return format!("{:?} {:?}", self.isolation, image.ok().flatten());
        }
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
        if self.isolation.has_engine() {
            hand_over(job).await?;
        }
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

/// Gives what a container writes to its user, if it belongs to root: there root has no powers.
async fn hand_over(job: &Job<'_>) -> Result<(), RunnerError> {
    let folders = job.folders;
    let mut written = vec![&folders.tree, &folders.reports, &folders.scratch];
    if job.setup {
        written.push(&folders.dependencies);
    }
    let written: Vec<PathBuf> = written.into_iter().cloned().collect();
    let given = tokio::task::spawn_blocking(move || {
        written.iter().try_for_each(|folder| {
            let owner = std::fs::metadata(folder)?.uid();
            if owner == 0 { give(folder) } else { Ok(()) }
        })
    });
    let trouble = |why: String| RunnerError {
        reason: Reason::LaunchFailed,
        message: format!("cannot give the folders of a run to the user of the container: {why}"),
    };
    given
        .await
        .map_err(|error| trouble(error.to_string()))?
        .map_err(|error| trouble(error.to_string()))
}

/// Gives a file, or a folder with everything in it, to nobody. Links are not followed.
fn give(path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY))?;
    if path.symlink_metadata()?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give(&entry?.path())?;
        }
    }
    Ok(())
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

//! Lets the program `bwrap` make the namespaces and the tree of files, where it may and this program
//! may not. Its first process is the launcher, which does the rest as in the embedded backend.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::layout::{self, GID, HOST_NAME, UID};
use crate::plan::{Access, Plan, Stage, Step};
use crate::run::Job;
use crate::spec::{TREE, TreeMode};

/// Where the launcher appears inside.
pub(crate) const LAUNCHER: &str = "/.launcher";
/// Where its plan appears inside.
pub(crate) const PLAN: &str = "/.plan";
/// Where the tree appears if it is copied.
const ORIGINAL: &str = "/.tree";
/// Where the program can be; the host's environment is not asked.
const PLACES: &[&str] = &["/usr/bin", "/usr/local/bin", "/bin"];

/// Where bubblewrap is, if it is installed.
pub(crate) fn program() -> Option<PathBuf> {
    PLACES
        .iter()
        .map(|place| Path::new(place).join("bwrap"))
        .find(|path| path.is_file())
}

/// How to enter the sandbox of this job, and do there what `inner` says.
pub(crate) fn stage(job: &Job<'_>, inner: Plan) -> Result<Stage, Error> {
    let program = program().ok_or_else(|| Error::Unavailable {
        reason: "there is no program `bwrap`".into(),
        hint: "install the package `bubblewrap`".into(),
    })?;
    let launcher = std::fs::canonicalize(&job.launcher.program).map_err(|err| Error::Path {
        path: job.launcher.program.clone(),
        reason: err.to_string(),
    })?;
    let mut args = Args::default();
    args.add([
        "--unshare-all",
        "--unshare-user",
        "--as-pid-1",
        "--new-session",
    ]);
    if job.spec.network {
        args.add(["--share-net"]);
    }
    args.add([
        "--uid",
        &UID.to_string(),
        "--gid",
        &GID.to_string(),
        "--hostname",
        HOST_NAME,
    ]);
    args.add(["--cap-drop", "ALL"]);
    for step in layout::steps(job.spec, &job.paths, None) {
        args.step(step);
    }
    args.add([
        OsStr::new("--ro-bind"),
        launcher.as_os_str(),
        OsStr::new(LAUNCHER),
    ]);
    let after = ["--remount-ro", "/", "--chdir", "/", "--"]
        .map(OsString::from)
        .into();
    Ok(Stage::Wrap {
        program: program.into(),
        args: [args.args, after],
        files: args.files,
        inner: Box::new(inner),
    })
}

/// What has to be copied in there, where there is no overlay.
pub(crate) fn copied(mode: TreeMode) -> Option<[OsString; 2]> {
    matches!(mode, TreeMode::Overlay { .. }).then(|| [ORIGINAL, TREE].map(OsString::from))
}

#[derive(Default)]
struct Args {
    args: Vec<OsString>,
    files: Vec<(OsString, String)>,
}

impl Args {
    fn add(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Dir(at) => self.add([OsStr::new("--dir"), &at]),
            Step::Symlink { at, to } => self.add([OsStr::new("--symlink"), &to, &at]),
            Step::Bind {
                host, at, access, ..
            } => {
                let how = match access {
                    Access::Read => "--ro-bind",
                    Access::Write => "--bind",
                    Access::Device => "--dev-bind",
                };
                self.add([OsStr::new(how), &host, &at]);
            }
            Step::Tmpfs { at, size, mode } => {
                let (size, mode) = (size.to_string(), format!("{mode:o}"));
                self.add(["--perms", &mode, "--size", &size]);
                self.add([OsStr::new("--tmpfs"), &at]);
            }
            Step::Proc { .. } => self.add(["--proc", "/proc"]),
            Step::File { at, text } => self.files.push((at, text)),
            // There is no option for them but with a whole `/dev`.
            Step::Devpts(_) => {}
            Step::Seal(at) => self.add([OsStr::new("--remount-ro"), &at]),
            // Before version 0.11 it has none, and later one without a limit.
            Step::Overlay { host, at, size, .. } => {
                self.step(Step::Tmpfs {
                    at,
                    size,
                    mode: 0o755,
                });
                self.add([OsStr::new("--ro-bind"), &host, OsStr::new(ORIGINAL)]);
            }
        }
    }
}

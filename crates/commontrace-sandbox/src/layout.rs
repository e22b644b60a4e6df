//! Decides what the sandbox's tree of files looks like. Only this file looks at the host's files;
//! the steps are taken by the launcher.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use crate::Error;
use crate::plan::{Access, Step};
use crate::spec::{Bind, Spec, TREE, TreeMode};

/// The command's user inside of the sandbox.
pub(crate) const UID: u32 = 1000;
/// The command's group inside of the sandbox.
pub(crate) const GID: u32 = 1000;
/// The sandbox's host name.
pub(crate) const HOST_NAME: &str = "sandbox";

const PASSWD: &str = "root:x:0:0:root:/root:/usr/sbin/nologin\n\
    sandbox:x:1000:1000:sandbox:/tmp:/bin/sh\n\
    nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n";
const HOSTS: &str = "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n";

/// What a system without `/usr` merge has beside `/usr`, and one with it as links.
const SYSTEM: &[&str] = &["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs need of `/etc` that is the same everywhere: loader, certificates, names of ports.
/// Nothing here holds a secret.
const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/perl",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];

/// What of `/proc` tells about the machine or acts on it.
const MASKED: &[&str] = &[
    "/proc/kcore",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
];

const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// A spec whose paths were looked at: they are there, and hold no symbolic links on the host.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The tree on the host.
    pub tree: PathBuf,
    /// The folder to start in, inside of the sandbox.
    pub working_dir: PathBuf,
    /// The binds.
    pub binds: Vec<Bind>,
}

impl Paths {
    /// Looks at the paths of a spec.
    pub fn of(spec: &Spec) -> Result<Self, Error> {
        if spec.command.is_empty() {
            return Err(Error::Launch {
                what: "starting the command".into(),
                reason: "there is none".into(),
            });
        }
        let tree = on_host(&spec.tree)?;
        if !tree.is_dir() {
            return Err(path_error(&spec.tree, "it is no folder"));
        }
        if !spec
            .working_dir
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(path_error(
                &spec.working_dir,
                "the folder to start in has to be in the tree",
            ));
        }
        let binds = spec
            .binds
            .iter()
            .map(|bind| {
                check_inside(&bind.inside)?;
                Ok(Bind {
                    host: on_host(&bind.host)?,
                    ..bind.clone()
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            tree,
            working_dir: Path::new(TREE).join(&spec.working_dir),
            binds,
        })
    }
}

fn on_host(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_absolute() {
        return Err(path_error(path, "it is not absolute"));
    }
    fs::canonicalize(path).map_err(|err| path_error(path, &err.to_string()))
}

/// A place inside is the caller's choice, but must not follow or hide what the command controls.
fn check_inside(path: &Path) -> Result<(), Error> {
    let mut parts = path.components();
    let plain = parts.next() == Some(Component::RootDir)
        && parts.clone().next().is_some()
        && parts.all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(path_error(
            path,
            "a place inside has to be an absolute path without `..`",
        ));
    }
    let reserved = [TREE, "/proc", "/dev"];
    match reserved.iter().find(|reserved| path.starts_with(reserved)) {
        Some(reserved) => Err(path_error(
            path,
            &format!("nothing can be put below `{reserved}`"),
        )),
        None => Ok(()),
    }
}

fn path_error(path: &Path, reason: &str) -> Error {
    Error::Path {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// The steps to the tree of files of this spec, with the kernel's limit of processes if it is needed.
pub(crate) fn steps(spec: &Spec, paths: &Paths, pid_max: Option<u64>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(64);
    system(&mut steps, spec.network);
    steps.push(Step::Proc { pid_max });
    steps.extend(
        MASKED
            .iter()
            .filter(|path| Path::new(path).exists())
            .map(|path| Step::Bind {
                host: "/dev/null".into(),
                at: path.into(),
                folder: false,
                access: Access::Device,
            }),
    );
    devices(&mut steps, spec.limits.disk / 4);
    steps.push(Step::Tmpfs {
        at: "/tmp".into(),
        size: spec.limits.disk,
        mode: 0o1777,
    });
    steps.push(Step::Symlink {
        at: "/var/tmp".into(),
        to: "/tmp".into(),
    });
    steps.extend(["/home", "/run"].map(|path| Step::Dir(path.into())));
    let host = paths.tree.clone().into_os_string();
    let at = OsString::from(TREE);
    steps.push(match spec.tree_mode {
        TreeMode::Overlay { size } => Step::Overlay {
            host,
            at,
            size,
            copy: !owned_alike(&paths.tree),
        },
        TreeMode::ReadOnly => Step::Bind {
            host,
            at,
            folder: true,
            access: Access::Read,
        },
        TreeMode::ReadWrite => Step::Bind {
            host,
            at,
            folder: true,
            access: Access::Write,
        },
    });
    steps.extend(paths.binds.iter().map(|bind| Step::Bind {
        folder: bind.host.is_dir(),
        host: bind.host.clone().into(),
        at: bind.inside.clone().into(),
        access: if bind.writable {
            Access::Write
        } else {
            Access::Read
        },
    }));
    steps
}

/// Whether a folder and what is in it belongs to this user and group. What is deeper is taken to be like
/// what is above it.
fn owned_alike(folder: &Path) -> bool {
    let own = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let is_own = |found: fs::Metadata| (found.uid(), found.gid()) == own;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    fs::metadata(folder).is_ok_and(is_own)
        && entries
            .map(|entry| entry.metadata())
            .all(|found| found.is_ok_and(is_own))
}

/// Where the command may write.
pub(crate) fn writable(spec: &Spec, paths: &Paths) -> Vec<OsString> {
    let mut writable = vec!["/tmp".into(), "/dev/shm".into()];
    if spec.tree_mode != TreeMode::ReadOnly {
        writable.push(TREE.into());
    }
    let binds = paths.binds.iter().filter(|bind| bind.writable);
    writable.extend(binds.map(|bind| bind.inside.clone().into_os_string()));
    writable
}

/// The file systems of limited size.
pub(crate) fn disks(spec: &Spec) -> Vec<OsString> {
    let mut disks = vec!["/tmp".into(), "/dev/shm".into()];
    if let TreeMode::Overlay { .. } = spec.tree_mode {
        disks.push(TREE.into());
    }
    disks
}

fn system(steps: &mut Vec<Step>, network: bool) {
    steps.extend(["/usr", "/nix/store"].iter().filter_map(|path| shown(path)));
    for path in SYSTEM {
        match fs::read_link(path) {
            Ok(to) => steps.push(Step::Symlink {
                at: path.into(),
                to: to.into(),
            }),
            Err(_) => steps.extend(shown(path)),
        }
    }
    steps.extend(ETC.iter().filter_map(|path| shown(path)));
    let names = if network { "files dns" } else { "files" };
    let nsswitch = format!("passwd: files\ngroup: files\nhosts: {names}\n");
    let mut file = |at: &str, text: String| {
        steps.push(Step::File {
            at: at.into(),
            text,
        });
    };
    file("/etc/passwd", PASSWD.into());
    file("/etc/group", GROUP.into());
    file("/etc/hosts", HOSTS.into());
    file("/etc/hostname", format!("{HOST_NAME}\n"));
    file("/etc/nsswitch.conf", nsswitch);
    if network {
        file(
            "/etc/resolv.conf",
            fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        );
    }
}

/// Shows something of the system where it is on the host, if it is there.
fn shown(path: &str) -> Option<Step> {
    let host = fs::canonicalize(path).ok()?;
    let folder = host.is_dir();
    Some(Step::Bind {
        host: host.into(),
        at: path.into(),
        folder,
        access: Access::Read,
    })
}

fn devices(steps: &mut Vec<Step>, shared_memory: u64) {
    steps.push(Step::Tmpfs {
        at: "/dev".into(),
        size: 1 << 16,
        mode: 0o755,
    });
    steps.extend(
        DEVICES
            .iter()
            .filter(|path| Path::new(path).exists())
            .map(|path| Step::Bind {
                host: path.into(),
                at: path.into(),
                folder: false,
                access: Access::Device,
            }),
    );
    for (at, to) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
    ] {
        steps.push(Step::Symlink {
            at: at.into(),
            to: to.into(),
        });
    }
    steps.push(Step::Devpts("/dev/pts".into()));
    steps.push(Step::Tmpfs {
        at: "/dev/shm".into(),
        size: shared_memory,
        mode: 0o1777,
    });
    steps.push(Step::Seal("/dev".into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_put_where_the_command_or_the_kernel_decides() {
        for path in [
            "/src/out",
            "/src",
            "/proc/x",
            "/dev/x",
            "/",
            "out",
            "/a/../src",
            "",
        ] {
            assert!(check_inside(Path::new(path)).is_err(), "{path}");
        }
        assert!(check_inside(Path::new("/out")).is_ok());
        assert!(check_inside(Path::new("/srcs")).is_ok());
    }

    #[test]
    fn a_folder_to_start_in_is_in_the_tree() {
        let mut spec = Spec::new(["true"], "/".into());
        for folder in ["../x", "/etc", "a/../.."] {
            spec.working_dir = folder.into();
            assert!(
                matches!(Paths::of(&spec), Err(Error::Path { .. })),
                "{folder}"
            );
        }
        spec.working_dir = "usr".into();
        assert_eq!(Paths::of(&spec).unwrap().working_dir, Path::new("/src/usr"));
    }

    #[test]
    fn what_is_missing_or_relative_is_named() {
        let spec = Spec::new(["true"], "/there/is/no/such/folder".into());
        assert!(
            Paths::of(&spec)
                .unwrap_err()
                .to_string()
                .contains("/there/is/no/such/folder")
        );
        let spec = Spec::new(["true"], "relative".into());
        assert!(
            Paths::of(&spec)
                .unwrap_err()
                .to_string()
                .contains("not absolute")
        );
    }

    #[test]
    fn no_step_shows_a_home_or_a_secret() {
        let spec = Spec::new(["true"], "/usr".into());
        for step in steps(&spec, &Paths::of(&spec).unwrap(), None) {
            if let Step::Bind { host, .. } = step {
                let host = host.to_string_lossy().into_owned();
                let allowed = [
                    "/usr",
                    "/etc/",
                    "/dev/",
                    "/nix/store",
                    "/bin",
                    "/sbin",
                    "/lib",
                ];
                assert!(
                    allowed.iter().any(|start| host.starts_with(start)),
                    "{host}"
                );
                assert!(
                    !host.contains("shadow") && !host.contains("private"),
                    "{host}"
                );
            }
        }
    }
}

//! Makes the sandbox's tree of files and leaves the host's behind.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::{copy, sys};
use crate::plan::{Access, Failure, Step};

/// Where the sandbox's root is mounted while the host's is still there.
const BASE: &str = "/tmp";
/// Where the host's root is until it is let go.
const HOST: &str = "/.host";

/// The largest number of a process in this namespace; in kernels that have it so.
const PID_MAX: &str = "/proc/sys/kernel/pid_max";

/// Takes the steps on an empty root, which is read-only in the end.
pub(super) fn make(steps: &[Step]) -> Result<(), Failure> {
    begin().map_err(|err| Failure::Unavailable {
        reason: format!("making a root of its own failed: {err}"),
        hint: "use bubblewrap, Docker or Podman".into(),
    })?;
    for step in steps {
        take(step).map_err(|err| describe(step, &err))?;
    }
    end().map_err(|err| Failure::step("leaving the host's files behind", err))
}

fn begin() -> io::Result<()> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )?;
    tmpfs(BASE.as_ref(), 1 << 20, 0o755)?;
    let old = Path::new(BASE).join(HOST.trim_start_matches('/'));
    fs::create_dir(&old)?;
    rustix::process::pivot_root(BASE, &old)?;
    rustix::process::chdir("/")?;
    Ok(())
}

fn end() -> io::Result<()> {
    rustix::mount::unmount(HOST, UnmountFlags::DETACH)?;
    fs::remove_dir(HOST)?;
    sys::add_mount_attributes("/".as_ref(), libc::MOUNT_ATTR_RDONLY, false)
}

fn take(step: &Step) -> io::Result<()> {
    match step {
        Step::Dir(at) => fs::create_dir_all(at),
        Step::Symlink { at, to } => {
            make_parent(at.as_ref())?;
            symlink(to, at)
        }
        Step::File { at, text } => {
            make_parent(at.as_ref())?;
            fs::write(at, text)
        }
        Step::Bind {
            host,
            at,
            folder,
            access,
        } => bind(host, at.as_ref(), *folder, *access),
        Step::Tmpfs { at, size, mode } => {
            fs::create_dir_all(at)?;
            tmpfs(at.as_ref(), *size, *mode)
        }
        Step::Proc { pid_max } => {
            fs::create_dir_all("/proc")?;
            rustix::mount::mount("proc", "/proc", "proc", harmless(), None)?;
            if let Some(most) = pid_max {
                fs::write(PID_MAX, most.to_string())?;
            }
            sys::add_mount_attributes("/proc".as_ref(), libc::MOUNT_ATTR_RDONLY, false)
        }
        Step::Devpts(at) => {
            fs::create_dir_all(at)?;
            let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
            let options = c"newinstance,ptmxmode=0666,mode=620";
            rustix::mount::mount("devpts", Path::new(at), "devpts", flags, Some(options))?;
            Ok(())
        }
        Step::Overlay {
            host,
            at,
            size,
            copy: false,
        } => overlay(host, at.as_ref(), *size),
        Step::Overlay {
            host,
            at,
            size,
            copy: true,
        } => copied(host, at.as_ref(), *size),
        Step::Seal(at) => sys::add_mount_attributes(at.as_ref(), libc::MOUNT_ATTR_RDONLY, false),
    }
}

fn bind(host: &OsStr, at: &Path, folder: bool, access: Access) -> io::Result<()> {
    if folder {
        fs::create_dir_all(at)?;
    } else if !at.exists() {
        make_parent(at)?;
        fs::write(at, "")?;
    }
    rustix::mount::mount_bind_recursive(on_host(host).as_path(), at)?;
    let attributes = match access {
        Access::Read => libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        Access::Write => libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        Access::Device => libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC,
    };
    sys::add_mount_attributes(at, attributes, true)
}

/// The written files live on a file system of limited size; both are out of sight once the overlay
/// holds them.
fn overlay(host: &OsStr, at: &Path, size: u64) -> io::Result<()> {
    let (lower, upper) = (Path::new("/.lower"), Path::new("/.upper"));
    bind(host, lower, true, Access::Read)?;
    fs::create_dir_all(upper)?;
    tmpfs(upper, size, 0o755)?;
    let changed = upper.join("changed");
    fs::create_dir(&changed)?;
    fs::create_dir(upper.join("work"))?;
    fs::set_permissions(&changed, fs::metadata(lower)?.permissions())?;
    fs::create_dir_all(at)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options = c"lowerdir=/.lower,upperdir=/.upper/changed,workdir=/.upper/work,userxattr";
    rustix::mount::mount("overlay", at, "overlay", flags, Some(options))?;
    for folder in [lower, upper] {
        rustix::mount::unmount(folder, UnmountFlags::DETACH)?;
        fs::remove_dir(folder)?;
    }
    Ok(())
}

/// The copy is the caller's, whosever the original is, as far as it can be read.
fn copied(host: &OsStr, at: &Path, size: u64) -> io::Result<()> {
    let lower = Path::new("/.lower");
    bind(host, lower, true, Access::Read)?;
    fs::create_dir_all(at)?;
    tmpfs(at, size, 0o755)?;
    copy::all(lower.as_os_str(), at.as_os_str())?;
    rustix::mount::unmount(lower, UnmountFlags::DETACH)?;
    fs::remove_dir(lower)
}

fn tmpfs(at: &Path, size: u64, mode: u32) -> io::Result<()> {
    // A file needs memory of the kernel even if it is empty.
    let inodes = (size / 4096).max(4096);
    let options = format!("size={size},nr_inodes={inodes},mode={mode:o}\0");
    let options =
        std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).expect("numbers hold no zero byte");
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", at, "tmpfs", flags, Some(options))?;
    Ok(())
}

fn harmless() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

fn on_host(path: &OsStr) -> PathBuf {
    let mut all = std::ffi::OsString::from(HOST);
    all.push(path);
    all.into()
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn describe(step: &Step, err: &io::Error) -> Failure {
    let what = match step {
        Step::Dir(at) => format!("making `{}`", at.display()),
        Step::Symlink { at, .. } => format!("linking `{}`", at.display()),
        Step::File { at, .. } => format!("writing `{}`", at.display()),
        Step::Bind { host, .. } => format!("showing `{}`", host.display()),
        Step::Tmpfs { at, .. } => format!("mounting memory at `{}`", at.display()),
        Step::Devpts(at) => format!("mounting pseudo terminals at `{}`", at.display()),
        Step::Seal(at) => format!("making `{}` read-only", at.display()),
        Step::Overlay {
            host, copy: true, ..
        } => format!("copying `{}`", host.display()),
        Step::Overlay { host, .. } => {
            format!(
                "laying an overlay over `{}` (Linux 5.11 or later is needed)",
                host.display()
            )
        }
        Step::Proc { .. } if Path::new(PID_MAX).exists() => {
            return Failure::Unavailable {
                reason: format!("limiting the number of processes failed: {err}"),
                hint:
                    "let root make control groups (a writable `/sys/fs/cgroup` with the controller \
                       `pids`), or run as an ordinary user, whose processes the kernel counts"
                        .into(),
            };
        }
        // The kernel refuses it where parts of the caller's own `/proc` are hidden.
        Step::Proc { .. } => {
            return Failure::Unavailable {
                reason: format!("mounting `/proc` failed: {err}"),
                hint: "inside of a container use its engine for the sandbox, or start it so that \
                       nothing of `/proc` is hidden"
                    .into(),
            };
        }
    };
    Failure::step(what, err)
}

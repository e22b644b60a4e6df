//! Entering the namespaces. An ordinary user may do that in a user namespace of its own, and root
//! does the same, so that its capabilities end at the sandbox's edge.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::thread::UnshareFlags;

use super::sys;
use crate::layout::{GID, HOST_NAME, UID};
use crate::plan::Failure;

const HINT: &str = "allow user namespaces (`sysctl user.max_user_namespaces`, on Ubuntu also \
    `kernel.apparmor_restrict_unprivileged_userns=0`, in a container a profile that lets them be), or \
    use bubblewrap, Docker or Podman";

/// Enters new namespaces of every kind, with one user in them. Processes come into the new namespace
/// for processes with the next fork.
pub(super) fn enter(network: bool) -> Result<(), Failure> {
    let uid = rustix::process::geteuid();
    let gid = rustix::process::getegid();
    if uid.is_root() {
        // Others' groups would open others' files. Without the right to do that there are none.
        let _ = rustix::thread::set_thread_groups(&[]);
    }
    let mut flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    if !network {
        flags |= UnshareFlags::NEWNET;
    }
    sys::unshare(flags).map_err(|err| unavailable("entering namespaces", &err))?;
    match fs::write("/proc/self/setgroups", "deny") {
        Err(err) if err.kind() != ErrorKind::NotFound => {
            return Err(unavailable("giving up groups", &err));
        }
        _ => {}
    }
    fs::write("/proc/self/uid_map", format!("{UID} {} 1", uid.as_raw()))
        .map_err(|err| unavailable("mapping the user", &err))?;
    fs::write("/proc/self/gid_map", format!("{GID} {} 1", gid.as_raw()))
        .map_err(|err| unavailable("mapping the group", &err))?;
    rustix::system::sethostname(HOST_NAME.as_bytes())
        .map_err(|err| Failure::step("naming the host", err))?;
    if !network {
        sys::raise_loopback().map_err(|err| Failure::step("setting up loopback", err))?;
    }
    Ok(())
}

/// Dies when the parent does, even if it already has: then `alive` has been closed.
pub(super) fn die_with_parent(alive: &OwnedFd) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|err| Failure::step("tying the sandbox to its launcher", err))?;
    let mut fds = [PollFd::new(alive, PollFlags::empty())];
    match poll(
        &mut fds,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    ) {
        Ok(0) => Ok(()),
        _ => Err(Failure::step(
            "tying the sandbox to its launcher",
            "the launcher is gone",
        )),
    }
}

fn unavailable(what: &str, err: &std::io::Error) -> Failure {
    Failure::Unavailable {
        reason: format!("{what} failed: {err}"),
        hint: HINT.into(),
    }
}

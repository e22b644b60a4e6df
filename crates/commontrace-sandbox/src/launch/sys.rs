//! The system calls that no safe wrapper exists for. All `unsafe` code of the crate is here.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Closes every file descriptor from 3 on.
pub(super) fn close_inherited() -> io::Result<()> {
    // SAFETY: called first in `main`, when nothing in this program owns a descriptor above 2.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    check(done)
}

/// Lets the program that is executed next have no descriptor from 3 on.
pub(super) fn close_on_exec() -> io::Result<()> {
    // SAFETY: sets a flag of descriptors and touches no memory.
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    check(done)
}

/// Makes a child process; `None` is returned in the child.
pub(super) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: `launched` has made sure that this process has one thread, so no lock is held by
    // another one that the child would lack.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(pid))
}

/// Enters new namespaces.
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: the table of file descriptors stays shared, which is all that is asked for.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Adds attributes (`MOUNT_ATTR_*`) to a mount, and with `recursive` to all mounts below it.
pub(super) fn add_mount_attributes(path: &Path, set: u64, recursive: bool) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: both pointers are valid for the call, and the size is that of the struct.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(done)
}

/// Takes the loopback device of this network namespace up.
pub(super) fn raise_loopback() -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: all bytes zero is a valid value of this C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the socket is open, and the request is a valid `ifreq` with a terminated name.
    let done = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    check(done.into())
}

/// Gives SIGCHLD its usual meaning and keeps it back for [`wait_for_child`].
pub(super) fn hold_child_signal() -> io::Result<()> {
    let set = child_signal();
    // SAFETY: no handler is installed, and the set is valid for the call.
    let done = unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
    };
    check(done.into())
}

/// Takes that back before the process becomes the command: a shell that is not told of its children waits for
/// them for ever.
pub(super) fn release_signals() -> io::Result<()> {
    // SAFETY: `sigemptyset` makes the set valid before it is used, and it is valid for the call.
    let done = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    check(done.into())
}

/// Waits until a child has ended, or for at most this long.
pub(super) fn wait_for_child(at_most: Duration) {
    let set = child_signal();
    let timeout = libc::timespec {
        tv_sec: at_most.as_secs().cast_signed(),
        tv_nsec: i64::from(at_most.subsec_nanos()),
    };
    // SAFETY: the set and the time are valid for the call, and no details are asked for. Whether it
    // was a signal or the time makes no difference.
    unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const timeout) };
}

fn child_signal() -> libc::sigset_t {
    // SAFETY: `sigemptyset` makes the set valid before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        set
    }
}

/// The processor time of all children that were waited for, with theirs, and the memory of the
/// largest in bytes.
pub(super) fn children_usage() -> (Duration, u64) {
    // SAFETY: all bytes zero is a valid value of this C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid for the call; it cannot fail with these arguments.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    let time = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec.unsigned_abs())
            + Duration::from_micros(t.tv_usec.unsigned_abs())
    };
    (
        time(usage.ru_utime) + time(usage.ru_stime),
        usage.ru_maxrss.unsigned_abs() * 1024,
    )
}

fn check(done: libc::c_long) -> io::Result<()> {
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

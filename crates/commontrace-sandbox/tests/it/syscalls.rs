//! System calls that the sandbox refuses.

use rstest::rstest;

use crate::harness::Bench;
use crate::harness::Caller::{self, Ordinary, Own};

/// Number, first arguments, and the error that is expected.
const CALLS: &[(&str, i64, &str, i32)] = &[
    ("ptrace", libc::SYS_ptrace, "0, 0, 0, 0", libc::EPERM),
    (
        "ptrace the first process",
        libc::SYS_ptrace,
        "16, 1, 0, 0",
        libc::EPERM,
    ),
    (
        "process_vm_readv",
        libc::SYS_process_vm_readv,
        "1, 0, 0, 0, 0, 0",
        libc::EPERM,
    ),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, "0, 0, 0", libc::EPERM),
    (
        "io_uring_setup",
        libc::SYS_io_uring_setup,
        "8, 0",
        libc::EPERM,
    ),
    (
        "io_uring_enter",
        libc::SYS_io_uring_enter,
        "0, 0, 0, 0",
        libc::EPERM,
    ),
    ("bpf", libc::SYS_bpf, "0, 0, 0", libc::EPERM),
    ("userfaultfd", libc::SYS_userfaultfd, "1", libc::EPERM),
    (
        "perf_event_open",
        libc::SYS_perf_event_open,
        "0, 0, 0, 0, 0",
        libc::EPERM,
    ),
    ("keyctl", libc::SYS_keyctl, "0, 0, 0", libc::EPERM),
    ("add_key", libc::SYS_add_key, "0, 0, 0, 0, 0", libc::EPERM),
    (
        "kexec_load",
        libc::SYS_kexec_load,
        "0, 0, 0, 0",
        libc::EPERM,
    ),
    ("init_module", libc::SYS_init_module, "0, 0, 0", libc::EPERM),
    (
        "finit_module",
        libc::SYS_finit_module,
        "0, 0, 0",
        libc::EPERM,
    ),
    ("mount", libc::SYS_mount, "0, 0, 0, 0, 0", libc::EPERM),
    ("umount2", libc::SYS_umount2, "0, 0", libc::EPERM),
    ("open_tree", libc::SYS_open_tree, "-100, 0, 1", libc::EPERM),
    ("fsopen", libc::SYS_fsopen, "0, 0", libc::EPERM),
    (
        "mount_setattr",
        libc::SYS_mount_setattr,
        "-100, 0, 0, 0, 0",
        libc::EPERM,
    ),
    ("pivot_root", libc::SYS_pivot_root, "0, 0", libc::EPERM),
    ("chroot", libc::SYS_chroot, "0", libc::EPERM),
    ("setns", libc::SYS_setns, "0, 0", libc::EPERM),
    (
        "open_by_handle_at",
        libc::SYS_open_by_handle_at,
        "-100, 0, 0",
        libc::EPERM,
    ),
    (
        "unshare the user",
        libc::SYS_unshare,
        "0x10000000",
        libc::EPERM,
    ),
    ("unshare the time", libc::SYS_unshare, "0x80", libc::EPERM),
    (
        "clone with a new user",
        libc::SYS_clone,
        "0x10000011, 0, 0, 0, 0",
        libc::EPERM,
    ),
    ("clone3", libc::SYS_clone3, "0, 0", libc::ENOSYS),
    (
        "personality",
        libc::SYS_personality,
        "0x0040000",
        libc::EPERM,
    ),
    ("syslog", libc::SYS_syslog, "10, 0, 0", libc::EPERM),
    ("reboot", libc::SYS_reboot, "0, 0, 0, 0", libc::EPERM),
    ("settimeofday", libc::SYS_settimeofday, "0, 0", libc::EPERM),
    (
        "clock_settime",
        libc::SYS_clock_settime,
        "0, 0",
        libc::EPERM,
    ),
    ("swapon", libc::SYS_swapon, "0, 0", libc::EPERM),
    ("acct", libc::SYS_acct, "0", libc::EPERM),
    #[cfg(target_arch = "x86_64")]
    (
        "mount by its x32 number",
        libc::SYS_mount | 0x4000_0000,
        "0, 0, 0, 0, 0",
        libc::EPERM,
    ),
];

#[rstest]
fn calls_that_reach_beyond_are_refused(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut script =
        String::from("import ctypes\ncall = ctypes.CDLL(None, use_errno=True).syscall\n");
    for (name, number, args, _) in CALLS {
        script += &format!("print('{name}', call({number}, {args}), ctypes.get_errno())\n");
    }
    let expected: String = CALLS
        .iter()
        .map(|(name, _, _, errno)| format!("{name} -1 {errno}\n"))
        .collect();
    assert_eq!(bench.output_of(&bench.python(&script)), expected);
}

#[rstest]
fn ordinary_programs_work(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let said = bench.output_of(&bench.python(
        r#"
import multiprocessing, os, pty, socket, subprocess, tempfile, threading
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(sum(pool.map(abs, range(4))))
thread = threading.Thread(target=lambda: print("thread"))
thread.start(); thread.join()
print(subprocess.run(["sh", "-c", "echo child"], capture_output=True, text=True).stdout.strip())
with tempfile.TemporaryDirectory() as folder:
    os.symlink("x", folder + "/link"); os.mkfifo(folder + "/pipe")
    open(folder + "/a", "w").close(); os.link(folder + "/a", folder + "/b"); os.rename(folder + "/a", folder + "/c")
os.mkdir("folder"); open("folder/file", "w").write("x"); os.rename("folder/file", "moved"); os.rmdir("folder")
pty.openpty(); socket.socketpair()
import mmap, signal; mmap.mmap(-1, 4096)
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=4096); memory.close(); memory.unlink()
print(os.path.expanduser("~"), os.getcwd(), os.access("/dev/stdout", os.W_OK))
"#,
    ));
    assert_eq!(said, "6\nthread\nchild\n/tmp /src True\n");
}

//! The filter of system calls. It refuses what reaches the kernel's less trodden parts, other
//! processes, or further namespaces; what tests of ordinary programs need is allowed.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule,
};

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Refused with EPERM whatever the arguments.
const REFUSED: &[c_long] = &[
    // mounts and roots
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // files past their paths
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    // other processes
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // parts of the kernel with a history
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_memfd_secret,
    libc::SYS_vmsplice,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // the machine
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS__sysctl,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    // ptrace, kexec_load, process_vm_readv and process_vm_writev by their numbers in the x32 ABI
    521,
    528,
    539,
    540,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[];

/// The x32 ABI has the same calls under numbers with this bit.
#[cfg(target_arch = "x86_64")]
const OTHER_NUMBERS: &[c_long] = &[0x4000_0000];
#[cfg(not(target_arch = "x86_64"))]
const OTHER_NUMBERS: &[c_long] = &[];

const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];
/// Time namespaces; the bit is part of the exit signal in `clone`.
const NEW_TIME: i32 = 0x80;

const FAMILIES: &[i32] = &[
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// `personality` asked for the present value.
const ASK: u64 = 0xffff_ffff;

/// Filters this process and what comes of it.
pub(super) fn install() -> Result<(), Error> {
    let filters = [
        filter(refused()?, libc::EPERM)?,
        // Its flags are in memory, where a filter cannot look; libraries then use `clone`.
        filter(
            BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
            libc::ENOSYS,
        )?,
        filter(families()?, libc::EAFNOSUPPORT)?,
    ];
    filters
        .iter()
        .try_for_each(|program| seccompiler::apply_filter(program))
}

fn filter(mut rules: Rules, errno: i32) -> Result<BpfProgram, BackendError> {
    let known: Vec<_> = rules
        .iter()
        .map(|(call, rules)| (*call, rules.clone()))
        .collect();
    for bit in OTHER_NUMBERS {
        rules.extend(
            known
                .iter()
                .map(|(call, rules)| (call | bit, rules.clone())),
        );
    }
    let arch = std::env::consts::ARCH.try_into()?;
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()
}

fn refused() -> Result<Rules, BackendError> {
    let mut rules: Rules = REFUSED
        .iter()
        .chain(REFUSED_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    let mut of_clone = Vec::new();
    for flag in NAMESPACES {
        let bit = u64::from(flag.unsigned_abs());
        of_clone.push(rule(&[(0, SeccompCmpOp::MaskedEq(bit), bit)])?);
    }
    let mut of_unshare = of_clone.clone();
    let bit = u64::from(NEW_TIME.unsigned_abs());
    of_unshare.push(rule(&[(0, SeccompCmpOp::MaskedEq(bit), bit)])?);
    rules.insert(libc::SYS_clone, of_clone);
    rules.insert(libc::SYS_unshare, of_unshare);
    // Both type into a terminal as if its user did.
    let of_ioctl = [libc::TIOCSTI, libc::TIOCLINUX]
        .map(|request| rule(&[(1, SeccompCmpOp::Eq, request)]))
        .into_iter()
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_ioctl, of_ioctl);
    let of_personality = rule(&[(0, SeccompCmpOp::Ne, 0), (0, SeccompCmpOp::Ne, ASK)])?;
    rules.insert(libc::SYS_personality, vec![of_personality]);
    Ok(rules)
}

/// Everything but local sockets and the Internet: some families reach past network namespaces.
fn families() -> Result<Rules, BackendError> {
    let other: Vec<_> = FAMILIES
        .iter()
        .map(|family| (0, SeccompCmpOp::Ne, u64::from(family.unsigned_abs())))
        .collect();
    let other = rule(&other)?;
    Ok(BTreeMap::from([
        (libc::SYS_socket, vec![other.clone()]),
        (libc::SYS_socketpair, vec![other]),
    ]))
}

/// Holds where all conditions on the lower half of arguments do.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions
        .iter()
        .map(|(argument, operator, value)| {
            SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operator.clone(), *value)
        })
        .collect::<Result<_, _>>()?;
    SeccompRule::new(conditions)
}

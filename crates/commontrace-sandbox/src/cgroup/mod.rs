//! Control groups, of version 1 or 2, for the limits that hold for all processes of a sandbox
//! together. They need the right to make one, which root has and others were given or not.
//!
//! The groups of a supervisor that was killed are removed when the next one starts.

mod v1;
mod v2;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use crate::limits::Limits;
use crate::processes;

/// What the names of all groups begin with.
const PREFIX: &str = "commontrace-sandbox-";

/// Groups of runs that were abandoned, whose processes were not gone yet.
static ABANDONED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How often removing a group is tried again while the kernel still buries its processes.
const REMOVALS: u32 = 200;

/// The group of one sandbox.
#[derive(Debug)]
pub(crate) struct Cgroup {
    groups: Vec<Group>,
}

/// A folder that is a group, and what it counts.
#[derive(Debug)]
struct Group {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory,
    Pids,
    Cpu,
    Unified,
}

/// What `/proc/self/mountinfo` and `/proc/self/cgroup` say about this process.
struct Host {
    mounts: String,
    own: String,
}

impl Cgroup {
    /// Makes a group with these limits, as far as that is possible here.
    pub fn create(limits: &Limits) -> Option<Self> {
        static REAPED: Once = Once::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let host = Host {
            mounts: fs::read_to_string("/proc/self/mountinfo").ok()?,
            own: fs::read_to_string("/proc/self/cgroup").ok()?,
        };
        let own = processes::owner(i32::try_from(std::process::id()).ok()?)?;
        let name = format!("{PREFIX}{own}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let groups = match v2::create(&host, &name, limits) {
            Some(group) => vec![group],
            None => v1::create(&host, &name, limits),
        };
        abandoned(|paths| paths.retain(|path| !try_remove(path)));
        let parents = groups.iter().filter_map(|group| group.path.parent());
        REAPED.call_once(|| parents.for_each(reap));
        (!groups.is_empty()).then_some(Self { groups })
    }

    /// Puts a process in, with everything that it will start.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        let pid = pid.to_string();
        self.groups
            .iter()
            .try_for_each(|group| fs::write(group.path.join("cgroup.procs"), &pid))
    }

    /// Whether memory is limited.
    pub fn limits_memory(&self) -> bool {
        self.counts(Kind::Memory)
    }

    /// Whether the number of processes is limited.
    pub fn limits_processes(&self) -> bool {
        self.counts(Kind::Pids)
    }

    /// Whether processor time is counted.
    pub fn counts_cpu(&self) -> bool {
        self.counts(Kind::Cpu)
    }

    /// The processor time used so far.
    pub fn cpu(&self) -> Option<Duration> {
        self.groups.iter().find_map(|group| match group.kind {
            Kind::Cpu => number(&group.path, "cpuacct.usage").map(Duration::from_nanos),
            Kind::Unified => {
                entry(&group.path, "cpu.stat", "usage_usec").map(Duration::from_micros)
            }
            Kind::Memory | Kind::Pids => None,
        })
    }

    /// The most memory that was used at a time.
    pub fn peak_memory(&self) -> Option<u64> {
        self.groups.iter().find_map(|group| match group.kind {
            Kind::Memory => number(&group.path, "memory.max_usage_in_bytes"),
            Kind::Unified => number(&group.path, "memory.peak"),
            Kind::Cpu | Kind::Pids => None,
        })
    }

    /// How many processes the kernel has ended because there was no memory left for them.
    pub fn ended_for_memory(&self) -> u64 {
        let counts = self.groups.iter().filter_map(|group| match group.kind {
            Kind::Memory => entry(&group.path, "memory.oom_control", "oom_kill"),
            Kind::Unified => entry(&group.path, "memory.events", "oom_kill"),
            Kind::Cpu | Kind::Pids => None,
        });
        counts.sum()
    }

    /// How often a process could not be started because there were too many.
    pub fn refused_processes(&self) -> u64 {
        let counts = self.groups.iter().filter_map(|group| match group.kind {
            Kind::Pids | Kind::Unified => entry(&group.path, "pids.events", "max"),
            Kind::Cpu | Kind::Memory => None,
        });
        counts.sum()
    }

    /// Ends whatever is left and removes the group.
    pub async fn remove(mut self) {
        for group in std::mem::take(&mut self.groups) {
            for _ in 0..REMOVALS {
                if try_remove(&group.path) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    fn counts(&self, kind: Kind) -> bool {
        self.groups
            .iter()
            .any(|group| group.kind == kind || group.kind == Kind::Unified)
    }
}

impl Drop for Cgroup {
    /// Has something to do only if a run is abandoned: what cannot be removed yet is by the next run.
    fn drop(&mut self) {
        let paths = std::mem::take(&mut self.groups)
            .into_iter()
            .map(|group| group.path);
        abandoned(|all| all.extend(paths.filter(|path| !try_remove(path))));
    }
}

fn abandoned(change: impl FnOnce(&mut Vec<PathBuf>)) {
    change(&mut ABANDONED.lock().unwrap_or_else(PoisonError::into_inner));
}

impl Host {
    /// The folder of this process's own group, where its hierarchy is mounted with these options.
    fn own_folder(&self, controller: Option<&str>) -> Option<(PathBuf, PathBuf)> {
        let (root, mount) = self.mounts.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut right = right.split(' ');
            let (kind, options) = (right.next()?, right.nth(1)?);
            let found = match controller {
                Some(name) => kind == "cgroup" && options.split(',').any(|option| option == name),
                None => kind == "cgroup2",
            };
            let mut left = left.split(' ').skip(3);
            found.then_some((left.next()?, left.next()?))
        })?;
        let path = self.own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (names, path) = (fields.next()?, fields.next()?);
            let found = match controller {
                Some(name) => names.split(',').any(|known| known == name),
                None => names.is_empty(),
            };
            found.then_some(path)
        })?;
        let below = path
            .strip_prefix(root.trim_end_matches('/'))
            .unwrap_or(path);
        let mount = PathBuf::from(mount);
        Some((mount.clone(), mount.join(below.trim_start_matches('/'))))
    }
}

/// Removes the groups whose owners are gone.
fn reap(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.rsplit_once('-'));
        if owner.is_some_and(|(owner, _)| processes::is_gone(owner)) {
            try_remove(&entry.path());
        }
    }
}

/// Ends what is in a group and removes it, if that can be done at once.
fn try_remove(path: &Path) -> bool {
    match fs::remove_dir(path) {
        Ok(()) => return true,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return true,
        Err(_) => {}
    }
    for pid in fs::read_to_string(path.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
    {
        if let Some(pid) = pid.parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    fs::remove_dir(path).is_ok()
}

/// The limit of processes with the launcher and the sandbox's first process.
fn with_own(processes: u64) -> String {
    processes.saturating_add(2).to_string()
}

fn number(group: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(group.join(file))
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn entry(group: &Path, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(group.join(file)).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_in_both_versions() {
        let host = Host {
            mounts: "30 29 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                     31 29 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n\
                     32 29 0:28 /docker/a /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
                .into(),
            own: "4:memory:/user\n8:pids:/docker/a/b\n0::/init.scope\n".into(),
        };
        let own = |name| {
            host.own_folder(name)
                .map(|(_, own)| own.display().to_string())
        };
        assert_eq!(own(Some("memory")).unwrap(), "/sys/fs/cgroup/memory/user");
        assert_eq!(own(Some("pids")).unwrap(), "/sys/fs/cgroup/pids/b");
        assert_eq!(own(None).unwrap(), "/sys/fs/cgroup/unified/init.scope");
        assert_eq!(own(Some("cpuacct")), None);
    }
}

//! Looks at what all processes of the sandbox use together, for the limits that no control group
//! holds.

use std::fs;
use std::time::Duration;

use crate::plan::{Status, Watch};
use crate::processes;

/// What was seen so far.
pub(super) struct Watcher<'a> {
    watch: &'a Watch,
    own: i32,
    peak_memory: u64,
    cpu: Duration,
    disk_full: bool,
}

impl<'a> Watcher<'a> {
    /// Has seen nothing.
    pub fn new(watch: &'a Watch) -> Self {
        let own = rustix::process::getpid().as_raw_pid();
        Self {
            watch,
            own,
            peak_memory: 0,
            cpu: Duration::ZERO,
            disk_full: false,
        }
    }

    /// Looks at everything, and says which limit is broken.
    pub fn look(&mut self) -> Option<Status> {
        self.look_at_disks();
        if self.watch.processes_at_all() {
            self.look_at_processes()
        } else {
            None
        }
    }

    /// Whether a file system was full at any time.
    pub fn disk_full(&self) -> bool {
        self.disk_full
    }

    /// The most memory that was seen in use, where it was looked at.
    pub fn peak_memory(&self) -> Option<u64> {
        self.watch.memory.map(|_| self.peak_memory)
    }

    /// The processor time that was seen, where it was looked at.
    pub fn cpu(&self) -> Duration {
        self.cpu
    }

    /// Looks whether a file system is full.
    pub fn look_at_disks(&mut self) {
        for disk in &self.watch.disks {
            if let Ok(found) = rustix::fs::statvfs(disk) {
                self.disk_full |= found.f_bavail == 0 || found.f_favail == 0;
            }
        }
    }

    fn look_at_processes(&mut self) -> Option<Status> {
        let (mut ticks, mut threads, mut memory) = (0, 0, 0);
        let all: Vec<i32> = processes::all().filter(|pid| *pid != self.own).collect();
        // Looking at each of too many would take so long that there are many more by then.
        if self
            .watch
            .processes
            .is_some_and(|limit| all.len() as u64 > limit)
        {
            return Some(Status::OverProcesses);
        }
        for pid in all {
            let Some(stat) = processes::stat(pid) else {
                continue;
            };
            ticks += stat.cpu_ticks;
            threads += stat.threads;
            if self.watch.memory.is_some() {
                memory += private_memory(pid);
            }
        }
        self.peak_memory = self.peak_memory.max(memory);
        let of_ended = super::sys::children_usage().0;
        self.cpu = self
            .cpu
            .max(of_ended + Duration::from_secs(ticks) / clock_ticks());
        if self.watch.processes.is_some_and(|limit| threads > limit) {
            return Some(Status::OverProcesses);
        }
        // Pages that processes share are counted by each of them, so look closer before ending them.
        if self
            .watch
            .memory
            .is_some_and(|limit| memory > limit && proportional_memory() > limit)
        {
            return Some(Status::OverMemory);
        }
        if self.watch.cpu.is_some_and(|limit| self.cpu > limit) {
            return Some(Status::OverCpu);
        }
        None
    }
}

/// Bytes of memory that are no part of a file.
fn private_memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let mut fields = text
        .split(' ')
        .skip(1)
        .map_while(|field| field.parse::<u64>().ok());
    let (resident, shared) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
    resident.saturating_sub(shared) * rustix::param::page_size() as u64
}

/// Bytes of memory of all processes, each page counted once.
fn proportional_memory() -> u64 {
    let of = |pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss_Anon:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    processes::all()
        .map(|pid| of(pid).unwrap_or_else(|| private_memory(pid)))
        .sum()
}

fn clock_ticks() -> u32 {
    u32::try_from(rustix::param::clock_ticks_per_second())
        .unwrap_or(100)
        .max(1)
}

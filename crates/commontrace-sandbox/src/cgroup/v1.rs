//! Version 1: a hierarchy for each controller.

use std::fs;
use std::path::Path;

use super::{Group, Host, Kind};
use crate::limits::Limits;

/// Makes a group for each controller that is there, as far as that is allowed.
pub(super) fn create(host: &Host, name: &str, limits: &Limits) -> Vec<Group> {
    let one = |(kind, controller)| {
        let path = host.own_folder(Some(controller))?.1.join(name);
        fs::create_dir(&path).ok()?;
        let group = Group { path, kind };
        if limit(&group.path, kind, limits).is_err() {
            let _ = fs::remove_dir(&group.path);
            return None;
        }
        Some(group)
    };
    [
        (Kind::Memory, "memory"),
        (Kind::Pids, "pids"),
        (Kind::Cpu, "cpuacct"),
    ]
    .into_iter()
    .filter_map(one)
    .collect()
}

fn limit(group: &Path, kind: Kind, limits: &Limits) -> std::io::Result<()> {
    match kind {
        Kind::Memory => {
            let bytes = limits.memory.to_string();
            fs::write(group.join("memory.limit_in_bytes"), &bytes)?;
            // Missing where the kernel does not count swap.
            let _ = fs::write(group.join("memory.memsw.limit_in_bytes"), &bytes);
            Ok(())
        }
        Kind::Pids => fs::write(group.join("pids.max"), super::with_own(limits.processes)),
        Kind::Cpu | Kind::Unified => Ok(()),
    }
}

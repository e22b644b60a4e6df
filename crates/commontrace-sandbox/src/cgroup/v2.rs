//! Version 2: one hierarchy, whose controllers have to be handed down from group to group.

use std::fs;
use std::path::Path;

use super::{Group, Host, Kind};
use crate::limits::Limits;

/// Makes a group as near to the own one as this is allowed.
pub(super) fn create(host: &Host, name: &str, limits: &Limits) -> Option<Group> {
    let (mount, own) = host.own_folder(None)?;
    // A group that has processes cannot hand controllers down, so it may take one further up.
    let holders = own
        .ancestors()
        .take_while(|folder| folder.starts_with(&mount));
    let usable = |folder: &&Path| has_controllers(folder) && may_move_processes(folder);
    holders.filter(usable).find_map(|holder| {
        let path = holder.join(name);
        let made = hand_down(holder)
            .and_then(|()| fs::create_dir(&path))
            .and_then(|()| limit(&path, limits));
        if made.is_err() {
            let _ = fs::remove_dir(&path);
            return None;
        }
        Some(Group {
            path,
            kind: Kind::Unified,
        })
    })
}

fn has_controllers(folder: &Path) -> bool {
    let known = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    ["memory", "pids"]
        .iter()
        .all(|name| known.split_whitespace().any(|known| known == *name))
}

/// Moving a process takes the right to do so in a group that holds both places.
fn may_move_processes(folder: &Path) -> bool {
    rustix::fs::access(folder.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok()
}

fn hand_down(folder: &Path) -> std::io::Result<()> {
    let file = folder.join("cgroup.subtree_control");
    let already = fs::read_to_string(&file)?;
    if ["memory", "pids"]
        .iter()
        .all(|name| already.split_whitespace().any(|on| on == *name))
    {
        return Ok(());
    }
    fs::write(file, "+memory +pids")
}

fn limit(group: &Path, limits: &Limits) -> std::io::Result<()> {
    fs::write(group.join("memory.max"), limits.memory.to_string())?;
    fs::write(group.join("pids.max"), super::with_own(limits.processes))?;
    // Missing without swap, and on older kernels.
    let _ = fs::write(group.join("memory.swap.max"), "0");
    let _ = fs::write(group.join("memory.oom.group"), "1");
    Ok(())
}

//! The sandbox's first process: starts the command, buries the dead, watches the limits that no
//! control group holds, and ends everything when the command has ended.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Pid, WaitOptions, WaitStatus};

use super::control::{Control, drop_output};
use super::watch::Watcher;
use super::{copy, descendants, restrict, sys};
use crate::plan::{Failure, Message, Plan, Stage, Status};

/// How often the limits are looked at. A program can get hold of some 100 MB in that time.
const TICK: Duration = Duration::from_millis(25);

/// Runs the command until nothing is left of it, and says how it ended.
pub(super) fn run(plan: &Plan, control: &Control) -> Result<(), Failure> {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if let Stage::Open = plan.stage {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|err| Failure::step("becoming the parent of orphans", err))?;
    }
    if let Stage::Entered {
        copy: Some([from, to]),
    } = &plan.stage
    {
        copy::all(from, to).map_err(|err| Failure::step("copying the tree", err))?;
    }
    // The command has the same user as this process, and must not get at what it still may do.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|err| Failure::step("hiding from the command", err))?;
    let (report, command_report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|err| Failure::step("making a pipe", err))?;
    let command = sys::fork().map_err(|err| Failure::step("starting a process", err))?;
    let Some(command) = command else {
        drop(report);
        restrict::become_command(plan, command_report);
        return Ok(());
    };
    drop(command_report);
    let done = match plan.stage {
        Stage::Open => Ok(()),
        Stage::Enter { .. } | Stage::Wrap { .. } | Stage::Entered { .. } => {
            restrict::drop_capabilities()
        }
    };
    done.map_err(std::io::Error::from)
        .and_then(|()| drop_output())
        .map_err(|err| Failure::step("giving up rights", err))?;
    match read_report(report)? {
        Message::Failed(failure) => return Err(failure),
        started => control.say(&started),
    }
    let mut watcher = Watcher::new(&plan.watch);
    let status = wait(command, control, &mut watcher);
    if let Stage::Open = plan.stage {
        descendants::end_all();
    }
    if let Some(status) = status {
        let (disk_full, peak_memory, cpu) =
            (watcher.disk_full(), watcher.peak_memory(), watcher.cpu());
        control.say(&Message::Ended {
            status,
            disk_full,
            peak_memory,
            cpu,
        });
    }
    if !matches!(plan.stage, Stage::Enter { .. }) {
        let (cpu, largest) = sys::children_usage();
        control.say(&Message::Gone { cpu, largest });
    }
    Ok(())
}

/// What the command's process had to say before it became the command.
fn read_report(report: OwnedFd) -> Result<Message, Failure> {
    let mut said = Vec::new();
    std::fs::File::from(report)
        .read_to_end(&mut said)
        .map_err(|err| Failure::step("starting the command", err))?;
    let last = said
        .split(|byte| *byte == b'\n')
        .rfind(|line| !line.is_empty());
    last.and_then(|line| serde_json::from_slice(line).ok())
        .ok_or_else(|| Failure::step("starting the command", "its process ended at once"))
}

/// Waits for the command, a limit, or the supervisor's wish to end, for which there is no status.
fn wait(command: Pid, control: &Control, watcher: &mut Watcher<'_>) -> Option<Status> {
    loop {
        sys::wait_for_child(TICK);
        if let Some(status) = bury(command) {
            watcher.look_at_disks();
            return Some(status);
        }
        if control.closed() {
            return None;
        }
        if let Some(over) = watcher.look() {
            return Some(over);
        }
    }
}

/// Waits for everything that has ended, and says how the command did if it was among that.
fn bury(command: Pid) -> Option<Status> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == command {
            ended = Some(describe(status));
        }
    }
    ended
}

fn describe(status: WaitStatus) -> Status {
    match status.terminating_signal() {
        Some(signal) => Status::Signalled(signal),
        None => Status::Exited(status.exit_status().unwrap_or_default()),
    }
}

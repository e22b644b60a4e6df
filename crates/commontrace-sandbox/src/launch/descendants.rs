//! Ends what a command without a process namespace has left behind.

use rustix::process::{Pid, Signal, WaitOptions};

/// Ends all descendants. Orphans of those that are ended become children of this process, so this
/// goes on until it has none.
pub(super) fn end_all() {
    loop {
        for child in children() {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn children() -> Vec<Pid> {
    let own = rustix::process::getpid();
    crate::processes::all()
        .filter_map(|pid| {
            crate::processes::stat(pid).filter(|stat| stat.parent == own.as_raw_pid())
        })
        .filter_map(|stat| Pid::from_raw(stat.pid))
        .collect()
}

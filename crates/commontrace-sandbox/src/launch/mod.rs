//! The launcher: the process that enters the sandbox. It has one thread and no variable of the
//! host's environment, is told what to do over its standard input, and ends everything when that
//! closes.
//!
//! ```text
//! supervisor ── launcher ── first process of the sandbox ── command ── …
//!                (outside)    (reaps, watches, ends)
//! ```
//!
//! If the launcher dies, so does the sandbox's first process, and with it, by the kernel, all others.

mod control;
mod copy;
mod descendants;
mod init;
mod namespaces;
mod restrict;
mod root;
mod seccomp;
mod sys;
mod watch;
mod wrap;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{PidfdFlags, Signal, WaitOptions};

use self::control::Control;
use crate::plan::{Failure, Message, Plan, Stage};

/// The argument that makes a program a launcher.
pub(crate) const ARGUMENT: &str = "sandbox-launch";

/// Becomes the sandbox's first process if this program was started as a [`crate::Launcher`];
/// otherwise returns `None` at once. `main` has to call it first, before there is a second thread,
/// and return the code.
pub fn launched() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != ARGUMENT {
        return None;
    }
    Some(match main(args.next().map(PathBuf::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            // Only somebody who has started a launcher by hand sees this.
            eprintln!("this command is for the sandbox itself: {err}");
            ExitCode::FAILURE
        }
    })
}

/// The plan comes from a file where another program has started this one.
fn main(plan: Option<PathBuf>) -> io::Result<()> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("the launcher has more than one thread"));
    }
    // An interrupt from the keyboard is for the supervisor, who ends this properly. Fails only where
    // there is a session of its own already.
    let _ = rustix::process::setsid();
    sys::close_inherited()?;
    sys::hold_child_signal()?;
    let control = Control::take()?;
    let plan = match plan {
        Some(file) => serde_json::from_slice(&std::fs::read(file)?)?,
        None => control.plan()?,
    };
    if let Err(failure) = launch(&plan, &control) {
        control.say(&Message::Failed(failure));
    }
    Ok(())
}

fn launch(plan: &Plan, control: &Control) -> Result<(), Failure> {
    match &plan.stage {
        Stage::Enter { network, steps } => enter(plan, *network, steps, control),
        Stage::Wrap {
            program,
            args,
            files,
            inner,
        } => wrap::become_wrapper(program, args, files, inner, control),
        Stage::Entered { .. } | Stage::Open => init::run(plan, control),
    }
}

/// Enters the namespaces and stays outside of the one for processes, as what ends its first process.
fn enter(
    plan: &Plan,
    network: bool,
    steps: &[crate::plan::Step],
    control: &Control,
) -> Result<(), Failure> {
    namespaces::enter(network)?;
    // Its other end closes with this process, for a child that was not there in time to be told.
    let (alive, _alive) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|err| Failure::step("making a pipe", err))?;
    let Some(first) = sys::fork().map_err(|err| Failure::step("starting a process", err))? else {
        drop(_alive);
        namespaces::die_with_parent(&alive)?;
        root::make(steps)?;
        return init::run(plan, control);
    };
    let watching = || -> io::Result<()> {
        control::drop_output()?;
        let pidfd = rustix::process::pidfd_open(first, PidfdFlags::empty())?;
        control.wait_for_either(&pidfd);
        Ok(())
    };
    let watched = watching();
    // Ends it if it has not ended by itself; the kernel then ends everything else in there.
    let _ = rustix::process::kill_process(first, Signal::KILL);
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitpid(Some(first), WaitOptions::empty())
    {}
    watched.map_err(|err| Failure::step("watching the sandbox", err))?;
    let (cpu, largest) = sys::children_usage();
    control.say(&Message::Gone { cpu, largest });
    Ok(())
}

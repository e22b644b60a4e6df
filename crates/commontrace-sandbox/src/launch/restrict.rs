//! Takes away from the command's process what the command must not have, and becomes the command.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{seccomp, sys};
use crate::outcome::Layer;
use crate::plan::{Failure, Message, Plan, Rlimits, Stage};

/// Becomes the command. Says over `report` that it does, and after that why it could not.
pub(super) fn become_command(plan: &Plan, report: OwnedFd) {
    let mut report = File::from(report);
    let failure = match restrict(plan) {
        Ok(layers) => {
            say(&mut report, &Message::Started { layers });
            execute(plan)
        }
        Err(failure) => failure,
    };
    say(&mut report, &Message::Failed(failure));
}

fn say(report: &mut File, message: &Message) {
    let mut line = serde_json::to_vec(message).expect("messages have no maps with other keys");
    line.push(b'\n');
    let _ = report.write_all(&line);
}

fn restrict(plan: &Plan) -> Result<Vec<Layer>, Failure> {
    let step = |what: &'static str| move |err| Failure::step(what, io::Error::from(err));
    rustix::process::setsid().map_err(step("starting a session"))?;
    sys::close_on_exec().map_err(|err| Failure::step("closing files", err))?;
    sys::release_signals().map_err(|err| Failure::step("releasing signals", err))?;
    limit(&plan.rlimits).map_err(step("setting limits"))?;
    rustix::process::chdir(&plan.working_dir).map_err(|err| {
        let folder = plan.working_dir.display();
        Failure::step(
            format!("entering the folder `{folder}`"),
            io::Error::from(err),
        )
    })?;
    let mut layers = match plan.stage {
        Stage::Open => return Ok(Vec::new()),
        Stage::Enter { .. } | Stage::Wrap { .. } | Stage::Entered { .. } => vec![Layer::Userns],
    };
    rustix::thread::set_no_new_privs(true).map_err(step("giving up new rights"))?;
    let landlocked =
        landlock(plan).map_err(|err| Failure::step("restricting itself with Landlock", err))?;
    drop_capabilities().map_err(step("dropping capabilities"))?;
    seccomp::install().map_err(|err| Failure::step("filtering system calls", err))?;
    layers.push(Layer::Seccomp);
    if landlocked {
        layers.push(Layer::Landlock);
    }
    Ok(layers)
}

fn execute(plan: &Plan) -> Failure {
    let Some((program, args)) = plan.command.split_first() else {
        return Failure::step("starting the command", "there is none");
    };
    let err = Command::new(program)
        .args(args)
        .env_clear()
        .envs(plan.env.iter().cloned())
        .exec();
    Failure::NotRunnable {
        reason: err.to_string(),
        missing: err.kind() == ErrorKind::NotFound,
    }
}

fn limit(limits: &Rlimits) -> rustix::io::Result<()> {
    let set = |resource: Resource, value: u64| {
        // An ordinary user cannot go above what it has been given itself.
        let most = rustix::process::getrlimit(resource)
            .maximum
            .unwrap_or(u64::MAX);
        let value = Some(value.min(most));
        rustix::process::setrlimit(
            resource,
            Rlimit {
                current: value,
                maximum: value,
            },
        )
    };
    set(Resource::Core, 0)?;
    set(Resource::Nofile, limits.open_files)?;
    set(Resource::Fsize, limits.file_size)?;
    set(Resource::Cpu, limits.cpu)?;
    if let Some(data) = limits.data {
        set(Resource::Data, data)?;
    }
    if let Some(processes) = limits.processes {
        set(Resource::Nproc, processes)?;
    }
    Ok(())
}

/// Gives up every capability for good.
pub(super) fn drop_capabilities() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // This kernel does not know it, or there is no right to drop it because there is none.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => {}
            Err(err) => return Err(err),
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets)
}

/// Allows writing where the plan says and in `/dev`, and reading everywhere: what must not be read is
/// not there. Whether the kernel has Landlock at all is what is returned.
fn landlock(plan: &Plan) -> Result<bool, RulesetError> {
    let abi = ABI::V6;
    let everything = AccessFs::from_all(abi);
    let device =
        AccessFs::from_read(abi) | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)?
        .scope(Scope::from_all(abi))?
        .create()?;
    let writable = plan
        .writable
        .iter()
        .map(|path| (path.as_os_str(), everything));
    let fixed = [
        ("/".as_ref(), AccessFs::from_read(abi)),
        ("/dev".as_ref(), device),
    ];
    for (path, access) in fixed.into_iter().chain(writable) {
        if let Ok(file) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(file, access))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

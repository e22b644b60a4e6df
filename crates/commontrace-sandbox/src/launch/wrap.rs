//! Becomes the program that makes the namespaces in this one's place.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::process::Command;

use rustix::fs::{MemfdFlags, SeekFrom};

use super::ARGUMENT;
use super::control::Control;
use crate::bubblewrap::{LAUNCHER, PLAN};
use crate::plan::{Failure, Plan};

/// Shows the files, and the plan for the launcher in there, from memory: nothing is left on a disk.
pub(super) fn become_wrapper(
    program: &OsString,
    [before, after]: &[Vec<OsString>; 2],
    files: &[(OsString, String)],
    inner: &Plan,
    control: &Control,
) -> Result<(), Failure> {
    let step = |err: io::Error| Failure::step("handing files to the wrapper", err);
    let mut command = Command::new(program);
    command.env_clear().args(before);
    let plan = serde_json::to_string(inner).map_err(|err| step(err.into()))?;
    let plan = [(OsString::from(PLAN), plan)];
    let mut held = Vec::new();
    for (at, text) in files.iter().chain(&plan) {
        let file = in_memory(text).map_err(step)?;
        command
            .arg("--ro-bind-data")
            .arg(file.as_raw_fd().to_string())
            .arg(at);
        held.push(file);
    }
    command.args(after).args([LAUNCHER, ARGUMENT, PLAN]);
    let err = control.hand_over(&mut command);
    Err(Failure::Unavailable {
        reason: format!("running `{}` failed: {err}", program.display()),
        hint: "reinstall the package `bubblewrap`".into(),
    })
}

/// A file without a name that is inherited.
fn in_memory(text: &str) -> io::Result<std::fs::File> {
    let mut file = std::fs::File::from(rustix::fs::memfd_create("file", MemfdFlags::empty())?);
    file.write_all(text.as_bytes())?;
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

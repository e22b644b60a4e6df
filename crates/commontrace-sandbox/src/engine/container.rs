//! Describes the container of a job: no network, a read-only root, no capabilities, and limits.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, ResourcesUlimits};

use super::watch::BEGIN;
use super::{LABEL, label};
use crate::Error;
use crate::layout::HOST_NAME;
use crate::outcome::Backend;
use crate::run::Job;
use crate::spec::{NOBODY, TREE, TreeMode};

/// Where the tree is while it is copied.
const ORIGINAL: &str = "/.tree";

/// The container of this job.
pub(super) fn describe(
    job: &Job<'_>,
    backend: Backend,
    image: &str,
) -> Result<ContainerCreateBody, Error> {
    let (spec, limits) = (job.spec, &job.spec.limits);
    let text = |part: &OsStr| {
        part.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Error::Unsupported {
                backend,
                what: format!("pass `{}`, which is not UTF-8", part.display()),
            })
    };
    let command = spec
        .command
        .iter()
        .map(|part| text(part))
        .collect::<Result<Vec<_>, _>>()?;
    let env = spec
        .environment_in_image()
        .iter()
        .map(|(name, value)| Ok(format!("{}={}", text(name)?, text(value)?)))
        .collect::<Result<_, Error>>()?;
    let (uid, gid) = user(job)?;
    let in_memory =
        |size, mode| format!("rw,exec,nosuid,nodev,size={size},mode={mode},uid={uid},gid={gid}");
    let mut tmpfs = HashMap::from([("/tmp".to_owned(), in_memory(limits.disk, "1777"))]);
    let mut mounts = Vec::new();
    for bind in &job.paths.binds {
        mounts.push(mount(
            text(bind.host.as_os_str())?,
            text(bind.inside.as_os_str())?,
            !bind.writable,
        ));
    }
    let tree = text(job.paths.tree.as_os_str())?;
    let mut working_dir = text(job.paths.working_dir.as_os_str())?;
    let command = match spec.tree_mode {
        TreeMode::Overlay { size } => {
            tmpfs.insert(TREE.to_owned(), in_memory(size, "0755"));
            mounts.push(mount(tree, ORIGINAL.to_owned(), true));
            let folder = std::mem::replace(&mut working_dir, TREE.to_owned());
            copying(folder, command)
        }
        TreeMode::ReadOnly => {
            mounts.push(mount(tree, TREE.to_owned(), true));
            command
        }
        TreeMode::ReadWrite => {
            mounts.push(mount(tree, TREE.to_owned(), false));
            command
        }
    };
    Ok(ContainerCreateBody {
        image: Some(image.to_owned()),
        hostname: Some(HOST_NAME.to_owned()),
        user: Some(format!("{uid}:{gid}")),
        env: Some(env),
        // The image's own entry point is not part of the command.
        entrypoint: Some(Vec::new()),
        cmd: Some(command),
        working_dir: Some(working_dir),
        labels: label().map(|label| HashMap::from([(LABEL.to_owned(), label)])),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        network_disabled: Some(!spec.network),
        host_config: Some(HostConfig {
            init: Some(true),
            network_mode: (!spec.network).then(|| "none".to_owned()),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            memory: Some(signed(limits.memory)),
            memory_swap: Some(signed(limits.memory)),
            pids_limit: Some(signed(limits.processes.saturating_add(1))),
            ulimits: Some(vec![
                limit("nofile", limits.open_files),
                limit("fsize", limits.file_size),
                limit("cpu", limits.cpu.as_secs()),
                limit("core", 0),
            ]),
            shm_size: Some(signed(limits.disk / 4)),
            tmpfs: Some(tmpfs),
            mounts: Some(mounts),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    })
}

/// An engine's overlay has no quota and no end, so the tree is copied into memory of limited size.
fn copying(folder: String, command: Vec<String>) -> Vec<String> {
    let script =
        format!("cp -a {ORIGINAL}/. {TREE} && cd \"$0\" && printf '{BEGIN}' && exec \"$@\"");
    let mut whole = vec!["sh".to_owned(), "-c".to_owned(), script, folder];
    whole.extend(command);
    whole
}

/// The owner of the tree, who may write to it; nobody in root's place.
fn user(job: &Job<'_>) -> Result<(u32, u32), Error> {
    let tree: &Path = &job.paths.tree;
    let found = std::fs::metadata(tree).map_err(|err| Error::Path {
        path: tree.to_owned(),
        reason: err.to_string(),
    })?;
    match found.uid() {
        0 => Ok((NOBODY, NOBODY)),
        uid => Ok((uid, found.gid())),
    }
}

fn mount(source: String, target: String, read_only: bool) -> Mount {
    Mount {
        source: Some(source),
        target: Some(target),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

fn limit(name: &str, value: u64) -> ResourcesUlimits {
    let value = Some(signed(value));
    ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: value,
        hard: value,
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

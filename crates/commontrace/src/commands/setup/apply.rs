//! Does what is planned: backups and the record of it first, then each file at once.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use commontrace_hook::host::Host;
use tokio::process::Command;

use super::files;
use super::home::Home;
use super::hosts;
use super::manifest::{Manifest, Records, Written};
use super::plan::{Plan, Skipped, Step};
use super::wiring::NAME;
use crate::failure::Failure;

/// How long a host's own program may take to change its settings.
const PATIENCE: Duration = Duration::from_secs(30);

/// Puts what is planned into the files, and returns what could not be done.
pub async fn put(
    plan: &Plan,
    home: &Home,
    program: &str,
    records: &Records,
    mut manifest: Manifest,
) -> Result<Vec<Skipped>, Failure> {
    for step in &plan.steps {
        let Some(after) = &step.after else { continue };
        if let Some(original) = &step.original {
            records.back_up(original)?;
        }
        if let Some(before) = &step.before
            && !manifest.files.contains_key(&step.path)
        {
            records.back_up(before)?;
        }
        manifest.folders.extend(files::missing_folders(&step.path));
        let hosts = step.hosts.iter().map(|host| host.name().to_owned());
        let written = manifest.files.remove(&step.path);
        let known = written.map(|written| written.hosts).unwrap_or_default();
        manifest.files.insert(
            step.path.clone(),
            Written {
                hosts: known.into_iter().chain(hosts).collect(),
                before: step.original.as_deref().map(files::sha256),
                after: files::sha256(after),
                shared: step.shared,
            },
        );
    }
    records.save(&manifest)?;
    let mut skipped = Vec::new();
    let by_claude = home.program("claude");
    for step in plan.steps.iter().filter(|step| step.changes()) {
        let Some(after) = &step.after else { continue };
        // Claude Code may be running and know what it has not written yet to the file that its servers are in:
        // so it is asked to add the server, as long as there is nothing of ours to be changed.
        if let Some(claude) = by_claude.as_deref().filter(|_| is_claude_state(step, home))
            && !step
                .before
                .as_deref()
                .is_some_and(|text| text.contains(NAME))
        {
            let added = ["mcp", "add", NAME, "-s", "user", "--", program, "mcp"];
            if run(claude, &added).await && is_in_place(step, home, program) {
                // It keeps more than servers there, so what it has written is never undone as a whole.
                manifest.files.remove(&step.path);
                records.save(&manifest)?;
                continue;
            }
        }
        if let Err(why) = files::replace(&step.path, step.before.as_deref(), after) {
            skipped.extend(skip(step, &why));
        }
    }
    Ok(skipped)
}

/// Takes what is planned out of the files, and returns what could not be done.
pub fn take(
    plan: &Plan,
    hosts: &[Host],
    records: &Records,
    mut manifest: Manifest,
) -> Result<Vec<Skipped>, Failure> {
    let mut skipped = Vec::new();
    for step in &plan.steps {
        let before = step.before.as_deref().unwrap_or_default();
        let done = match &step.after {
            Some(after) => files::replace(&step.path, Some(before), after),
            None => files::delete(&step.path, before),
        };
        if let Err(why) = done {
            skipped.extend(skip(step, &why));
        }
    }
    let left = |path: &Path| {
        let all = plan.skipped.iter().chain(&skipped);
        all.into_iter().any(|skipped| skipped.path == path)
    };
    manifest.files.retain(|path, written| {
        if !left(path) {
            for host in hosts {
                written.hosts.remove(host.name());
            }
        }
        !written.hosts.is_empty()
    });
    // The innermost first; one that holds something is not removed.
    let folders = std::mem::take(&mut manifest.folders);
    for folder in folders.into_iter().rev() {
        if std::fs::remove_dir(&folder).is_err() && folder.exists() {
            manifest.folders.insert(folder);
        }
    }
    records.save(&manifest)?;
    Ok(skipped)
}

fn skip<'a>(step: &'a Step, why: &'a str) -> impl Iterator<Item = Skipped> + 'a {
    step.hosts.iter().map(move |&host| Skipped {
        host,
        path: step.path.clone(),
        why: why.to_owned(),
    })
}

fn is_claude_state(step: &Step, home: &Home) -> bool {
    step.path == hosts::claude_state(home)
}

/// Whether the file says now what was planned, however it is laid out.
fn is_in_place(step: &Step, home: &Home, program: &str) -> bool {
    let pieces = hosts::pieces(Host::Claude, home, program);
    let piece = pieces.iter().find(|piece| piece.path == step.path);
    let text = files::read(&step.path).ok().flatten();
    piece.is_some_and(|piece| {
        text.is_some() && piece.form.put(text.as_deref(), program).ok() == text
    })
}

async fn run(program: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.status()).await;
    matches!(ended, Ok(Ok(status)) if status.success())
}

//! What would be done to the files of hosts. All of it is worked out, and what would be written read back,
//! before anything is written; a host of which one file cannot be changed is left alone whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use commontrace_hook::host::Host;
use serde_json::Value;

use super::home::Home;
use super::hosts::{self, Piece};
use super::manifest::{Manifest, Records, Written};
use super::{files, json};

/// One file as it is and as it is to be.
#[derive(Debug)]
pub struct Step {
    pub hosts: BTreeSet<Host>,
    pub path: PathBuf,
    pub what: &'static str,
    pub before: Option<String>,
    pub after: Option<String>,
    /// What it was before anything of ours was in it.
    pub original: Option<String>,
    /// Whether others have something in it as well.
    pub shared: bool,
}

impl Step {
    /// Whether there is anything to do.
    pub fn changes(&self) -> bool {
        self.before != self.after
    }
}

/// Why nothing is done to a host or to a file of it.
#[derive(Debug)]
pub struct Skipped {
    pub host: Host,
    pub path: PathBuf,
    pub why: String,
}

/// What would be done.
#[derive(Debug, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub skipped: Vec<Skipped>,
    /// What there is to know, one sentence each.
    pub notes: Vec<String>,
}

impl Plan {
    fn add(&mut self, step: Step) {
        let same = |other: &&mut Step| other.path == step.path;
        match self.steps.iter_mut().find(same) {
            Some(other) => other.hosts.extend(step.hosts),
            None => self.steps.push(step),
        }
    }
}

/// Plans to put ours into the files of these hosts.
pub fn put(
    hosts: &[Host],
    home: &Home,
    program: &str,
    records: &Records,
    manifest: &Manifest,
) -> Plan {
    let mut plan = Plan::default();
    for &host in hosts {
        if host == Host::Claude && has_plugin(home) {
            plan.notes.push(
                "Claude Code has the plugin commontrace enabled, which brings the same; nothing was written".to_owned(),
            );
            continue;
        }
        let pieces = hosts::pieces(host, home, program);
        let steps: Result<Vec<Step>, Skipped> = pieces
            .iter()
            .map(|piece| {
                put_piece(host, piece, program, records, manifest).map_err(|why| Skipped {
                    host,
                    path: piece.path.clone(),
                    why,
                })
            })
            .collect();
        match steps {
            Ok(steps) => steps.into_iter().for_each(|step| plan.add(step)),
            Err(skipped) => plan.skipped.push(skipped),
        }
    }
    plan
}

fn put_piece(
    host: Host,
    piece: &Piece,
    program: &str,
    records: &Records,
    manifest: &Manifest,
) -> Result<Step, String> {
    let before = files::read(&piece.path)?;
    let after = piece.form.put(before.as_deref(), program)?;
    if before.as_ref() != Some(&after) {
        files::refuse_read_only(&piece.path)?;
    }
    let untouched = untouched(&piece.path, before.as_deref(), manifest);
    let original = match (&before, untouched) {
        (None, _) => None,
        (Some(text), Some(written)) => match &written.before {
            None => None,
            Some(hash) => match records.backed_up(hash) {
                Some(original) => Some(original),
                None => piece.form.take(text)?,
            },
        },
        (Some(text), None) if piece.form.is_shared() => piece.form.take(text)?,
        // Ours already, if of a version that nothing is known of.
        (Some(text), None) if *text == after => None,
        (Some(text), None) => Some(text.clone()),
    };
    Ok(Step {
        hosts: [host].into(),
        path: piece.path.clone(),
        what: piece.form.what(),
        before,
        after: Some(after),
        original,
        shared: piece.form.is_shared(),
    })
}

/// Plans to take ours out of the files of these hosts.
pub fn take(
    hosts: &[Host],
    home: &Home,
    program: &str,
    records: &Records,
    manifest: &Manifest,
) -> Plan {
    let mut plan = Plan::default();
    for &host in hosts {
        let mut pieces = hosts::pieces(host, home, program);
        pieces.extend(elsewhere(host, &pieces, manifest));
        for piece in pieces {
            let kept_for = manifest.files.get(&piece.path).is_some_and(|written| {
                let mut others = written.hosts.iter();
                others.any(|name| !hosts.iter().any(|host| host.name() == name.as_str()))
            });
            if kept_for {
                continue;
            }
            match take_piece(host, &piece, program, records, manifest) {
                Ok(step) => step.into_iter().for_each(|step| plan.add(step)),
                Err(why) => plan.skipped.push(Skipped {
                    host,
                    path: piece.path,
                    why,
                }),
            }
        }
    }
    plan
}

/// Files that were written for a host where it is not looked for now: a variable named another folder then.
fn elsewhere(host: Host, known: &[Piece], manifest: &Manifest) -> Vec<Piece> {
    let of_host = manifest.files.iter().filter(|(path, written)| {
        written.hosts.contains(host.name()) && !known.iter().any(|piece| piece.path == **path)
    });
    of_host
        .filter_map(|(path, written)| {
            let form = known.iter().find(|piece| {
                piece.path.file_name() == path.file_name()
                    && piece.form.is_shared() == written.shared
            });
            Some(Piece {
                path: path.clone(),
                form: form?.form.clone(),
            })
        })
        .collect()
}

fn take_piece(
    host: Host,
    piece: &Piece,
    program: &str,
    records: &Records,
    manifest: &Manifest,
) -> Result<Option<Step>, String> {
    let Some(before) = files::read(&piece.path)? else {
        return Ok(None);
    };
    let kept = |hash: &String| records.backed_up(hash);
    let after = match untouched(&piece.path, Some(&before), manifest) {
        Some(Written { before: None, .. }) => None,
        Some(Written {
            before: Some(hash), ..
        }) if kept(hash).is_some() => kept(hash),
        _ if piece.form.is_shared() => piece.form.take(&before)?,
        _ if piece.form.put(None, program).as_ref() == Ok(&before) => None,
        _ => return Err("was changed by somebody else; delete it if nobody needs it".to_owned()),
    };
    if after.as_ref() == Some(&before) {
        return Ok(None);
    }
    files::refuse_read_only(&piece.path)?;
    Ok(Some(Step {
        hosts: [host].into(),
        path: piece.path.clone(),
        what: piece.form.what(),
        before: Some(before),
        after,
        original: None,
        shared: piece.form.is_shared(),
    }))
}

/// What is known of a file that is as it was left.
fn untouched<'a>(path: &Path, text: Option<&str>, manifest: &'a Manifest) -> Option<&'a Written> {
    let written = manifest.files.get(path)?;
    (written.after == files::sha256(text?)).then_some(written)
}

/// Whether Claude Code has our plugin, which brings the same hooks and the same server.
pub fn has_plugin(home: &Home) -> bool {
    let settings = hosts::claude_folder(home).join("settings.json");
    let text = files::read(&settings).ok().flatten().unwrap_or_default();
    let Ok(settings) = json::parse(&text) else {
        return false;
    };
    let plugins = settings.get("enabledPlugins").and_then(Value::as_object);
    plugins
        .into_iter()
        .flatten()
        .any(|(name, enabled)| name.starts_with("commontrace@") && enabled.as_bool() != Some(false))
}

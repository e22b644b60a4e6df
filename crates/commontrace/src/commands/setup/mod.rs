//! `commontrace setup`: wires this program into the hosts of agents on this machine, and takes it out again.

mod apply;
mod check;
mod files;
mod home;
mod hosts;
mod json;
mod manifest;
mod plan;
mod plugin;
mod started;
mod toml;
mod wiring;

use std::path::Path;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use commontrace_hook::host::Host;
use similar::TextDiff;

use self::check::Checked;
use self::home::Home;
use self::hosts::title;
use self::manifest::{Manifest, Records};
use self::plan::{Plan, Skipped, Step};
use super::{complain, say};
use crate::commands::people::remote;
use crate::config::{BaseUrl, Config, ConfigArgs, Environment};
use crate::failure::Failure;

/// Which hosts, and what to do with them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hosts to set up; `all` means those that are found; without any, says what is found and what would be
    /// done
    #[arg(value_name = "HOST", value_parser = target_parser())]
    hosts: Vec<Target>,
    /// Take out again what was written
    #[arg(long)]
    remove: bool,
    /// Start what the hosts would start and see whether it works; without hosts, those that are set up
    #[arg(long, conflicts_with_all = ["remove", "dry_run"])]
    check: bool,
    /// Print the changes as a diff and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Share the commons of this server beside the one of this machine, with a new account if there is no key for
    /// it yet; the same as `commontrace remote add URL`
    #[arg(long, value_name = "URL", value_parser = remote::address, requires = "hosts",
        conflicts_with_all = ["remove", "check", "dry_run"])]
    server: Option<BaseUrl>,
}

/// A word on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    One(Host),
    All,
}

fn target_parser() -> impl clap::builder::TypedValueParser<Value = Target> {
    let names = Host::ALL.into_iter().map(Host::name).chain(["all"]);
    PossibleValuesParser::new(names).map(|name| Host::named(&name).map_or(Target::All, Target::One))
}

/// Does what was asked; exit code 1 if something could not be done or does not work.
pub async fn run(
    config: Config,
    args: Args,
    flags: &ConfigArgs,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    let home = Home::of(env)?;
    let records = Records::below(&config.storage.data_dir);
    if args.check {
        let hosts = if args.hosts.is_empty() {
            check::wired_hosts(&home)
        } else {
            chosen(&args.hosts, &home)?
        };
        if hosts.is_empty() {
            return Err(
                Failure::new("no host is set up").hint("`commontrace setup` says which are found")
            );
        }
        return report_check(&hosts, &home).await;
    }
    let program = home.this_program()?;
    if args.hosts.is_empty() {
        return Ok(overview(&home, &program, &records));
    }
    let hosts = chosen(&args.hosts, &home)?;
    if args.dry_run {
        let plan = planned(&args, &hosts, &home, &program, &records, &records.load());
        let changed = plan.steps.iter().filter(|step| step.changes());
        changed.for_each(|step| say(diff(step).trim_end()));
        complain_of(&plan.skipped, &home);
        return Ok(code(plan.skipped.is_empty()));
    }
    if let Some(url) = args.server.clone() {
        let add = remote::Command::Add {
            url,
            key_stdin: false,
            register: false,
        };
        remote::run(config.clone(), add, flags, env).await?;
    }
    let lock = records.lock()?;
    let manifest = records.load();
    let mut plan = planned(&args, &hosts, &home, &program, &records, &manifest);
    let skipped = if args.remove {
        apply::take(&plan, &hosts, &records, manifest)?
    } else {
        apply::put(&plan, &home, &program, &records, manifest).await?
    };
    drop(lock);
    plan.skipped.extend(skipped);
    report(&plan, &home, args.remove);
    if args.remove {
        return Ok(code(plan.skipped.is_empty()));
    }
    let done = |host: &&Host| !plan.skipped.iter().any(|skipped| skipped.host == **host);
    let done: Vec<Host> = hosts.iter().filter(done).copied().collect();
    for note in notes(&config, &home, &program, &done) {
        complain(&format!("note: {note}"));
    }
    let works = report_check(&done, &home).await?;
    Ok(if plan.skipped.is_empty() {
        works
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the folder of Claude Code's plugin, which is written first, and nothing else.
pub fn claude_plugin_path(config: &Config, env: &Environment) -> Result<(), Failure> {
    let program = Home::of(env)?.this_program()?;
    let data_dir = &config.storage.data_dir;
    let _lock = Records::below(data_dir).lock()?;
    let folder = plugin::render(data_dir, &program).map_err(|why| {
        Failure::new(why).hint(
            "the plugin is written to the data directory; choose one with COMMONTRACE_DATA_DIR",
        )
    })?;
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    say(folder.display());
    Ok(())
}

/// Looks whether the hosts that are set up would start this program: what works, and what does not.
pub async fn look(env: &Environment) -> Option<(Vec<String>, Vec<String>)> {
    let home = Home::of(env).ok()?;
    let hosts = check::wired_hosts(&home);
    let (mut works, mut wrong) = (Vec::new(), Vec::new());
    for checked in checked(&hosts, &home).await.ok()? {
        let name = title(checked.host);
        if checked.wrong.is_empty() {
            works.push(name.to_owned());
        }
        wrong.extend(checked.wrong.iter().map(|why| format!("{name}: {why}")));
    }
    (!hosts.is_empty()).then_some((works, wrong))
}

fn planned(
    args: &Args,
    hosts: &[Host],
    home: &Home,
    program: &str,
    records: &Records,
    manifest: &Manifest,
) -> Plan {
    if args.remove {
        plan::take(hosts, home, program, records, manifest)
    } else {
        plan::put(hosts, home, program, records, manifest)
    }
}

fn chosen(targets: &[Target], home: &Home) -> Result<Vec<Host>, Failure> {
    let is_meant = |host: &Host| {
        targets.contains(&Target::One(*host))
            || targets.contains(&Target::All) && hosts::found(*host, home).is_some()
    };
    let chosen: Vec<Host> = Host::ALL.into_iter().filter(is_meant).collect();
    if chosen.is_empty() {
        return Err(
            Failure::new("none of the hosts that this program knows is found here")
                .hint("name the one that you use: `commontrace setup claude`, for example"),
        );
    }
    Ok(chosen)
}

/// Says what is found and what setting it up would do.
fn overview(home: &Home, program: &str, records: &Records) -> ExitCode {
    let manifest = records.load();
    let mut names = Vec::new();
    for host in Host::ALL {
        let name = host.name();
        let Some(found) = hosts::found(host, home) else {
            say(format_args!("{name:<9} {:<12} not found", title(host)));
            continue;
        };
        names.push(name);
        let plan = plan::put(&[host], home, program, records, &manifest);
        let state = match &plan.skipped[..] {
            [] => state(&plan),
            [skipped, ..] => format!("cannot be: {} {}", home.shown(&skipped.path), skipped.why),
        };
        let (title, found) = (title(host), home.shown(&found));
        say(format_args!(
            "{name:<9} {title:<12} found ({found}); {state}"
        ));
    }
    say("");
    match names.first() {
        Some(first) => say(format_args!(
            "Nothing was changed. Name the hosts to set up: `commontrace setup {first}`, or `commontrace setup all` \
             for those that are found; with --dry-run to see each change first."
        )),
        None => say(
            "No host is found. Name the one that you use: `commontrace setup claude`, for example.",
        ),
    }
    ExitCode::SUCCESS
}

fn state(plan: &Plan) -> String {
    let count = |outcome: &str| {
        let steps = plan.steps.iter().filter(|step| step.changes());
        steps.filter(|step| self::outcome(step) == outcome).count()
    };
    match (count("created"), count("updated")) {
        (0, 0) => match &plan.notes[..] {
            [] => "is set up".to_owned(),
            notes => notes.join("; "),
        },
        (created, updated) => format!("would create {created} and update {updated} files"),
    }
}

fn outcome(step: &Step) -> &'static str {
    match (&step.before, &step.after) {
        (before, after) if before == after => "unchanged",
        (None, _) => "created",
        (Some(_), Some(_)) => "updated",
        (Some(_), None) => "removed",
    }
}

fn diff(step: &Step) -> String {
    let (before, after) = (step.before.as_deref(), step.after.as_deref());
    let path = step.path.display().to_string();
    let name = |text: Option<&str>| text.map_or("/dev/null", |_| path.as_str());
    TextDiff::from_lines(before.unwrap_or(""), after.unwrap_or(""))
        .unified_diff()
        .header(name(before), name(after))
        .to_string()
}

fn report(plan: &Plan, home: &Home, is_removal: bool) {
    let is_skipped = |step: &&Step| !plan.skipped.iter().any(|skipped| skipped.path == step.path);
    for step in plan.steps.iter().filter(is_skipped) {
        let hosts: Vec<&str> = step.hosts.iter().map(|host| host.name()).collect();
        let outcome = if is_removal { "removed" } else { outcome(step) };
        let (hosts, path) = (hosts.join(", "), home.shown(&step.path));
        let what = if step.shared { step.what } else { "all of it" };
        say(format_args!("{outcome:<9} {hosts}: {path} ({what})"));
    }
    for note in &plan.notes {
        say(format_args!("unchanged {note}"));
    }
    complain_of(&plan.skipped, home);
}

fn complain_of(skipped: &[Skipped], home: &Home) {
    for Skipped { host, path, why } in skipped {
        let (name, path) = (host.name(), home.shown(path));
        complain(&format!("skipped   {name}: {path} {why}"));
    }
}

fn notes(config: &Config, home: &Home, program: &str, done: &[Host]) -> Vec<String> {
    let mut notes: Vec<String> = home.passing(program).into_iter().collect();
    if config.is_given_to_this_process("data_dir") {
        notes.push(
            "hosts do not get this shell's variables and flags: put data_dir into ~/.config/commontrace/config.toml \
             if agents are to use it"
                .to_owned(),
        );
    }
    for &host in done {
        if hosts::found(host, home).is_none() {
            notes.push(format!(
                "{} was not found; it is set up for when it is installed",
                title(host)
            ));
        }
        notes.extend(hosts::notes(host).iter().map(|&note| note.to_owned()));
    }
    notes
}

async fn report_check(hosts: &[Host], home: &Home) -> Result<ExitCode, Failure> {
    let mut all_works = true;
    for Checked { host, works, wrong } in checked(hosts, home).await? {
        all_works &= wrong.is_empty();
        let name = host.name();
        if !works.is_empty() {
            say(format_args!("works     {name}: {}", works.join("; ")));
        }
        for why in wrong {
            say(format_args!("WRONG     {name}: {why}"));
        }
    }
    Ok(code(all_works))
}

/// Starts what the hosts would start, with a data directory that nothing is kept of.
async fn checked(hosts: &[Host], home: &Home) -> Result<Vec<Checked>, Failure> {
    let data = tempfile::tempdir()
        .map_err(|err| Failure::new(format!("cannot make a temporary folder: {err}")))?;
    let mut all = Vec::new();
    for &host in hosts {
        let data: &Path = data.path();
        all.push(check::check(host, home, data).await);
    }
    Ok(all)
}

fn code(is_fine: bool) -> ExitCode {
    if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

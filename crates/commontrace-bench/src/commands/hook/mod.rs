//! `hook`: recorded commands of real tools, told to `commontrace hook` as hosts tell them, on a store with many traces
//! of other people: what it tells the agent, and how long each process takes.

mod crowd;
mod driver;
mod recorded;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use self::crowd::Crowd;
use self::driver::Driver;
use self::recorded::{Host, Recorded, Sets};
use crate::report::{Report, Table, note, verdict};
use crate::server::{ServerArgs, program};
use crate::stats::{Latencies, milliseconds};

/// Of a hundred failures, so many of those with a trace are to be told of it, and so many of the others of nothing.
const GOAL: usize = 90;
/// The longest median of a process that has nothing to do, and of one that answers from the store on this machine.
const IDLE: Duration = Duration::from_millis(5);
const ANSWERED: Duration = Duration::from_millis(30);

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of evaluation sets, whose documents are the other traces
    folder: PathBuf,
    /// Other traces in the store
    #[arg(long, default_value_t = 10_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    traces: usize,
    /// Take the commands that thresholds are chosen with, instead of those that they are checked with
    #[arg(long)]
    dev: bool,
    /// Processes whose time is taken, of each kind
    #[arg(long, default_value_t = 200, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    runs: usize,
    /// Processes that are started at once; 0 for none
    #[arg(long, default_value_t = 1000)]
    crowd: usize,
    /// Keep the filled store in this folder, or take the one that is there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Show what the agent was told in each case that is not as it should be
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What the agent was told of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Of the trace that solves it.
    Right,
    /// Of another one.
    Wrong,
    /// Of nothing.
    Silent,
}

/// How often what was told.
#[derive(Debug, Default)]
struct Counts {
    right: usize,
    wrong: usize,
    silent: usize,
    /// Each case that is not as it should be, with what the agent was told.
    cases: Vec<(String, Outcome, String)>,
}

/// Fills a store and drives the hook.
pub async fn run(args: &Args) -> Result<Report> {
    let sets = Sets::read(args.dev)?;
    let filled = store::filled(
        &args.server,
        &args.folder,
        args.traces,
        &sets.fixes(),
        args.keep.as_deref(),
    )
    .await?;
    let binary = program(args.server.binary.as_deref())?;
    let driver = Driver::new(binary, filled.data_dir(), filled.folder())?;

    let answered = tell(&driver, &sets.failing, |case, told| {
        let id = filled.fixes.get(&case.id);
        match told {
            None => Outcome::Silent,
            Some(told) if id.is_some_and(|id| told.contains(id.as_str())) => Outcome::Right,
            Some(_) => Outcome::Wrong,
        }
    })?;
    let unanswered = tell(&driver, &sets.unanswered, |_, told| match told {
        None => Outcome::Silent,
        Some(_) => Outcome::Wrong,
    })?;
    let alarms = alarms(&driver, &sets).await?;
    let idle = idle(&driver, &sets, args.runs)?;
    let local = local(&driver, &sets, args.runs)?;
    let crowd = match args.crowd {
        0 => None,
        count => {
            note(format_args!("starting {count} hooks at once"));
            let place = filled.folder().join("crowd");
            std::fs::create_dir_all(&place)?;
            let store = filled.data_dir().join("commontrace.db");
            Some(crowd::run(&driver, &sets.failing, count, &store, &place).await?)
        }
    };
    if args.explain {
        for (id, outcome, told) in answered.cases.iter().chain(&unanswered.cases) {
            note(format_args!("{id}: {outcome:?}\n{told}\n"));
        }
    }
    Ok(report(
        &sets,
        &answered,
        &unanswered,
        &alarms,
        [&idle, &local],
        crowd.as_ref(),
    ))
}

/// Tells Claude Code's hook of each failure in a session of its own, and judges what it says.
fn tell(
    driver: &Driver,
    cases: &[Recorded],
    judge: impl Fn(&Recorded, Option<&str>) -> Outcome,
) -> Result<Counts> {
    driver.forget()?;
    let mut counts = Counts::default();
    for case in cases {
        let event = Host::Claude.event(case, &format!("told-{}", case.id));
        let told = driver.run(Host::Claude.name(), &event)?.told;
        let outcome = judge(case, told.as_deref());
        match outcome {
            Outcome::Right => counts.right += 1,
            Outcome::Wrong => counts.wrong += 1,
            Outcome::Silent => counts.silent += 1,
        }
        counts
            .cases
            .push((case.id.clone(), outcome, told.unwrap_or_default()));
    }
    Ok(counts)
}

/// Tells every host's hook of commands that succeeded, after one has failed in the same session. Returns those that the
/// agent was told something of or that were noted as failed.
async fn alarms(driver: &Driver, sets: &Sets) -> Result<Vec<String>> {
    let mut alarms = Vec::new();
    for host in [Host::Claude, Host::Codex, Host::Gemini] {
        driver.forget()?;
        let session = "alarm";
        let Some(first) = sets.failing.first() else {
            break;
        };
        for case in &sets.successful {
            let failed = Recorded {
                cwd: case.cwd.clone(),
                ..first.clone()
            };
            // Only this host's failures make it look at what succeeds.
            driver.run(
                Host::Claude.name(),
                &Host::Claude.event(&failed, &format!("{session}-{}", case.id)),
            )?;
            let before = crowd::failures_noted(&driver.history()).await?;
            let event = host.event(case, &format!("{session}-{}", case.id));
            let told = driver.run(host.name(), &event)?.told;
            let noted = crowd::failures_noted(&driver.history()).await? - before;
            if told.is_some() || noted != 0 {
                alarms.push(format!("{} {}", host.name(), case.id));
            }
        }
    }
    Ok(alarms)
}

/// Times of hooks on commands that succeed while no failure is open.
fn idle(driver: &Driver, sets: &Sets, runs: usize) -> Result<Latencies> {
    driver.forget()?;
    let times = (0..runs).map(|run| {
        let case = &sets.successful[run % sets.successful.len()];
        let event = Host::Claude.event(case, "idle");
        Ok(driver.run(Host::Claude.name(), &event)?.took)
    });
    Ok(Latencies::new(times.collect::<Result<_>>()?))
}

/// Times of hooks on failures for which the store has a trace, each new to its session.
fn local(driver: &Driver, sets: &Sets, runs: usize) -> Result<Latencies> {
    driver.forget()?;
    let mut times = Vec::new();
    // Those that stay silent are left out; with none that answers there is nothing to time.
    for run in 0..runs * 2 {
        if times.len() == runs {
            break;
        }
        let case = &sets.failing[run % sets.failing.len()];
        let event = Host::Claude.event(case, &format!("local-{run}"));
        let answer = driver.run(Host::Claude.name(), &event)?;
        if answer.told.is_some() {
            times.push(answer.took);
        }
    }
    Ok(Latencies::new(times))
}

fn report(
    sets: &Sets,
    answered: &Counts,
    unanswered: &Counts,
    alarms: &[String],
    [idle, local]: [&Latencies; 2],
    crowd: Option<&Crowd>,
) -> Report {
    let mut failures = Vec::new();
    let mut goal = |met: bool, goal: &str, missed: String| {
        if !met {
            failures.push(missed);
        }
        verdict(goal, met)
    };
    let mut told = Table::new(&["commands", "count", "right", "wrong", "silent", "goal"]);
    let least = |count: usize| (count * GOAL).div_ceil(100);
    let few = least(sets.failing.len());
    let met = goal(
        answered.right >= few,
        &format!("{few} right"),
        format!("{} failures were answered rightly", answered.right),
    );
    told.row(row("failed, with a trace that solves it", answered, met));
    let few = least(sets.unanswered.len());
    let met = goal(
        unanswered.silent >= few,
        &format!("{few} silent"),
        format!(
            "{} failures were answered without a trace for them",
            unanswered.wrong
        ),
    );
    told.row(row("failed, without one", unanswered, met));
    let total = 3 * sets.successful.len();
    let met = goal(
        alarms.is_empty(),
        "0 taken for failures",
        format!("false alarms: {}", alarms.join(", ")),
    );
    told.row([
        "succeeded, told by 3 hosts".to_owned(),
        total.to_string(),
        String::new(),
        alarms.len().to_string(),
        (total - alarms.len()).to_string(),
        met,
    ]);

    let mut times = Table::new(&[
        "whole process",
        "count",
        "p50 ms",
        "p95 ms",
        "max ms",
        "goal p50",
    ]);
    for (name, latencies, limit) in [
        ("nothing to do", idle, IDLE),
        ("answer from the store", local, ANSWERED),
    ] {
        let median = latencies.percentile(50);
        let limit_ms = format!("{} ms", limit.as_millis());
        let met = goal(
            median <= limit,
            &limit_ms,
            format!("{name}: {} ms", milliseconds(median)),
        );
        times.row(time_row(name, latencies, met));
    }
    let mut tables = vec![told, times];
    let mut figures = json!({
        "answered": answered.to_json(), "unanswered": unanswered.to_json(), "false_alarms": alarms,
        "idle": idle.to_json(), "local": local.to_json(),
    });
    if let Some(crowd) = crowd {
        let wrong = crowd.errors.len() + crowd.logged.len();
        // One whose time is over notes nothing.
        let lost = crowd.lost > crowd.gave_up as i64;
        let is_whole = wrong == 0 && !lost && crowd.corrupted.is_empty();
        let first = crowd
            .errors
            .iter()
            .chain(&crowd.logged)
            .chain(&crowd.corrupted)
            .next();
        let met = goal(
            is_whole,
            "none",
            format!(
                "the crowd: {}",
                first.map_or("failures were lost", String::as_str)
            ),
        );
        let mut table = Table::new(&[
            "at once",
            "errors",
            "gave up",
            "lost",
            "corrupted",
            "p50 ms",
            "max ms",
            "all s",
            "goal",
        ]);
        table.row([
            crowd.times.len().to_string(),
            wrong.to_string(),
            crowd.gave_up.to_string(),
            crowd.lost.to_string(),
            crowd.corrupted.len().to_string(),
            milliseconds(crowd.times.percentile(50)),
            milliseconds(crowd.times.percentile(100)),
            format!("{:.1}", crowd.took.as_secs_f64()),
            met,
        ]);
        tables.push(table);
        figures["crowd"] = json!({
            "times": crowd.times.to_json(), "errors": crowd.errors, "logged": crowd.logged, "gave_up": crowd.gave_up,
            "lost": crowd.lost,
            "corrupted": crowd.corrupted, "took_ms": crowd.took.as_millis() as u64,
        });
    }
    Report {
        tables,
        figures,
        failures,
    }
}

fn row(name: &str, counts: &Counts, goal: String) -> [String; 6] {
    let count = counts.right + counts.wrong + counts.silent;
    let numbers = [count, counts.right, counts.wrong, counts.silent].map(|count| count.to_string());
    let [count, right, wrong, silent] = numbers;
    [name.to_owned(), count, right, wrong, silent, goal]
}

fn time_row(name: &str, latencies: &Latencies, goal: String) -> [String; 6] {
    let [p50, p95, max] = [50, 95, 100].map(|percent| milliseconds(latencies.percentile(percent)));
    [
        name.to_owned(),
        latencies.len().to_string(),
        p50,
        p95,
        max,
        goal,
    ]
}

impl Counts {
    fn to_json(&self) -> Value {
        let cases = self.cases.iter().map(|(id, outcome, _)| {
            let outcome = match outcome {
                Outcome::Right => "right",
                Outcome::Wrong => "wrong",
                Outcome::Silent => "silent",
            };
            (id.clone(), json!(outcome))
        });
        json!({
            "right": self.right, "wrong": self.wrong, "silent": self.silent,
            "cases": cases.collect::<serde_json::Map<_, _>>(),
        })
    }
}

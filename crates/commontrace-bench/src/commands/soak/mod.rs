//! `soak`: breaks one part of a scaled-out deployment after the other while clients write, read and
//! search, and looks for everything that was acknowledged.
//!
//! Nothing of ours is ever restarted but what the round itself has ended.

mod ballast;
mod deployment;
mod fault;
mod load;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::{join, join_all};
use serde_json::json;
use tokio::time::sleep;

use crate::acknowledged::{Clients, KINDS, Ledger, Losses, Scope, Writer, verify};
use crate::client::Target;
use crate::report::{Report, Table, note, verdict};
use crate::rng::Rng;
use crate::server::{Server, ServerArgs};
use crate::stats::{Latencies, milliseconds};
use deployment::Deployment;
use fault::{Fault, KILLS};
use load::{Met, Round};

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many faults happen, one after the other
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The faults to go through, round by round [default: the six kills]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT")]
    faults: Vec<Fault>,
    /// A folder on a small disk of its own for PostgreSQL's data, to be filled
    #[arg(long, value_name = "DIR")]
    small_disk: Option<PathBuf>,
    #[command(flatten)]
    writers: Clients,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Load before the fault, in milliseconds.
const BEFORE: (usize, usize) = (300, 1500);
/// How long a fault lasts beyond what it needs, in milliseconds.
const WHILE: (usize, usize) = (0, 1000);
/// Load after everything is well again.
const AFTER: Duration = Duration::from_millis(300);

/// What the rounds of one fault have shown.
#[derive(Debug, Default)]
struct Seen {
    rounds: usize,
    acknowledged: usize,
    unavailable: usize,
    cut_off: usize,
    lost: usize,
    recoveries: Vec<Duration>,
}

/// Breaks, puts right, verifies, and begins again.
pub async fn run(args: &Args) -> Result<Report> {
    let faults = match args.faults.as_slice() {
        [] => &KILLS[..],
        faults => faults,
    };
    let mut moments = args.writers.moments();
    let mut deployment = Deployment::start(&args.server, args.small_disk.as_deref()).await?;
    let nodes: Vec<_> = deployment.nodes.iter().map(Server::target).collect();
    let writers = args.writers.register(&nodes).await?;
    let mut soak = Soak {
        ledger: RefCell::new(Ledger::new(writers.len())),
        writers,
        losses: Losses::default(),
        failures: Vec::new(),
        seen: BTreeMap::new(),
    };
    for (number, &fault) in (1..=args.rounds).zip(faults.iter().cycle()) {
        soak.round(number, fault, &mut moments, &mut deployment, args)
            .await
            .with_context(|| format!("round {number}, {}", fault.name()))?;
    }
    note(format_args!("looking for everything of all rounds"));
    let lost = soak.verify(Scope::Everything).await?;
    soak.losses.add(lost);
    let repeats = deployment.endpoint.repeats();
    deployment.stop().await?;
    Ok(soak.report(args, repeats))
}

#[derive(Debug)]
struct Soak {
    ledger: RefCell<Ledger>,
    writers: Vec<Writer>,
    losses: Losses,
    failures: Vec<String>,
    seen: BTreeMap<Fault, Seen>,
}

impl Soak {
    async fn round(
        &mut self,
        number: u32,
        fault: Fault,
        moments: &mut Rng,
        deployment: &mut Deployment,
        args: &Args,
    ) -> Result<()> {
        self.ledger.get_mut().begin_round();
        let acknowledged = self.acknowledged();
        let unavailable: usize = self.writers.iter().map(|writer| writer.unavailable).sum();
        let round = Round::new(fault, targets(deployment));
        let mut moment =
            |(from, to)| Duration::from_millis((from + moments.below(to - from)) as u64);
        let (before, longer) = (moment(BEFORE), moment(WHILE));
        let ledger = &self.ledger;
        let writing = join_all(
            self.writers
                .iter_mut()
                .map(async |writer| round.write(writer, ledger).await),
        );
        let breaking = async {
            let done = async {
                sleep(before).await;
                let held = fault.happen(deployment, args.small_disk.as_deref()).await?;
                sleep(fault.lasts() + longer).await;
                let begun = Instant::now();
                fault.put_right(held, deployment).await?;
                round.move_to(targets(deployment));
                deployment.recovered().await?;
                let recovery = begun.elapsed();
                sleep(AFTER).await;
                anyhow::Ok(recovery)
            }
            .await;
            round.end();
            done
        };
        let (met, recovery) = join(writing, breaking).await;
        let met = met.into_iter().collect::<Result<Vec<Met>>>()?;
        let recovery = recovery?;
        // A replica shows what it has replayed, to others than the writer.
        deployment.cluster.caught_up().await;
        let mut failures = Vec::new();
        let unembedded = deployment.embedded().await?;
        if unembedded > 0 {
            failures.push(format!("{unembedded} traces have not exactly one vector"));
        }
        let lost = self.verify(Scope::LastRound).await?;
        for writer in &mut self.writers {
            failures.append(&mut writer.unexpected);
        }
        let internal = deployment.answered("status_code=\"500\"").await?;
        if internal > 0.0 {
            failures.push(format!("{internal} answers of 500"));
        }
        let now_unavailable: usize = self.writers.iter().map(|writer| writer.unavailable).sum();
        let acknowledged = self.acknowledged() - acknowledged;
        let seen = self.seen.entry(fault).or_default();
        seen.rounds += 1;
        seen.acknowledged += acknowledged;
        seen.unavailable += now_unavailable - unavailable;
        seen.lost += lost.count();
        seen.recoveries.push(recovery);
        for met in met {
            seen.cut_off += met.cut_off;
            failures.extend(met.failures);
        }
        note(format_args!(
            "round {number}, {}: {acknowledged} acknowledged, {} lost, well again after {} ms, {} failures",
            fault.name(),
            lost.count(),
            milliseconds(recovery),
            failures.len(),
        ));
        let name = fault.name();
        self.failures.extend(
            failures
                .into_iter()
                .map(|failure| format!("round {number}, {name}: {failure}")),
        );
        self.losses.add(lost);
        Ok(())
    }

    fn acknowledged(&self) -> usize {
        let ledger = self.ledger.borrow();
        KINDS.iter().map(|&kind| ledger.count(kind)).sum()
    }

    async fn verify(&mut self, scope: Scope) -> Result<Losses> {
        Box::pin(verify(self.ledger.get_mut(), scope, &mut self.writers)).await
    }

    fn report(self, args: &Args, repeats: usize) -> Report {
        let mut faults = Table::new(&[
            "fault",
            "rounds",
            "acknowledged",
            "lost",
            "answered 503",
            "cut off",
            "well again p50 ms",
            "max ms",
        ]);
        for (fault, seen) in &self.seen {
            let [p50, _, _, max] = Latencies::new(seen.recoveries.clone()).cells();
            faults.row([
                fault.name(),
                seen.rounds.to_string(),
                seen.acknowledged.to_string(),
                seen.lost.to_string(),
                seen.unavailable.to_string(),
                seen.cut_off.to_string(),
                p50,
                max,
            ]);
        }
        let ledger = self.ledger.borrow();
        let mut table = Table::new(&["acknowledged", "count", "lost", "goal"]);
        for kind in KINDS {
            let lost = self.losses.of(kind);
            table.row([
                kind.name().to_owned(),
                ledger.count(kind).to_string(),
                lost.to_string(),
                verdict("0 lost", lost == 0),
            ]);
        }
        let mut embedded = Table::new(&["texts embedded again", "goal"]);
        // A batch that was on its way when its worker, the endpoint or the database was killed.
        let allowed = args.rounds as usize * BATCH;
        embedded.row([
            repeats.to_string(),
            verdict("those on their way at a kill", repeats <= allowed),
        ]);
        let mut failures: Vec<_> = self.losses.examples().map(str::to_owned).collect();
        if repeats > allowed {
            failures.push(format!("{repeats} texts were embedded again"));
        }
        failures.extend(self.failures);
        let figures = json!({
            "rounds": args.rounds, "clients": args.writers.clients, "lost": self.losses.count(),
            "acknowledged": KINDS.iter().map(|&kind| (kind.name(), ledger.count(kind)))
                .collect::<BTreeMap<_, _>>(),
            "embedded_again": repeats,
            "faults": self.seen.iter().map(|(fault, seen)| (fault.name(), json!({
                "rounds": seen.rounds, "acknowledged": seen.acknowledged, "lost": seen.lost,
                "unavailable": seen.unavailable, "cut_off": seen.cut_off,
                "recovery": Latencies::new(seen.recoveries.clone()).to_json(),
            }))).collect::<BTreeMap<_, _>>(),
        });
        Report {
            tables: vec![faults, table, embedded],
            figures,
            failures,
        }
    }
}

/// The most texts that the server embeds at once.
const BATCH: usize = 16;

fn targets(deployment: &Deployment) -> Vec<Target> {
    let nodes = deployment.nodes.iter();
    nodes.map(|node| node.target().clone()).collect()
}

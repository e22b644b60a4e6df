//! `crash`: kills the server with SIGKILL while clients write, starts it again, and looks for
//! everything that it had acknowledged, by this and by all earlier rounds.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::{join, join_all};
use serde_json::json;

use crate::acknowledged::{self, Clients, KINDS, Kind, Ledger, Losses, Scope, Writer};
use crate::report::{Report, Table, note, verdict};
use crate::server::{Embedding, Launch, Server, ServerArgs};
use crate::stats::Latencies;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often to kill the server
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    #[command(flatten)]
    writers: Clients,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// When the server is killed after its clients began, in milliseconds.
const KILL_AFTER: (usize, usize) = (500, 2000);

/// Writes, kills, starts again and verifies.
pub async fn run(args: &Args) -> Result<Report> {
    let embedding = args.server.embedding.unwrap_or(Embedding::Local);
    let launch = Launch::new(&args.server, embedding, false)?;
    let mut moments = args.writers.moments();
    let mut server = launch.start().await?;
    let mut writers = args.writers.register(&[server.target()]).await?;
    let mut ledger = RefCell::new(Ledger::new(writers.len()));
    let mut losses = Losses::default();
    let mut starts = Vec::new();
    for round in 1..=args.rounds {
        ledger.get_mut().begin_round();
        let (from, to) = KILL_AFTER;
        let after = Duration::from_millis((from + moments.below(to - from)) as u64);
        write_until_killed(&mut writers, &ledger, &mut server, after)
            .await
            .map_err(|err| launch.explain(&err))?;
        server = match launch.start().await {
            Ok(server) => server,
            // Nothing that was acknowledged can be read any more.
            Err(err) => bail!("round {round}: the server does not start on its store: {err:#}"),
        };
        starts.push(server.ready_after);
        for writer in &mut writers {
            writer.move_to(server.target());
        }
        let lost = Box::pin(acknowledged::verify(
            ledger.get_mut(),
            Scope::Everything,
            &mut writers,
        ))
        .await?;
        note(format_args!(
            "round {round}: killed after {} ms, {}, lost {}",
            after.as_millis(),
            ledger.get_mut().summary(),
            lost.count()
        ));
        losses.add(lost);
    }
    let repeated = writers.iter().map(|writer| writer.repeated).sum();
    let unexpected = unexpected(&writers);
    server.stop().await.map_err(|err| launch.explain(&err))?;
    Ok(report(
        args,
        &ledger.into_inner(),
        &losses,
        repeated,
        &Latencies::new(starts),
        &unexpected,
    ))
}

async fn write_until_killed(
    writers: &mut [Writer],
    ledger: &RefCell<Ledger>,
    server: &mut Server,
    after: Duration,
) -> Result<()> {
    let killed = Cell::new(false);
    let writing = join_all(writers.iter_mut().map(async |writer| {
        let lost = writer.write_until_cut_off(ledger).await;
        if killed.get() { Ok(()) } else { Err(lost) }
    }));
    let killing = async {
        tokio::time::sleep(after).await;
        killed.set(true);
        server.kill().await
    };
    let (written, done) = join(writing, killing).await;
    done?;
    written
        .into_iter()
        .collect::<Result<Vec<()>>>()
        .context("a client was cut off too early")?;
    Ok(())
}

/// Answers that are neither acknowledgements nor expected refusals, and how many of each.
fn unexpected(writers: &[Writer]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for answer in writers.iter().flat_map(|writer| &writer.unexpected) {
        *counts.entry(answer.as_str()).or_default() += 1;
    }
    counts
}

fn report(
    args: &Args,
    ledger: &Ledger,
    losses: &Losses,
    repeated: usize,
    starts: &Latencies,
    unexpected: &BTreeMap<&str, usize>,
) -> Report {
    let mut table = Table::new(&["acknowledged", "count", "lost", "goal"]);
    for kind in KINDS {
        let (count, lost) = (ledger.count(kind), losses.of(kind));
        let name = kind.name().to_owned();
        table.row([
            name,
            count.to_string(),
            lost.to_string(),
            verdict("0 lost", lost == 0),
        ]);
    }
    let mut runs = Table::new(&[
        "kills",
        "starts by itself",
        "start p50 ms",
        "start max ms",
        "resent and kept once",
    ]);
    let [p50, _, _, max] = starts.cells();
    runs.row([
        args.rounds.to_string(),
        starts.len().to_string(),
        p50,
        max,
        repeated.to_string(),
    ]);
    let mut failures: Vec<_> = losses.examples().map(str::to_owned).collect();
    failures.extend(
        unexpected
            .iter()
            .map(|(answer, count)| format!("{count} times: {answer}")),
    );
    let counts = |of: &dyn Fn(Kind) -> usize| {
        KINDS
            .iter()
            .map(|&kind| (kind.name(), of(kind)))
            .collect::<BTreeMap<_, _>>()
    };
    let figures = json!({
        "rounds": args.rounds, "clients": args.writers.clients, "engine": args.server.engine(),
        "acknowledged": counts(&|kind| ledger.count(kind)),
        "lost": counts(&|kind| losses.of(kind)),
        "resent": repeated, "start": starts.to_json(), "unexpected": unexpected,
    });
    Report {
        tables: vec![table, runs],
        figures,
        failures,
    }
}

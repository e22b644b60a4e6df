//! `contribute`: how many contributions a second are acknowledged to a few clients that each wait
//! for their answer before they send the next.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::client::{Client, Target};
use crate::report::{Report, Table, note, verdict};
use crate::rng::Rng;
use crate::server::{Embedding, ServerArgs, Subject};
use crate::stats::{Latencies, per_second, rounded};
use crate::texts;

/// Contributions a second to reach.
const GOAL: f64 = 500.0;
/// Before counting starts, so that connections and caches are as in a server that runs.
const WARM_UP: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Clients at once, each with an account and a connection of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=500))]
    clients: u16,
    /// How long to count
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// What the texts are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug)]
struct Outcome {
    acknowledged: Latencies,
    took: Duration,
    refused: Vec<String>,
    backlog: usize,
}

/// Measures with the model and without, or only as `--embedding` says.
pub async fn run(args: &Args) -> Result<Report> {
    let embeddings = match (args.server.embedding, &args.server.url) {
        (Some(embedding), _) => vec![Some(embedding)],
        (None, Some(_)) => vec![None],
        (None, None) => vec![Some(Embedding::Local), Some(Embedding::None)],
    };
    let mut table = Table::new(&[
        "embedding",
        "clients",
        "seconds",
        "acknowledged/s",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "not acknowledged",
        "backlog after",
        "goal",
    ]);
    let (mut figures, mut failures) = (Vec::new(), Vec::new());
    for embedding in embeddings {
        let name = embedding.map_or("as the server has it", Embedding::name);
        note(format_args!(
            "contributing for {} s, embedding: {name}",
            args.seconds
        ));
        let server = ServerArgs {
            embedding,
            ..args.server.clone()
        };
        let subject = Subject::start(&server, false).await?;
        let outcome = load(args, subject.target()).await?;
        subject.stop().await?;
        let rate = per_second(outcome.acknowledged.len(), outcome.took);
        let mut row = vec![name.to_owned(), args.clients.to_string()];
        row.extend([
            format!("{:.1}", outcome.took.as_secs_f64()),
            format!("{rate:.0}"),
        ]);
        row.extend(outcome.acknowledged.cells());
        row.extend([
            outcome.refused.len().to_string(),
            outcome.backlog.to_string(),
        ]);
        row.push(verdict("500/s", rate >= GOAL));
        table.row(row);
        figures.push(figures_of(name, rate, &outcome));
        if let Some(first) = outcome.refused.first() {
            failures.push(format!(
                "{} contributions were not acknowledged, the first: {first}",
                outcome.refused.len()
            ));
        }
    }
    let figures = json!({"clients": args.clients, "engine": args.server.engine(), "runs": figures});
    Ok(Report {
        tables: vec![table],
        figures,
        failures,
    })
}

fn figures_of(name: &str, rate: f64, outcome: &Outcome) -> Value {
    json!({
        "embedding": name, "acknowledged_per_second": rounded(rate, 1),
        "latency": outcome.acknowledged.to_json(), "not_acknowledged": outcome.refused.len(),
        "backlog_after": outcome.backlog, "goal_per_second": GOAL,
    })
}

async fn load(args: &Args, target: &Target) -> Result<Outcome> {
    let clients: Vec<_> = (0..args.clients).map(|_| registered(target)).collect();
    let clients = try_join_all(clients).await?;
    let counting_from = Instant::now() + WARM_UP;
    let until = counting_from + Duration::from_secs(args.seconds);
    let (times, refused) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let last = RefCell::new(counting_from);
    let client_run = async |(number, mut client): (usize, Client)| -> Result<()> {
        let mut rng = Rng::part(args.seed, number as u64);
        for count in 0.. {
            let trace = texts::trace(&mut rng, count);
            let begun = Instant::now();
            if begun >= until {
                break;
            }
            let answer = client.contribute(&trace, &format!("bench-{count}")).await?;
            if begun < counting_from {
                continue;
            }
            match answer.status {
                202 => times.borrow_mut().push(answer.took),
                // The limits were left as they are for users.
                429 => drop(answer.expect(202)?),
                status => refused
                    .borrow_mut()
                    .push(format!("{status}: {}", answer.detail())),
            }
            last.replace(Instant::now());
        }
        Ok(())
    };
    try_join_all(clients.into_iter().enumerate().map(client_run)).await?;
    let took = last.into_inner() - counting_from;
    let backlog = Client::new(target).backlog().await?;
    Ok(Outcome {
        acknowledged: Latencies::new(times.into_inner()),
        took,
        refused: refused.into_inner(),
        backlog,
    })
}

async fn registered(target: &Target) -> Result<Client> {
    let mut client = Client::new(target);
    client.register().await?;
    Ok(client)
}

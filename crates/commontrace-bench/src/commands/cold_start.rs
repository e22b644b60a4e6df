//! `cold-start`: starts many nodes at once on an empty PostgreSQL database, again and again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;
use serde_json::json;

use crate::client::Client;
use crate::database;
use crate::report::{Report, Table, note, verdict};
use crate::server::{Embedding, Launch, Server, ServerArgs};
use crate::stats::Latencies;

/// The most that one idle node may take, in bytes.
const MEMORY_GOAL: u64 = 60_000_000;
/// The database that a try takes place in.
const DATABASE: &str = "commontrace_bench_cold_start";

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes that start at once
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    nodes: u16,
    /// How often they do
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    tries: u16,
    /// Takes the server from `--database-url`; each try makes a database of its own there
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What one try has shown.
struct Tried {
    /// From the first start until each was ready.
    ready: Vec<Duration>,
    /// Resident memory of the nodes when all were ready.
    memory: Vec<u64>,
    failures: Vec<String>,
}

/// Starts, asks, stops, and begins again.
pub async fn run(args: &Args) -> Result<Report> {
    let Some(url) = &args.server.database_url else {
        bail!("nodes share a PostgreSQL server; name one with --database-url");
    };
    let (mut ready, mut memory, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed = 0;
    for number in 1..=args.tries {
        let fresh = database::fresh(url, DATABASE).await?;
        let tried = one_try(args, &fresh).await?;
        note(format_args!(
            "try {number}: {} of {} nodes ready, {} failures",
            tried.ready.len(),
            args.nodes,
            tried.failures.len()
        ));
        failed += usize::from(!tried.failures.is_empty());
        ready.extend(tried.ready);
        memory.extend(tried.memory);
        let named = tried.failures.into_iter();
        failures.extend(named.map(|failure| format!("try {number}: {failure}")));
    }
    database::remove(url, DATABASE).await?;
    Ok(report(
        args,
        failed,
        &Latencies::new(ready),
        &memory,
        failures,
    ))
}

async fn one_try(args: &Args, url: &str) -> Result<Tried> {
    let server = ServerArgs {
        database_url: Some(url.to_owned()),
        ..args.server.clone()
    };
    let embedding = args.server.embedding.unwrap_or(Embedding::None);
    let launches = (0..args.nodes)
        .map(|_| Launch::new(&server, embedding, true))
        .collect::<Result<Vec<_>>>()?;
    let begun = Instant::now();
    let started = join_all(launches.iter().map(async |launch| {
        let server = launch.start().await;
        (server, begun.elapsed())
    }))
    .await;
    let mut tried = Tried {
        ready: Vec::new(),
        memory: Vec::new(),
        failures: Vec::new(),
    };
    let mut nodes = Vec::new();
    for (server, after) in started {
        match server {
            Ok(server) => {
                tried.ready.push(after);
                nodes.push(server);
            }
            Err(err) => tried
                .failures
                .push(format!("a node did not start: {err:#}")),
        }
    }
    if let Err(err) = agree(&nodes).await {
        tried.failures.push(format!("{err:#}"));
    }
    for node in nodes {
        tried.memory.push(node.memory()?.resident);
        node.stop().await?;
    }
    Ok(tried)
}

/// Makes sure that an account of one node is known to all, and that all have the same traces.
async fn agree(nodes: &[Server]) -> Result<()> {
    let Some(first) = nodes.first() else {
        return Ok(());
    };
    let mut client = Client::new(first.target());
    client.register().await?;
    let mut seen = None;
    for node in nodes {
        client.move_to(node.target());
        let answer = client.get("/api/v1/traces?limit=100").await?;
        let page = answer
            .expect(200)
            .context("a node does not know the account")?;
        if *seen.get_or_insert_with(|| page.clone()) != *page {
            bail!("two nodes list different traces");
        }
    }
    Ok(())
}

fn report(
    args: &Args,
    failed: usize,
    ready: &Latencies,
    memory: &[u64],
    failures: Vec<String>,
) -> Report {
    let most = memory.iter().copied().max().unwrap_or(0);
    let [p50, _, _, max] = ready.cells();
    let mut table = Table::new(&[
        "tries",
        "nodes",
        "failed tries",
        "goal",
        "ready p50 ms",
        "ready max ms",
    ]);
    table.row([
        args.tries.to_string(),
        args.nodes.to_string(),
        failed.to_string(),
        verdict("0", failed == 0),
        p50,
        max,
    ]);
    let mut resident = Table::new(&["resident memory of a node when ready, most", "goal"]);
    resident.row([
        format!("{:.1} MB", most as f64 / 1e6),
        verdict("60 MB", most <= MEMORY_GOAL),
    ]);
    let figures = json!({
        "tries": args.tries, "nodes": args.nodes, "failed": failed, "ready": ready.to_json(),
        "resident_bytes_max": most,
    });
    Report {
        tables: vec![table, resident],
        figures,
        failures,
    }
}

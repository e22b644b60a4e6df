//! `latency`: how long a search over 200 traces takes, uncached and cached, beside the time that
//! embedding the query took in it; how long a start takes; and how much memory there is then.
//!
//! The embedding time comes from the server's own metric, read before and after each uncached
//! query, so that it is the time of this very query. One client asks, so nothing else is in it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::api::Found;
use crate::client::{Client, Target};
use crate::import;
use crate::metrics::{self, EMBEDDING_COUNT, EMBEDDING_SECONDS};
use crate::report::{Report, Table, verdict};
use crate::rng::Rng;
use crate::server::{Embedding, Launch, Memory, Server, ServerArgs};
use crate::stats::{Latencies, milliseconds, rounded};
use crate::texts;

/// Added to the embedding time, what an uncached search may take.
const UNCACHED_EXTRA: Duration = Duration::from_millis(2);
/// What a cached search may take.
const CACHED: Duration = Duration::from_millis(2);
/// What a start may take.
const START: Duration = Duration::from_millis(1500);
/// What memory there may be at the start, in bytes.
const MEMORY: u64 = 300_000_000;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Traces in the store, the starter traces among them
    #[arg(long, default_value_t = 200)]
    traces: usize,
    /// Distinct queries
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    queries: u32,
    /// What texts and queries are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Times of the searches.
#[derive(Debug)]
struct Searches {
    uncached: Latencies,
    embedding: Latencies,
    beside: Latencies,
    cached: Latencies,
    degraded: usize,
}

/// The start of a server on a filled store.
#[derive(Debug)]
struct Start {
    traces: usize,
    ready_after: Duration,
    answered_after: Duration,
    at_ready: Memory,
}

/// Fills a store, starts on it, and asks.
pub async fn run(args: &Args) -> Result<Report> {
    if let Some(target) = &args.server.url {
        let searches = search(args, target).await?;
        return Ok(report(args, None, &searches));
    }
    let embedding = args.server.embedding.unwrap_or(Embedding::Local);
    let launch = Launch::new(&args.server, embedding, true)?;
    let server = launch.start().await?;
    let traces = fill(args.traces, args.seed, server.target()).await?;
    server.stop().await?;

    let begun = Instant::now();
    let server = launch.start().await?;
    let at_ready = server.memory()?;
    let mut client = Client::new(server.target());
    client.register().await?;
    let query = texts::query(&mut Rng::part(args.seed, 3));
    client.search(&query, 10).await?.expect(200)?;
    let answered_after = begun.elapsed();
    let start = Start {
        traces,
        ready_after: server.ready_after,
        answered_after,
        at_ready,
    };
    let searches = search(args, server.target()).await?;
    let report = report(args, Some((&start, &server)), &searches);
    server.stop().await?;
    Ok(report)
}

/// Adds made-up traces to the starter traces, and returns how many there are then.
pub async fn fill(traces: usize, seed: u64, target: &Target) -> Result<usize> {
    let mut client = Client::new(target);
    client.register().await?;
    let seeds = client.starter_traces().await?.len();
    let mut rng = Rng::part(seed, 1);
    let missing = traces.saturating_sub(seeds);
    let traces: Vec<_> = (0..missing)
        .map(|number| texts::trace(&mut rng, number))
        .collect();
    let imported = import::import(target, &traces).await?;
    if let Some(refusal) = imported.refusals.first() {
        bail!("a made-up trace was refused: {refusal}");
    }
    import::embedded(target).await?;
    Ok(seeds + imported.stored())
}

async fn search(args: &Args, target: &Target) -> Result<Searches> {
    let mut client = Client::new(target);
    client.register().await?;
    let mut rng = Rng::part(args.seed, 2);
    for _ in 0..20 {
        // Warms up what a server that runs has warm.
        client
            .search(&texts::query(&mut rng), 10)
            .await?
            .expect(200)?;
    }
    let queries: Vec<_> = (0..args.queries).map(|_| texts::query(&mut rng)).collect();
    let (mut uncached, mut embedding, mut beside, mut degraded) = (vec![], vec![], vec![], 0);
    let mut before = embedded(&mut client).await?;
    for query in &queries {
        let answer = client.search(query, 10).await?;
        degraded += usize::from(answer.json::<Found>(200)?.degraded);
        let after = embedded(&mut client).await?;
        uncached.push(answer.took);
        // Anything else than one text means that the query was cached or others ask too.
        if after.1 - before.1 == 1.0 {
            let embedded = Duration::from_secs_f64((after.0 - before.0).max(0.0));
            embedding.push(embedded);
            beside.push(answer.took.saturating_sub(embedded));
        }
        before = after;
    }
    let mut cached = Vec::new();
    for query in &queries {
        let answer = client.search(query, 10).await?;
        answer.expect(200)?;
        cached.push(answer.took);
    }
    Ok(Searches {
        uncached: Latencies::new(uncached),
        embedding: Latencies::new(embedding),
        beside: Latencies::new(beside),
        cached: Latencies::new(cached),
        degraded,
    })
}

/// Returns the seconds spent on embedding so far, and on how many texts.
pub async fn embedded(client: &mut Client) -> Result<(f64, f64)> {
    let text = client.metrics().await?;
    let value = |name| metrics::value(&text, name).unwrap_or(0.0);
    Ok((value(EMBEDDING_SECONDS), value(EMBEDDING_COUNT)))
}

fn report(args: &Args, started: Option<(&Start, &Server)>, searches: &Searches) -> Report {
    let mut times = Table::new(&[
        "search", "count", "p50 ms", "p90 ms", "p99 ms", "max ms", "goal p50",
    ]);
    let embedding = searches.embedding.percentile(50);
    let allowed = embedding + UNCACHED_EXTRA;
    let p50 = |latencies: &Latencies| latencies.percentile(50);
    let rows = [
        (
            "uncached query",
            &searches.uncached,
            verdict(
                &format!("{} ms", milliseconds(allowed)),
                p50(&searches.uncached) <= allowed,
            ),
        ),
        ("  of it embedding", &searches.embedding, String::new()),
        ("  of it all else", &searches.beside, String::new()),
        (
            "cached query",
            &searches.cached,
            verdict("2 ms", p50(&searches.cached) <= CACHED),
        ),
    ];
    for (name, latencies, goal) in rows {
        let mut row = vec![name.to_owned(), latencies.len().to_string()];
        row.extend(latencies.cells());
        row.push(goal);
        times.row(row);
    }
    let mut tables = vec![times];
    let mut figures = json!({
        "uncached": searches.uncached.to_json(), "embedding": searches.embedding.to_json(),
        "beside_embedding": searches.beside.to_json(), "cached": searches.cached.to_json(),
    });
    if let Some((start, server)) = started {
        let after = server
            .memory()
            .context("the server ended while it was asked");
        let (table, object) = start_figures(start, after.ok());
        tables.push(table);
        figures["start"] = object;
    }
    let failures = match searches.degraded {
        0 => vec![],
        _ if args.server.embedding == Some(Embedding::None) => vec![],
        degraded => vec![format!("{degraded} searches went by words alone")],
    };
    Report {
        tables,
        figures,
        failures,
    }
}

fn start_figures(start: &Start, after: Option<Memory>) -> (Table, Value) {
    let mut table = Table::new(&["start", "measured", "goal"]);
    let ms = |time| format!("{} ms", milliseconds(time));
    let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    table.row([
        "traces in the store".to_owned(),
        start.traces.to_string(),
        String::new(),
    ]);
    table.row([
        "until ready".to_owned(),
        ms(start.ready_after),
        verdict("1500 ms", start.ready_after <= START),
    ]);
    table.row([
        "until a first search by a new account was answered".to_owned(),
        ms(start.answered_after),
        String::new(),
    ]);
    table.row([
        "resident memory when ready".to_owned(),
        megabytes(start.at_ready.resident),
        verdict("300 MB", start.at_ready.resident <= MEMORY),
    ]);
    table.row([
        "most memory until ready".to_owned(),
        megabytes(start.at_ready.peak),
        String::new(),
    ]);
    if let Some(after) = after {
        table.row([
            "resident memory after the searches".to_owned(),
            megabytes(after.resident),
            verdict("300 MB", after.resident <= MEMORY),
        ]);
        table.row([
            "most memory ever".to_owned(),
            megabytes(after.peak),
            String::new(),
        ]);
    }
    let figures = json!({
        "traces": start.traces,
        "ready_ms": rounded(start.ready_after.as_secs_f64() * 1000.0, 1),
        "first_answer_ms": rounded(start.answered_after.as_secs_f64() * 1000.0, 1),
        "resident_bytes": start.at_ready.resident, "peak_bytes": start.at_ready.peak,
        "resident_bytes_after": after.map(|memory| memory.resident),
        "peak_bytes_after": after.map(|memory| memory.peak),
    });
    (table, figures)
}

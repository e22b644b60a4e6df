//! `mcp`: what an agent's host waits for. How long `commontrace mcp` takes from its start until `initialize` is
//! answered, what memory it has then, and how long a search takes over its pipes and over `/mcp` of a server, beside
//! the time that embedding the query takes.
//!
//! The embedding time is the server's own, of the queries that were asked over HTTP: a process on pipes tells none.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::latency;
use crate::client::{Client, Target};
use crate::report::{Report, Table, verdict};
use crate::rng::Rng;
use crate::server::{Embedding, Launch, Memory, ServerArgs};
use crate::stats::{Latencies, milliseconds};
use crate::texts;

/// What a start may take until `initialize` is answered.
const START: Duration = Duration::from_millis(30);
/// What memory there may be then, in bytes.
const MEMORY: u64 = 25_000_000;
/// Added to the embedding time, what a search over pipes may take.
const EXTRA: Duration = Duration::from_millis(3);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Searches that nothing is measured of, because they warm up what a host's later ones find warm.
const WARM_UP: usize = 20;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often the process is started
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// Traces in the store, the starter traces among them
    #[arg(long, default_value_t = 200)]
    traces: usize,
    /// Distinct queries over each transport
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    queries: u32,
    /// What texts and queries are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A running `commontrace mcp`.
#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

impl Process {
    /// Starts it and says hello; returns how long that took until the answer.
    async fn start(launch: &Launch) -> Result<(Self, Duration)> {
        let begun = Instant::now();
        let mut command = launch.command(&["mcp"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start `commontrace mcp`")?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("`commontrace mcp` was started without pipes");
        };
        let mut process = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout).lines(),
            asked: 0,
        };
        let hello = json!({
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "commontrace-bench", "version": env!("CARGO_PKG_VERSION") },
        });
        process.ask("initialize", &hello).await?;
        let took = begun.elapsed();
        process
            .send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await?;
        Ok((process, took))
    }

    async fn send(&mut self, message: &Value) -> Result<()> {
        let line = format!("{message}\n");
        let sent = self.stdin.write_all(line.as_bytes()).await;
        sent.context("`commontrace mcp` does not listen any more")
    }

    async fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.asked += 1;
        self.send(
            &json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params }),
        )
        .await?;
        let line = timeout(PATIENCE, self.stdout.next_line()).await;
        let line = line.with_context(|| format!("no answer to {method} within {PATIENCE:?}"))?;
        let line = line?.context("`commontrace mcp` ended by itself")?;
        serde_json::from_str(&line).context("`commontrace mcp` wrote something else than JSON")
    }

    async fn search(&mut self, query: &str) -> Result<Duration> {
        let begun = Instant::now();
        let answer = self.ask("tools/call", &call(query)).await?;
        let took = begun.elapsed();
        check(&answer)?;
        Ok(took)
    }

    fn memory(&self) -> Option<Memory> {
        Memory::of(self.child.id()?)
    }

    /// Closes its input, which ends it.
    async fn end(mut self) -> Result<()> {
        drop(self.stdin);
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let status = ended.context("`commontrace mcp` does not end")??;
        if !status.success() {
            bail!("`commontrace mcp` ended with {status}");
        }
        Ok(())
    }
}

fn call(query: &str) -> Value {
    json!({ "name": "search_traces", "arguments": { "query": query } })
}

fn check(answer: &Value) -> Result<()> {
    let result = &answer["result"];
    if result["content"].is_array() && result["isError"] != true {
        return Ok(());
    }
    bail!("the tool failed: {answer}")
}

/// Times over HTTP.
#[derive(Debug)]
struct OverHttp {
    searches: Latencies,
    embedding: Latencies,
}

/// Fills a store, asks over HTTP, and then over pipes.
pub async fn run(args: &Args) -> Result<Report> {
    let embedding = args.server.embedding.unwrap_or(Embedding::Local);
    let launch = Launch::new(&args.server, embedding, true)?;
    let server = launch.start().await?;
    let traces = latency::fill(args.traces, args.seed, server.target()).await?;
    let over_http = over_http(args, server.target()).await?;
    server.stop().await?;

    let (mut starts, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..args.starts {
        let (process, took) = Process::start(&launch).await?;
        starts.push(took);
        memory.extend(process.memory().map(|memory| memory.resident));
        process.end().await?;
    }
    let (mut process, _) = Process::start(&launch).await?;
    let mut rng = Rng::part(args.seed, 5);
    let first = process.search(&texts::query(&mut rng)).await?;
    for _ in 0..WARM_UP {
        process.search(&texts::query(&mut rng)).await?;
    }
    let mut searches = Vec::new();
    for _ in 0..args.queries {
        searches.push(process.search(&texts::query(&mut rng)).await?);
    }
    let after = process.memory();
    process.end().await?;

    memory.sort_unstable();
    let most = memory.last().copied().context("/proc tells no memory")?;
    let starts = Latencies::new(starts);
    let searches = Latencies::new(searches);
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let mut process = Table::new(&["commontrace mcp", "measured", "goal"]);
    let p50 = starts.percentile(50);
    process.row([
        format!(
            "start until initialize is answered, p50 of {}",
            starts.len()
        ),
        format!("{} ms", milliseconds(p50)),
        verdict("30 ms", p50 <= START),
    ]);
    process.row([
        "the same, slowest".to_owned(),
        format!("{} ms", milliseconds(starts.percentile(100))),
        String::new(),
    ]);
    process.row([
        "resident memory then, the most of all".to_owned(),
        megabytes(most),
        verdict("25 MB", most <= MEMORY),
    ]);
    process.row([
        format!("first search, which opens the store of {traces} traces"),
        format!("{} ms", milliseconds(first)),
        String::new(),
    ]);
    if let Some(after) = after {
        process.row([
            "resident memory after the searches".to_owned(),
            megabytes(after.resident),
            String::new(),
        ]);
    }
    let mut times = Table::new(&[
        "search_traces",
        "count",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "goal p50",
    ]);
    let allowed = over_http.embedding.percentile(50) + EXTRA;
    let goal = verdict(
        &format!("{} ms", milliseconds(allowed)),
        searches.percentile(50) <= allowed,
    );
    for (name, latencies, goal) in [
        ("over pipes, local store", &searches, goal),
        (
            "over HTTP, /mcp of a server",
            &over_http.searches,
            String::new(),
        ),
        ("  of it embedding", &over_http.embedding, String::new()),
    ] {
        let mut row = vec![name.to_owned(), latencies.len().to_string()];
        row.extend(latencies.cells());
        row.push(goal);
        times.row(row);
    }
    Ok(Report {
        tables: vec![process, times],
        figures: json!({
            "traces": traces, "start": starts.to_json(), "resident_bytes": most,
            "resident_bytes_after": after.map(|memory| memory.resident),
            "pipes": searches.to_json(), "http": over_http.searches.to_json(),
            "embedding": over_http.embedding.to_json(),
        }),
        failures: Vec::new(),
    })
}

async fn over_http(args: &Args, target: &Target) -> Result<OverHttp> {
    let mut client = Client::new(target);
    client.register().await?;
    let mut rng = Rng::part(args.seed, 4);
    let (mut searches, mut embedding) = (Vec::new(), Vec::new());
    let total = WARM_UP + args.queries as usize;
    for number in 0..total {
        let before = latency::embedded(&mut client).await?;
        let params = call(&texts::query(&mut rng));
        let body =
            json!({ "jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params });
        let answer = client.post("/mcp", &body).await?;
        check(&answer.json(200)?)?;
        if number < WARM_UP {
            continue;
        }
        searches.push(answer.took);
        let after = latency::embedded(&mut client).await?;
        // Anything else than one text means that the query was cached.
        if after.1 - before.1 == 1.0 {
            embedding.push(Duration::from_secs_f64((after.0 - before.0).max(0.0)));
        }
    }
    Ok(OverHttp {
        searches: Latencies::new(searches),
        embedding: Latencies::new(embedding),
    })
}

//! `sessions append`: what an append costs in a short and in a long session, and whether many writers at
//! once lose anything.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::client::{Client, Target};
use crate::report::{Report, Table, note, verdict};
use crate::server::{ServerArgs, Subject};
use crate::stats::{Latencies, per_second, rounded};

/// Longest median to append one event.
const GOAL: Duration = Duration::from_millis(1);
/// Events in the long session.
const LONG: usize = 100_000;
/// Events that one request brings there.
const BATCH: usize = 10_000;
/// Appends before any is counted.
const WARM_UP: usize = 50;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Appends that are counted in each session
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    appends: u32,
    /// Writers at once on one session
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=500))]
    writers: u16,
    /// What all of them append together
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    together: u32,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Measures.
pub async fn run(args: &Args) -> Result<Report> {
    let subject = Subject::start(&args.server, false).await?;
    let target = subject.target();
    let mut client = Client::new(target);
    client.register().await?;
    let key = {
        let mut other = Client::new(target);
        other.registered().await?
    };
    client.use_key(key.clone());
    let mut table = Table::new(&[
        "session", "appends", "p50 ms", "p90 ms", "p99 ms", "max ms", "goal",
    ]);
    let mut figures = Vec::new();
    for (name, length) in [("of 1 event", 1), ("of 100,000 events", LONG)] {
        note(format_args!("appending to a session {name}"));
        let id = begin(&mut client).await?;
        fill(&mut client, &id, length).await?;
        let times = one_by_one(&mut client, &id, args.appends as usize).await?;
        let met = times.percentile(50) <= GOAL;
        let mut row = vec![name.to_owned()];
        row.push(times.len().to_string());
        row.extend(times.cells());
        row.push(verdict("p50 1 ms", met));
        table.row(row);
        figures.push(json!({"session": name, "latency": times.to_json()}));
    }
    note(format_args!("{} writers on one session", args.writers));
    let (took, lost) = together(args, target, &mut client, &key).await?;
    let mut at_once = Table::new(&["writers", "acknowledged", "per s", "lost", "goal"]);
    let rate = per_second(args.together as usize, took);
    at_once.row([
        args.writers.to_string(),
        args.together.to_string(),
        format!("{rate:.0}"),
        lost.to_string(),
        verdict("0 lost", lost == 0),
    ]);
    subject.stop().await?;
    figures.push(json!({"writers": args.writers, "per_second": rounded(rate, 1), "lost": lost}));
    Ok(Report {
        tables: vec![table, at_once],
        figures: json!({"engine": args.server.engine(), "runs": figures}),
        failures: (lost > 0)
            .then(|| format!("{lost} acknowledged events are lost"))
            .into_iter()
            .collect(),
    })
}

async fn begin(client: &mut Client) -> Result<String> {
    let session = json!({
        "developer_id": "bench",
        "repo": {
            "name": "bench", "url": "", "branch": "main", "commit_before": "", "commit_after": "",
            "test_command": "make test"
        },
        "start_time": "2026-01-02T12:00:00Z",
    });
    let stored: Value = client.post("/traces", &session).await?.json(201)?;
    Ok(stored["trace_id"].as_str().unwrap_or_default().to_owned())
}

fn event(id: &str) -> Value {
    json!({
        "id": id,
        "event_type": "terminal_command",
        "timestamp": "2026-01-02T12:00:01Z",
        "data": {"command": "cargo test --workspace", "exit_code": 0, "output": "test result: ok. 12 passed", "duration_ms": 950},
    })
}

async fn fill(client: &mut Client, id: &str, length: usize) -> Result<()> {
    for begun in (0..length).step_by(BATCH) {
        let numbers = begun..(begun + BATCH).min(length);
        let events: Vec<Value> = numbers.map(|n| event(&format!("fill-{n}"))).collect();
        let path = format!("/traces/{id}/events");
        client
            .post(&path, &json!({ "events": events }))
            .await?
            .expect(200)?;
    }
    Ok(())
}

async fn one_by_one(client: &mut Client, id: &str, appends: usize) -> Result<Latencies> {
    let path = format!("/traces/{id}/events");
    let mut times = Vec::with_capacity(appends);
    for n in 0..WARM_UP + appends {
        let body = json!({ "events": [event(&format!("one-{n}"))] });
        let answer = client.post(&path, &body).await?;
        answer.expect(200)?;
        if n >= WARM_UP {
            times.push(answer.took);
        }
    }
    Ok(Latencies::new(times))
}

/// Lets many append at once and returns how long that took and how many events are not there.
async fn together(
    args: &Args,
    target: &Target,
    client: &mut Client,
    key: &str,
) -> Result<(Duration, usize)> {
    let id = begin(client).await?;
    let path = format!("/traces/{id}/events");
    let (writers, all) = (usize::from(args.writers), args.together as usize);
    let begun = Instant::now();
    let runs = (0..writers).map(async |writer| -> Result<()> {
        let mut own = Client::new(target);
        own.use_key(key.to_owned());
        for n in (writer..all).step_by(writers) {
            let body = json!({ "events": [event(&format!("at-once-{n}"))] });
            own.post(&path, &body).await?.expect(200)?;
        }
        Ok(())
    });
    try_join_all(runs).await?;
    let took = begun.elapsed();
    let (mut seen, mut after) = (0, 0);
    loop {
        let page: Value = client
            .get(&format!("{path}?after_seq={after}&limit=1000"))
            .await?
            .json(200)?;
        for event in page["events"].as_array().into_iter().flatten() {
            seen += 1;
            ensure!(
                event["seq"] == seen,
                "the events are not numbered without gaps"
            );
        }
        match page["next_after_seq"].as_u64() {
            Some(next) => after = next,
            None => return Ok((took, all - seen)),
        }
    }
}

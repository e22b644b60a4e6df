//! `known-item`: is a starter trace found by its own problem text, and still after many searches?

use anyhow::{Result, bail};
use serde_json::json;

use crate::api::{Found, Hit};
use crate::client::Client;
use crate::import;
use crate::report::{Report, Table, verdict};
use crate::server::{ServerArgs, Subject};
use crate::stats::{Latencies, rounded};

/// Share of first places to reach.
const GOAL: f64 = 0.97;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often to ask everything
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// One pass over all starter traces.
#[derive(Debug)]
struct Pass {
    hit_1: f64,
    hit_3: f64,
    mrr: f64,
    changed: usize,
    latencies: Latencies,
}

/// Asks everything and reports each pass.
pub async fn run(args: &Args) -> Result<Report> {
    let subject = Subject::start(&args.server, true).await?;
    import::embedded(subject.target()).await?;
    let mut client = Client::new(subject.target());
    client.register().await?;
    let traces = client.starter_traces().await?;
    if traces.is_empty() {
        bail!("the server has no starter traces");
    }
    let mut first: Vec<Vec<Hit>> = Vec::new();
    let (mut passes, mut misses) = (Vec::new(), Vec::new());
    for pass in 0..args.passes {
        let (mut places, mut times, mut changed) = (Vec::new(), Vec::new(), 0);
        for (index, trace) in traces.iter().enumerate() {
            let answer = client.search(&trace.context_text, 10).await?;
            times.push(answer.took);
            let found: Found = answer.json(200)?;
            let place = found.ranked().position(|id| id == trace.id);
            if pass == 0 {
                if place != Some(0) {
                    misses.push((trace.title.clone(), place.map(|place| place + 1)));
                }
                first.push(found.results);
            } else {
                changed += usize::from(first[index] != found.results);
            }
            places.push(place);
        }
        let share = |within: usize| {
            let hits = places
                .iter()
                .flatten()
                .filter(|&&place| place < within)
                .count();
            hits as f64 / places.len() as f64
        };
        let reciprocal = places
            .iter()
            .flatten()
            .map(|place| 1.0 / (place + 1) as f64);
        passes.push(Pass {
            hit_1: share(1),
            hit_3: share(3),
            mrr: reciprocal.fold(0.0, |sum, share| sum + share) / places.len() as f64,
            changed,
            latencies: Latencies::new(times),
        });
    }
    subject.stop().await?;
    Ok(report(traces.len(), &passes, &misses))
}

fn report(traces: usize, passes: &[Pass], misses: &[(String, Option<usize>)]) -> Report {
    let mut table = Table::new(&[
        "pass",
        "traces",
        "hit@1",
        "hit@3",
        "MRR@10",
        "answers changed",
        "p50 ms",
        "goal hit@1",
    ]);
    for (index, pass) in passes.iter().enumerate() {
        let shares = [pass.hit_1, pass.hit_3, pass.mrr].map(|share| format!("{share:.4}"));
        let mut row = vec![(index + 1).to_string(), traces.to_string()];
        row.extend(shares);
        row.extend([pass.changed.to_string(), pass.latencies.cells()[0].clone()]);
        row.push(verdict(
            "0.97, identical",
            pass.hit_1 >= GOAL && pass.changed == 0,
        ));
        table.row(row);
    }
    let mut tables = vec![table];
    if !misses.is_empty() {
        let mut table = Table::new(&["place", "not found first by its own problem text"]);
        for (title, place) in misses {
            table.row([
                place.map_or("none".to_owned(), |place| place.to_string()),
                title.clone(),
            ]);
        }
        tables.push(table);
    }
    let changed: usize = passes.iter().map(|pass| pass.changed).sum();
    let failures = match changed {
        0 => Vec::new(),
        changed => vec![format!(
            "{changed} answers differ from those of the first pass"
        )],
    };
    let to_json = |pass: &Pass| {
        json!({
            "hit_1": rounded(pass.hit_1, 4), "hit_3": rounded(pass.hit_3, 4),
            "mrr_10": rounded(pass.mrr, 4), "answers_changed": pass.changed,
            "latency": pass.latencies.to_json(),
        })
    };
    let figures = json!({
        "traces": traces, "goal_hit_1": GOAL,
        "passes": passes.iter().map(to_json).collect::<Vec<_>>(),
    });
    Report {
        tables,
        figures,
        failures,
    }
}

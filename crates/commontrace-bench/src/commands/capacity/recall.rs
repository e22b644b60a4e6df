//! `capacity recall`: how many of the ten true nearest neighbours a search by vector finds, over
//! all traces and over those of one tag, which about 2 % have.
//!
//! The truth is the product of 32-bit floats with every generated vector. What the server searches
//! with is asked directly: an index in memory that is filled here, or the tables of a database that
//! `capacity generate` has filled. A word that no trace has keeps the lexical side out of the order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use chrono::DateTime;
use commontrace_core::TraceId;
use commontrace_search::document::{Answer, Document, Query};
use commontrace_search::embed::Embedder;
use commontrace_search::embed::openai::{OpenAi, OpenAiSettings};
use commontrace_search::index::SearchIndex;
use commontrace_server::search::{Generation, Search};
use commontrace_store::{Location, Store};
use serde_json::json;

use crate::capacity::{Size, Source, TOPICS, topic};
use crate::report::{Report, Table, note, verdict};
use crate::rng::Rng;
use crate::stats::{Latencies, rounded};
use crate::texts;

/// How many neighbours count.
const NEIGHBOURS: usize = 10;
/// The share of them to be found.
const GOAL: f64 = 0.97;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    size: Size,
    /// Queries
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    queries: u32,
    /// Search in this PostgreSQL database, filled with the same vectors by `capacity generate`,
    /// instead of in memory
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

/// What is asked.
enum Engine {
    Memory(Box<SearchIndex>),
    Database(Store, Arc<Generation>),
}

impl Engine {
    async fn open(args: &Args) -> Result<Self> {
        let Some(url) = &args.database_url else {
            return Ok(Self::Memory(Box::default()));
        };
        let store = super::open(&Location::parse(url, "".as_ref())?).await?;
        if !store.can_search() {
            bail!("the database cannot search by vector; install the extension pgvector");
        }
        // Only its name and length matter: the vectors of queries are given.
        let model = args.size.model();
        let settings = OpenAiSettings {
            model: model.id,
            dimensions: model.dimensions,
            ..OpenAiSettings::default()
        };
        // Fails only if there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(settings.batch.timeout);
        let http = http.build().context("no HTTP client can be made")?;
        let embedder = OpenAi::new(settings, http).context("no such model")?;
        let embedder = Embedder::OpenAi(embedder);
        let search = Search::new(&store, Some(embedder), None, uuid::Uuid::nil());
        let generation = search.current();
        generation.load(&store).await?;
        if generation.len() < args.size.traces {
            bail!("the database lacks traces; fill it with `capacity generate`");
        }
        Ok(Self::Database(store, generation))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "in memory",
            Self::Database(..) => "PostgreSQL",
        }
    }

    /// Takes in a trace, where that has not been done before.
    fn fill(&self, id: TraceId, tags: Vec<String>, vector: &[f32]) -> Result<()> {
        let Self::Memory(index) = self else {
            return Ok(());
        };
        index.upsert(&Document {
            id,
            title: "trace".to_owned(),
            context: String::new(),
            solution: String::new(),
            tags,
            fingerprint: Default::default(),
            trust: 0.0,
            valid_until: None,
            created_at: 0,
            review_after: None,
        });
        let set = index.set_vector(id, vector);
        set.context("a generated vector is not accepted")?;
        Ok(())
    }

    async fn search(&self, query: &Query<'_>) -> Result<Answer> {
        match self {
            Self::Memory(index) => Ok(index.search(query)),
            Self::Database(store, generation) => Ok(generation.search(store, query).await?),
        }
    }
}

/// A query and the truth about it.
struct Asked {
    vector: Vec<f32>,
    tag: String,
    /// The nearest of all traces, best first.
    all: Vec<(f32, TraceId)>,
    /// The nearest of those with the tag.
    tagged: Vec<(f32, TraceId)>,
}

/// What a search has found of the truth.
#[derive(Default)]
struct Outcome {
    found: usize,
    of: usize,
    times: Vec<Duration>,
}

impl Outcome {
    fn share(&self) -> f64 {
        self.found as f64 / self.of.max(1) as f64
    }
}

/// Fills an index, finds the truth on the way, and asks.
pub async fn run(args: &Args) -> Result<Report> {
    let size = args.size;
    let source = Source::new(size.seed, size.dim);
    let mut rng = Rng::part(size.seed, 5);
    let mut asked: Vec<Asked> = (0..args.queries)
        .map(|number| Asked {
            vector: source.text(&texts::query(&mut rng)),
            tag: topic(number as usize % TOPICS),
            all: Vec::new(),
            tagged: Vec::new(),
        })
        .collect();
    let engine = Engine::open(args).await?;
    for number in 0..size.traces {
        let trace = size.trace(&source, number);
        for asked in &mut asked {
            let product = product(&asked.vector, &trace.vector);
            keep(&mut asked.all, product, trace.id);
            if trace.tags.contains(&asked.tag) {
                keep(&mut asked.tagged, product, trace.id);
            }
        }
        engine.fill(trace.id, trace.tags, &trace.vector)?;
        if (number + 1) % 10_000 == 0 {
            note(format_args!("{} of {} traces", number + 1, size.traces));
        }
    }
    let (mut all, mut tagged) = (Outcome::default(), Outcome::default());
    for asked in &asked {
        ask(&engine, asked, &[], &asked.all, &mut all).await?;
        let tags = std::slice::from_ref(&asked.tag);
        ask(&engine, asked, tags, &asked.tagged, &mut tagged).await?;
    }
    let outcomes = [("none", all), ("a tag of 2 %", tagged)];
    Ok(report(args, engine.name(), outcomes))
}

async fn ask(
    engine: &Engine,
    asked: &Asked,
    tags: &[String],
    truth: &[(f32, TraceId)],
    outcome: &mut Outcome,
) -> Result<()> {
    let query = Query {
        text: Some("unheardofx"),
        vector: Some(&asked.vector),
        tags,
        context: None,
        include_expired: false,
        abstain: false,
        now: DateTime::UNIX_EPOCH.timestamp_micros(),
        limit: NEIGHBOURS,
    };
    let begun = Instant::now();
    let answer = engine.search(&query).await?;
    outcome.times.push(begun.elapsed());
    outcome.of += truth.len();
    let found = |(_, id): &&(f32, TraceId)| answer.hits.iter().any(|hit| hit.id == *id);
    outcome.found += truth.iter().filter(found).count();
    Ok(())
}

/// Keeps the nearest few, best first.
fn keep(nearest: &mut Vec<(f32, TraceId)>, product: f32, id: TraceId) {
    let at = nearest.partition_point(|&(better, _)| better >= product);
    if at < NEIGHBOURS {
        nearest.insert(at, (product, id));
        nearest.truncate(NEIGHBOURS);
    }
}

/// The product of two vectors, in as many sums as the compiler can make side by side.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    let mut sums = [0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(x, y)| x * y);
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

fn report(args: &Args, engine: &str, outcomes: [(&str, Outcome); 2]) -> Report {
    let mut table = Table::new(&[
        "engine",
        "vectors",
        "filter",
        "queries",
        "recall@10",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "goal",
    ]);
    let mut figures = Vec::new();
    for (filter, outcome) in outcomes {
        let share = outcome.share();
        let times = Latencies::new(outcome.times);
        let mut row = vec![
            engine.to_owned(),
            format!("{} x {}", args.size.traces, args.size.dim),
            filter.to_owned(),
            args.queries.to_string(),
            format!("{share:.4}"),
        ];
        row.extend(times.cells());
        row.push(verdict(&GOAL.to_string(), share >= GOAL));
        table.row(row);
        figures.push(json!({
            "filter": filter, "recall": rounded(share, 4), "latency": times.to_json(),
        }));
    }
    Report {
        tables: vec![table],
        figures: json!({
            "engine": engine, "traces": args.size.traces, "dimensions": args.size.dim, "outcomes": figures,
        }),
        failures: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nearly_all_of_the_nearest_are_found_in_a_small_store() {
        let args = Args {
            size: Size {
                traces: 2_000,
                dim: 32,
                seed: 3,
            },
            queries: 5,
            database_url: None,
        };
        let report = run(&args).await.unwrap();
        for outcome in report.figures["outcomes"].as_array().unwrap() {
            assert!(outcome["recall"].as_f64().unwrap() > 0.9, "{outcome}");
        }
    }

    #[test]
    fn the_nearest_are_kept_in_order() {
        let mut nearest = Vec::new();
        for product in [0.1, 0.5, 0.3] {
            keep(&mut nearest, product, TraceId(uuid::Uuid::nil()));
        }
        let products: Vec<_> = nearest.iter().map(|&(product, _)| product).collect();
        assert_eq!(products, [0.5, 0.3, 0.1]);
    }
}

//! `load`: what a large store answers under the load of many agents, by the scenarios of `load/`.
//!
//! Fills a store, starts a server on it, and an endpoint for the vectors of queries, and lets Locust
//! and wrk ask. Nothing here makes load; the times are those that Locust's listener wrote down, each
//! of them, because Locust's own percentiles are of rounded times.

mod locust;
mod wrk;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use commontrace_store::Location;
use serde_json::{Value, json};

use self::locust::Times;
use crate::capacity::{Size, Source};
use crate::commands::capacity::{generate, open};
use crate::endpoint::Endpoint;
use crate::report::{Report, Table, note, verdict};
use crate::server::{Embedding, Launch, Server, ServerArgs};
use crate::stats::{Latencies, milliseconds, per_second, rounded};

/// What 99 of 100 searches for one of the eight queries may take.
const SEARCH_GOAL: Duration = Duration::from_millis(15);
/// What storing 100,000 traces and building the index may take.
const EMBEDDED_IMPORT_GOAL: Duration = Duration::from_secs(60);
const POSTGRES_IMPORT_GOAL: Duration = Duration::from_secs(240);
/// The size that the goals are for.
const GOAL_SIZE: (usize, usize) = (100_000, 1536);

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to run, in this order [default: all]
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    #[command(flatten)]
    size: Size,
    /// Agents that ask, each ten times a second
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    users: u16,
    /// How long they do
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
    /// Folder with the programs `locust` and `wrk` [default: those in PATH]
    #[arg(long, value_name = "DIR")]
    tools: Option<PathBuf>,
    /// Folder with the scenarios
    #[arg(long, value_name = "DIR", default_value = "load")]
    scripts: PathBuf,
    /// Where Locust's reports are kept
    #[arg(long, value_name = "DIR", default_value = "load/reports")]
    reports: PathBuf,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Scenario {
    /// Searches: eight queries again and again, then distinct ones
    Search,
    /// A burst against the rate limit
    Burst,
    /// 90 % searches, 8 % readings, 2 % contributions
    Mixed,
    /// As many searches as the server answers
    Saturate,
}

const ALL: [Scenario; 4] = [
    Scenario::Search,
    Scenario::Mixed,
    Scenario::Saturate,
    Scenario::Burst,
];

/// What came out, row by row.
struct Outcome {
    table: Table,
    figures: Vec<Value>,
    failures: Vec<String>,
}

/// Fills a store, starts a server, and runs the scenarios.
pub async fn run(args: &Args) -> Result<Report> {
    std::fs::create_dir_all(&args.reports)
        .with_context(|| format!("cannot make the directory {}", args.reports.display()))?;
    let source = Source::new(args.size.seed, args.size.dim);
    let endpoint = Endpoint::start(source, Duration::ZERO, 0).await?;
    let launch = prepared(args, &endpoint)?;
    let (server, import) = filled(args, &launch).await?;
    let mut outcome = Outcome {
        table: Table::new(&[
            "scenario", "requests", "per s", "errors", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms",
            "max ms", "goal",
        ]),
        figures: Vec::new(),
        failures: Vec::new(),
    };
    let scenarios: &[Scenario] = match &args.scenarios[..] {
        [] => &ALL,
        some => some,
    };
    for scenario in scenarios {
        note(format_args!("scenario {scenario:?}"));
        match scenario {
            Scenario::Search => {
                let goal = Some(SEARCH_GOAL);
                search(args, &server, "eight", goal, &mut outcome).await?;
                search(args, &server, "distinct", None, &mut outcome).await?;
            }
            Scenario::Mixed => mixed(args, &server, &mut outcome).await?,
            Scenario::Saturate => wrk::saturate(args, &server, &mut outcome).await?,
            Scenario::Burst => burst(args, &endpoint, &mut outcome).await?,
        }
    }
    let memory = server.memory()?;
    server.stop().await.map_err(|err| launch.explain(&err))?;
    let (mut start, mut figures) = import;
    start.row([
        "resident memory of the server after all that".to_owned(),
        format!("{:.0} MB", memory.resident as f64 / 1e6),
        String::new(),
    ]);
    figures["resident_bytes"] = json!(memory.resident);
    figures["scenarios"] = Value::Array(outcome.figures);
    Ok(Report {
        tables: vec![start, outcome.table],
        figures,
        failures: outcome.failures,
    })
}

/// Prepares a server that asks the endpoint for vectors.
fn prepared(args: &Args, endpoint: &Endpoint) -> Result<Launch> {
    let mut launch = Launch::new(&args.server, Embedding::None, false)?;
    for (name, value) in endpoint.settings() {
        launch.set(name, value);
    }
    if args.server.database_url.is_some() {
        // As the manual sizes the pool: two or three connections for each core of the database.
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        launch.set("DATABASE_POOL_SIZE", (cores * 5 / 2).to_string());
    }
    Ok(launch)
}

/// Fills the store and starts the server, and reports how long each took.
async fn filled(args: &Args, launch: &Launch) -> Result<(Server, (Table, Value))> {
    let url = args.server.database_url.as_deref().unwrap_or_default();
    let store = open(&Location::parse(url, &launch.data_dir()?)?).await?;
    let begun = Instant::now();
    let imported = generate(&store, args.size).await;
    store.close().await;
    let stored = imported?.took();
    let server = launch.start().await?;
    let took = begun.elapsed();
    let goal = match &args.server.database_url {
        Some(_) => POSTGRES_IMPORT_GOAL,
        None => EMBEDDED_IMPORT_GOAL,
    };
    let goal = match (args.size.traces, args.size.dim) {
        GOAL_SIZE => verdict(&format!("{} s", goal.as_secs()), took <= goal),
        _ => String::new(),
    };
    let mut table = Table::new(&["import", "measured", "goal"]);
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    table.row([
        "traces with vectors".to_owned(),
        format!("{} x {}", args.size.traces, args.size.dim),
        String::new(),
    ]);
    table.row(["stored".to_owned(), seconds(stored), String::new()]);
    table.row([
        "server started, its index ready".to_owned(),
        seconds(server.ready_after),
        String::new(),
    ]);
    table.row(["both".to_owned(), seconds(took), goal]);
    let figures = json!({
        "traces": args.size.traces, "dimensions": args.size.dim,
        "stored_seconds": rounded(stored.as_secs_f64(), 2),
        "ready_seconds": rounded(server.ready_after.as_secs_f64(), 2),
        "import_seconds": rounded(took.as_secs_f64(), 2),
    });
    Ok((server, (table, figures)))
}

async fn search(
    args: &Args,
    server: &Server,
    queries: &'static str,
    goal: Option<Duration>,
    outcome: &mut Outcome,
) -> Result<()> {
    let run = locust::Run {
        script: "search.py",
        name: format!("search-{queries}"),
        users: args.users,
        seconds: Some(args.seconds),
        queries,
    };
    let times = locust::run(args, server.target(), &run).await?;
    outcome.row(
        &format!("search, {queries} queries"),
        &times,
        "search",
        goal,
    );
    Ok(())
}

async fn mixed(args: &Args, server: &Server, outcome: &mut Outcome) -> Result<()> {
    let run = locust::Run {
        script: "mixed.py",
        name: "mixed".to_owned(),
        users: args.users,
        seconds: Some(args.seconds),
        queries: "distinct",
    };
    let times = locust::run(args, server.target(), &run).await?;
    for (request, share) in [("search", 90), ("read", 8), ("write", 2)] {
        let name = format!("mixed, {share} % {request}");
        outcome.row(&name, &times, request, None);
    }
    Ok(())
}

/// Runs the burst on a server of its own, whose limits are the default ones. On PostgreSQL it is
/// another node on the same database; beside an embedded store it has an empty one.
async fn burst(args: &Args, endpoint: &Endpoint, outcome: &mut Outcome) -> Result<()> {
    let mut launch = prepared(args, endpoint)?;
    launch.set("RATE_LIMIT_READ_PER_MINUTE", "60");
    let server = launch.start().await?;
    let run = locust::Run {
        script: "burst.py",
        name: "burst".to_owned(),
        users: 1,
        seconds: None,
        queries: "eight",
    };
    let times = locust::run(args, server.target(), &run).await?;
    server.stop().await.map_err(|err| launch.explain(&err))?;
    let broken: Vec<_> = times
        .checks()
        .map(|what| format!("burst, {what}"))
        .collect();
    let held = verdict("all hold", broken.is_empty());
    outcome.failures.extend(broken);
    outcome.add("burst of 61, two rounds", &times, "search", held);
    Ok(())
}

impl Outcome {
    /// Adds a row for the requests with this name; errors among them are failures.
    fn row(&mut self, name: &str, times: &Times, request: &str, goal: Option<Duration>) {
        let p99 = times.latencies(request).percentile(99);
        let verdict = goal.map_or_else(String::new, |goal| {
            verdict(&format!("p99 {} ms", goal.as_millis()), p99 <= goal)
        });
        self.add(name, times, request, verdict);
    }

    fn add(&mut self, name: &str, times: &Times, request: &str, goal: String) {
        let errors = times.errors(request);
        if errors > 0 {
            self.failures.push(format!("{name}: {errors} errors"));
        }
        let latencies = times.latencies(request);
        self.measured(name, times.took(), errors, &latencies, goal);
    }

    fn measured(
        &mut self,
        name: &str,
        took: Duration,
        errors: usize,
        latencies: &Latencies,
        goal: String,
    ) {
        let rate = per_second(latencies.len(), took);
        let mut row = vec![
            name.to_owned(),
            latencies.len().to_string(),
            format!("{rate:.0}"),
            errors.to_string(),
        ];
        row.extend([500, 900, 990, 999, 1000].map(|part| milliseconds(latencies.permille(part))));
        row.push(goal);
        self.table.row(row);
        let mut figures = latencies.to_json();
        figures["scenario"] = json!(name);
        figures["errors"] = json!(errors);
        figures["per_second"] = json!(rounded(rate, 1));
        figures["p999_ms"] = json!(rounded(latencies.permille(999).as_secs_f64() * 1000.0, 3));
        self.figures.push(figures);
    }
}

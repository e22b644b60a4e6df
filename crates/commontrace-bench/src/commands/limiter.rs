//! `limiter`: how many rate-limit decisions a second one node makes through Redis, by the code that
//! the server makes them with.
//!
//! Each caller asks for one decision at a time, about one of many accounts, as requests do.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use commontrace_core::UserId;
use commontrace_core::token_bucket::Limit;
use commontrace_server::limiter::{Class, Limiter, Subject};
use commontrace_server::shared::{Condition, PATIENCE, Redis, RedisAddress};
use commontrace_testkit::RedisServer;
use serde_json::json;
use tokio::task::JoinSet;

use crate::report::{Report, Table, note, verdict};
use crate::rng::Rng;
use crate::stats::{Latencies, per_second, rounded};

/// Decisions a second to reach.
const GOAL: f64 = 15_000.0;
/// Before counting starts, so that the connection and the script are as in a server that runs.
const WARM_UP: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Use this Redis [default: one of its own on this machine]; what is written expires in a minute
    #[arg(long, value_name = "URL", value_parser = address)]
    redis_url: Option<RedisAddress>,
    /// Callers at once, each waiting for its decision before it asks for the next
    #[arg(long, default_value = "64")]
    callers: NonZeroU32,
    /// Accounts whose buckets are asked for
    #[arg(long, default_value = "10000")]
    accounts: NonZeroU32,
    /// How long to count
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

fn address(text: &str) -> Result<RedisAddress, String> {
    RedisAddress::parse(text)
        .ok_or_else(|| "expected redis://USER:PASSWORD@HOST:PORT/NUMBER".to_owned())
}

#[derive(Debug, Default)]
struct Outcome {
    times: Vec<Duration>,
    allowed: usize,
    /// Whether this node ever had to decide without Redis.
    away: bool,
}

/// Asks for decisions as fast as they come.
pub async fn run(args: &Args) -> Result<Report> {
    let own = match &args.redis_url {
        Some(_) => None,
        None => Some(RedisServer::start().await),
    };
    let address = match (&args.redis_url, &own) {
        (Some(address), _) => address.clone(),
        (None, Some(own)) => address(&own.url()).map_err(anyhow::Error::msg)?,
        (None, None) => bail!("there is no Redis"),
    };
    let condition = Condition::of(&address).await.map_err(anyhow::Error::msg)?;
    note(format_args!("deciding for {} s", args.seconds));
    let limiter = Limiter::shared(Redis::connect(address, PATIENCE).await);
    let counting_from = Instant::now() + WARM_UP;
    let until = counting_from + Duration::from_secs(args.seconds);
    let mut callers = JoinSet::new();
    for number in 0..args.callers.get() {
        let (limiter, accounts) = (limiter.clone(), args.accounts.get());
        let rng = Rng::part(1, number.into());
        callers.spawn(caller(limiter, accounts, rng, counting_from, until));
    }
    let mut outcome = Outcome::default();
    while let Some(one) = callers.join_next().await {
        let one = one?;
        outcome.times.extend(one.times);
        outcome.allowed += one.allowed;
        outcome.away |= one.away;
    }
    if outcome.away {
        bail!("Redis was away in between, so other decisions than its own were counted");
    }
    Ok(report(args, &condition, outcome))
}

async fn caller(
    limiter: Limiter,
    accounts: u32,
    mut rng: Rng,
    counting_from: Instant,
    until: Instant,
) -> Outcome {
    let mut outcome = Outcome::default();
    let limit = Limit::per_minute(60);
    loop {
        let account = rng.below(accounts as usize) as u128;
        let account = Subject::Account(UserId(uuid::Uuid::from_u128(account)));
        let begun = Instant::now();
        if begun >= until {
            return outcome;
        }
        let decision = limiter.take(account, Class::Read, limit, NEVER).await;
        outcome.away |= limiter.redis().is_some_and(|redis| !redis.is_there());
        if begun >= counting_from {
            outcome.times.push(begun.elapsed());
            outcome.allowed += usize::from(decision.allowed);
        }
    }
}

/// Only buckets in memory ask for the time.
const NEVER: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn report(args: &Args, condition: &Condition, outcome: Outcome) -> Report {
    let count = outcome.times.len();
    let rate = per_second(count, Duration::from_secs(args.seconds));
    let times = Latencies::new(outcome.times);
    let mut table = Table::new(&[
        "redis",
        "callers",
        "seconds",
        "decisions/s",
        "let through",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "goal",
    ]);
    let mut row = vec![
        condition.version.clone(),
        args.callers.to_string(),
        args.seconds.to_string(),
        format!("{rate:.0}"),
        outcome.allowed.to_string(),
    ];
    row.extend(times.cells());
    row.push(verdict("15000/s", rate >= GOAL));
    table.row(row);
    let figures = json!({
        "redis": condition.version, "callers": args.callers, "decisions_per_second": rounded(rate, 1),
        "allowed": outcome.allowed, "latency": times.to_json(), "goal_per_second": GOAL,
    });
    Report {
        tables: vec![table],
        figures,
        failures: Vec::new(),
    }
}

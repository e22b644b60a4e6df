//! Saturation: wrk asks as fast as the server answers.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tokio::process::Command;

use super::locust::program;
use super::{Args, Outcome};
use crate::client::Client;
use crate::server::Server;
use crate::stats::{milliseconds, per_second, rounded};

/// Connections, each with one request at a time.
const CONNECTIONS: u16 = 16;
/// What the script prints before its figures.
const FIGURES: &str = "figures ";

/// The figures that `saturate.lua` prints; times are in microseconds.
#[derive(Debug, Deserialize)]
struct Figures {
    requests: usize,
    micros: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
    /// Answers with another status than one of success.
    refused: usize,
    /// Connections that failed and answers that did not come.
    broken: usize,
}

/// Runs wrk against the server.
pub async fn saturate(args: &Args, server: &Server, outcome: &mut Outcome) -> Result<()> {
    let mut client = Client::new(server.target());
    let key = client.registered().await?;
    let output = Command::new(program(args.tools.as_deref(), "wrk"))
        .args(["-t", "1", "-c", &CONNECTIONS.to_string()])
        .args(["-d", &format!("{}s", args.seconds)])
        .arg("-s")
        .arg(args.scripts.join("saturate.lua"))
        .arg(format!("http://{}", server.target().authority()))
        .args(["--", &key])
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot start wrk; it is in Debian's package of this name")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().find_map(|line| line.strip_prefix(FIGURES));
    let Some(figures) = figures else {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("wrk printed no figures: {}", error.trim());
    };
    let figures: Figures =
        serde_json::from_str(figures).context("wrk's figures have another shape")?;
    let name = format!("saturation, {CONNECTIONS} connections");
    let errors = figures.refused + figures.broken;
    if errors > 0 {
        outcome.failures.push(format!("{name}: {errors} errors"));
    }
    let rate = per_second(figures.requests, Duration::from_micros(figures.micros));
    let times = [
        figures.p50,
        figures.p90,
        figures.p99,
        figures.p999,
        figures.max,
    ]
    .map(Duration::from_micros);
    let mut row = vec![
        name.clone(),
        figures.requests.to_string(),
        format!("{rate:.0}"),
        errors.to_string(),
    ];
    row.extend(times.map(milliseconds));
    row.push(String::new());
    outcome.table.row(row);
    let ms = |time: Duration| rounded(time.as_secs_f64() * 1000.0, 3);
    outcome.figures.push(serde_json::json!({
        "scenario": name, "count": figures.requests, "errors": errors,
        "per_second": rounded(rate, 1), "p50_ms": ms(times[0]), "p90_ms": ms(times[1]),
        "p99_ms": ms(times[2]), "p999_ms": ms(times[3]), "max_ms": ms(times[4]),
    }));
    Ok(())
}

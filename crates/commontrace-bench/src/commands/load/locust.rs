//! Runs Locust on one of the scenarios and reads the times that it wrote down.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use super::Args;
use crate::client::Target;
use crate::stats::Latencies;

/// Locust's exit codes: all went well, or some requests failed, which is told from their times.
const ENDED: [i32; 2] = [0, 1];
/// The name that a scenario gives to what it finds broken.
const CHECK: &str = "round ";

/// One run.
#[derive(Debug)]
pub struct Run {
    /// The file of the scenario.
    pub script: &'static str,
    /// What its reports are called.
    pub name: String,
    /// Agents.
    pub users: u16,
    /// How long they ask, unless the scenario ends by itself.
    pub seconds: Option<u16>,
    /// `eight` or `distinct`.
    pub queries: &'static str,
}

/// What was asked and how long each answer took.
#[derive(Debug)]
pub struct Times {
    requests: Vec<Request>,
    took: Duration,
}

#[derive(Debug, PartialEq)]
struct Request {
    name: String,
    ok: bool,
    time: Duration,
}

/// Lets Locust ask `target`.
pub async fn run(args: &Args, target: &Target, run: &Run) -> Result<Times> {
    let report = |ending: &str| {
        let engine = if args.server.database_url.is_some() {
            "postgres"
        } else {
            "sqlite"
        };
        args.reports.join(format!("{engine}-{}{ending}", run.name))
    };
    let (times, log) = (report("_times.tsv"), report(".log"));
    let output =
        std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(program(args.tools.as_deref(), "locust"));
    command
        .arg("--locustfile")
        .arg(args.scripts.join(run.script))
        .args(["--headless", "--only-summary", "--host"])
        .arg(format!("http://{}", target.authority()))
        .args(["--users", &run.users.to_string()])
        .args(["--spawn-rate", &run.users.to_string()])
        .arg("--csv")
        .arg(report(""))
        .arg("--html")
        .arg(report(".html"))
        .env("LOAD_TIMES", &times)
        .env("LOAD_QUERIES", run.queries)
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("cannot write Locust's log")?)
        .stderr(output)
        .kill_on_drop(true);
    if let Some(seconds) = run.seconds {
        command.args(["--run-time", &format!("{seconds}s")]);
    }
    let begun = Instant::now();
    let status = command.status().await.context(
        "cannot start Locust; install it with `scripts/fetch-load-tools.sh` and name the folder \
         that it prints with --tools",
    )?;
    // Without its own start and end; a scenario that ends by itself has no other time.
    let took = match run.seconds {
        Some(seconds) => Duration::from_secs(seconds.into()),
        None => begun.elapsed(),
    };
    if !status.code().is_some_and(|code| ENDED.contains(&code)) {
        bail!("Locust ended with {status}; see {}", log.display());
    }
    let text = std::fs::read_to_string(&times)
        .with_context(|| format!("Locust wrote no times to {}", times.display()))?;
    let requests = parse(&text).with_context(|| format!("{} is damaged", times.display()))?;
    if requests.is_empty() {
        bail!("Locust asked nothing; see {}", log.display());
    }
    Ok(Times { requests, took })
}

/// Returns how to start a program of the load tools.
pub fn program(tools: Option<&Path>, name: &str) -> PathBuf {
    let given = tools.map(|folder| folder.join(name));
    // What is not in the folder may be a system package.
    given
        .filter(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}

fn parse(text: &str) -> Result<Vec<Request>> {
    text.lines()
        .map(|line| {
            let mut cells = line.split('\t');
            let mut cell = || cells.next().context("a line has too few cells");
            let (name, outcome, _status, ms) = (cell()?, cell()?, cell()?, cell()?);
            let ms: f64 = ms.parse().context("a time is not a number")?;
            Ok(Request {
                name: name.to_owned(),
                ok: outcome == "ok",
                time: Duration::try_from_secs_f64(ms / 1000.0).context("a time is negative")?,
            })
        })
        .collect()
}

impl Times {
    /// Returns how long the agents asked.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Returns the times of the requests with this name that were answered as expected.
    pub fn latencies(&self, name: &str) -> Latencies {
        let these = self.requests.iter().filter(|r| r.ok && r.name == name);
        Latencies::new(these.map(|request| request.time).collect())
    }

    /// Counts the requests with this name that were not.
    pub fn errors(&self, name: &str) -> usize {
        let wrong = |request: &&Request| !request.ok && request.name == name;
        self.requests.iter().filter(wrong).count()
    }

    /// Returns what a scenario has found broken.
    pub fn checks(&self) -> impl Iterator<Item = &str> {
        let names = self.requests.iter().map(|request| request.name.as_str());
        names.filter(|name| name.starts_with(CHECK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_by_name_and_outcome() {
        let text = "register\tok\t201\t3.2\nsearch\tok\t200\t1.5\nsearch\terror\t503\t0.5\n\
                    round 1: 59 of the first 60 passed\terror\t0\t0.000\n";
        let times = Times {
            requests: parse(text).unwrap(),
            took: Duration::from_secs(1),
        };
        assert_eq!(times.latencies("search").len(), 1);
        assert_eq!(
            times.latencies("search").percentile(50),
            Duration::from_micros(1500)
        );
        assert_eq!(times.errors("search"), 1);
        assert_eq!(times.checks().count(), 1);
        assert!(parse("search\tok").is_err());
        assert!(parse("search\tok\t200\t-1").is_err());
    }
}

//! `sandbox`: how long a command that does nothing takes in a sandbox, from the start of the program to its
//! end, by the user who measures.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::report::{Report, Table, note, verdict};
use crate::server::program;
use crate::stats::{Latencies, milliseconds};

/// Starts before counting begins, so that files are in memory.
const WARM_UP: u32 = 5;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The program to start [default: `commontrace` beside this program]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Starts that are counted with each isolation
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// Measure Docker too, with a container of this image, which has to be there already
    #[arg(long)]
    image: Option<String>,
}

/// An isolation and its goal.
struct Case<'a> {
    isolation: &'static str,
    image: Option<&'a str>,
    goal: Option<Duration>,
}

/// Starts `true` again and again.
pub async fn run(args: &Args) -> Result<Report> {
    let binary = program(args.binary.as_deref())?;
    let tree = TempDir::with_prefix("bench-")?;
    let case = |isolation, goal_ms: Option<u64>| Case {
        isolation,
        image: None,
        goal: goal_ms.map(Duration::from_millis),
    };
    let mut cases = vec![case("embedded", Some(15)), case("bubblewrap", None)];
    if let Some(image) = args.image.as_deref() {
        cases.push(Case {
            image: Some(image),
            ..case("docker", Some(400))
        });
    }
    let user = if rustix::process::geteuid().is_root() {
        "root"
    } else {
        "an ordinary user"
    };
    let mut table = Table::new(&[
        "isolation",
        "user",
        "starts",
        "p50 ms",
        "p99 ms",
        "p50, goal",
    ]);
    let mut figures = Vec::new();
    let mut failures = Vec::new();
    for case in cases {
        let times = match case.measure(&binary, tree.path(), args.starts).await {
            Ok(times) => times,
            // Not every machine has each of them.
            Err(err) if case.isolation == "bubblewrap" => {
                note(format_args!("not measured: {err:#}"));
                continue;
            }
            Err(err) => return Err(err),
        };
        let median = times.percentile(50);
        let met = case.goal.is_none_or(|goal| median <= goal);
        if !met {
            failures.push(format!(
                "a start with the isolation {} takes {} ms",
                case.isolation,
                milliseconds(median)
            ));
        }
        let goal = case
            .goal
            .map(|goal| verdict(&format!("{} ms", goal.as_millis()), met));
        table.row([
            case.isolation.to_owned(),
            user.to_owned(),
            times.len().to_string(),
            milliseconds(median),
            milliseconds(times.percentile(99)),
            goal.unwrap_or_default(),
        ]);
        figures.push(json!({"isolation": case.isolation, "user": user, "starts": times.to_json()}));
    }
    Ok(Report {
        tables: vec![table],
        figures: json!(figures),
        failures,
    })
}

impl Case<'_> {
    async fn measure(&self, binary: &Path, tree: &Path, starts: u32) -> Result<Latencies> {
        note(format_args!("starting {starts} times: {}", self.isolation));
        let mut times = Vec::new();
        for start in 0..WARM_UP + starts {
            let begun = Instant::now();
            self.start(binary, tree).await?;
            if start >= WARM_UP {
                times.push(begun.elapsed());
            }
        }
        Ok(Latencies::new(times))
    }

    /// Starts the program once and waits for its end.
    async fn start(&self, binary: &Path, tree: &Path) -> Result<()> {
        let mut command = Command::new(binary);
        command
            .args(["sandbox", "run", "--isolation", self.isolation])
            .args(["--no-toolchains", "--tree"])
            .arg(tree)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(image) = self.image {
            command.args(["--image", image]);
        }
        let ended = command
            .args(["--", "true"])
            .output()
            .await
            .with_context(|| format!("cannot start {}", binary.display()))?;
        if !ended.status.success() {
            bail!(
                "`true` with the isolation {} ended with {}: {}",
                self.isolation,
                ended.status,
                String::from_utf8_lossy(&ended.stderr).trim()
            );
        }
        Ok(())
    }
}

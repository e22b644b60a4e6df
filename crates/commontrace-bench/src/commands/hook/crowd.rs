//! Very many hooks at once on one data directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

use super::driver::{self, Driver};
use super::recorded::{Host, Recorded};
use crate::stats::Latencies;

/// Hooks of one session at the same time.
const IN_A_SESSION: usize = 20;
/// Bytes of the stack of a thread that only waits.
const STACK: usize = 256 * 1024;

/// What became of the crowd.
#[derive(Debug)]
pub struct Crowd {
    /// Each hook's time, from its own start to its end.
    pub times: Latencies,
    /// From the first start to the last end.
    pub took: Duration,
    /// Hooks that ended otherwise than they should, or printed what they should not.
    pub errors: Vec<String>,
    /// Hooks that ended themselves because the host would have gone on.
    pub gave_up: usize,
    /// Other lines in the hooks' log that were not there before.
    pub logged: Vec<String>,
    /// Failures that were sent and are not in the history, or are there twice.
    pub lost: i64,
    /// What the integrity checks of the history and of the store say, if not "ok".
    pub corrupted: Vec<String>,
}

/// What a hook writes into its log when its time is over.
const GAVE_UP: &str = "gave up";

/// Starts `count` hooks without waiting for any of them.
pub async fn run(
    driver: &Driver,
    cases: &[Recorded],
    count: usize,
    store: &Path,
    folder: &Path,
) -> Result<Crowd> {
    driver.forget()?;
    let known = driver.log().len();
    let mut failures = 0;
    for number in 0..count {
        let session = format!("crowd-{}", number / IN_A_SESSION);
        let (event, failed) = event(number, &cases[number % cases.len()], &session);
        failures += i64::from(failed);
        std::fs::write(place(folder, number, "in"), serde_json::to_vec(&event)?)?;
    }
    let begun = Instant::now();
    let ended = started_at_once(driver, count, folder)?;
    let took = begun.elapsed();
    let mut times = Vec::with_capacity(count);
    let mut errors = Vec::new();
    for (number, ended) in ended.into_iter().enumerate() {
        let (time, status) = ended?;
        times.push(time);
        let read = |what: &str| std::fs::read(place(folder, number, what));
        if !status.success() {
            errors.push(format!("a hook ended with {status}"));
        } else if let Err(err) = driver::told(&read("out")?, &read("err")?) {
            errors.push(format!("{err:#}"));
        }
    }
    let noted = failures_noted(&driver.history()).await?;
    let mut corrupted = Vec::new();
    for file in [driver.history().as_path(), store] {
        corrupted.extend(check(file).await?);
    }
    let (gave_up, logged): (Vec<String>, _) = driver
        .log()
        .split_off(known)
        .into_iter()
        .partition(|line| line.contains(GAVE_UP));
    Ok(Crowd {
        times: Latencies::new(times),
        took,
        errors,
        gave_up: gave_up.len(),
        logged,
        lost: (failures - noted).abs(),
        corrupted,
    })
}

/// Starts every hook from a thread of its own, all of which begin together, and waits for them.
fn started_at_once(
    driver: &Driver,
    count: usize,
    folder: &Path,
) -> Result<Vec<std::io::Result<(Duration, ExitStatus)>>> {
    let gate = Barrier::new(count);
    std::thread::scope(|scope| {
        let mut waiting = Vec::with_capacity(count);
        for number in 0..count {
            let gate = &gate;
            let one = move || {
                gate.wait();
                let begun = Instant::now();
                let status = driver
                    .command(Host::Claude.name())
                    .stdin(File::open(place(folder, number, "in"))?)
                    .stdout(File::create(place(folder, number, "out"))?)
                    .stderr(File::create(place(folder, number, "err"))?)
                    .status()?;
                Ok((begun.elapsed(), status))
            };
            let thread = std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, one)
                .context("cannot start so many threads")?;
            waiting.push(thread);
        }
        Ok(waiting
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"))
            .collect())
    })
}

fn place(folder: &Path, number: usize, what: &str) -> PathBuf {
    folder.join(format!("{number}.{what}"))
}

/// Half of the events are failures, and the rest is what else happens in a session.
fn event(number: usize, case: &Recorded, session: &str) -> (Value, bool) {
    let call = format!("toolu_{number}");
    let mut event = Host::Claude.event(case, session);
    match number % 6 {
        0..=2 => {
            event["tool_use_id"] = json!(call);
            (event, true)
        }
        3 => {
            let edit = json!({
                "session_id": session, "cwd": case.cwd, "permission_mode": "default", "hook_event_name": "PostToolUse",
                "tool_name": "Edit", "tool_use_id": call,
                "tool_input": {
                    "file_path": format!("{}/src/a.rs", case.cwd), "old_string": "one", "new_string": "two",
                },
                "tool_response": {"filePath": format!("{}/src/a.rs", case.cwd)},
            });
            (edit, false)
        }
        4 => {
            let prompt = json!({
                "session_id": session, "cwd": case.cwd, "permission_mode": "default",
                "hook_event_name": "UserPromptSubmit", "prompt": "Please mend the build",
            });
            (prompt, false)
        }
        _ => {
            let other = Recorded {
                command: "ls -la".to_owned(),
                exit_code: 0,
                stdout: "total 0\n".to_owned(),
                output: "total 0\n".to_owned(),
                stderr: String::new(),
                ..case.clone()
            };
            let mut event = Host::Claude.event(&other, session);
            event["tool_use_id"] = json!(call);
            (event, false)
        }
    }
}

async fn open(file: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(Duration::from_secs(10));
    options
        .connect()
        .await
        .with_context(|| format!("cannot open {}", file.display()))
}

/// How many runs of failed commands the history knows of; none if there is no history.
pub async fn failures_noted(history: &Path) -> Result<i64> {
    if !history.exists() {
        return Ok(0);
    }
    let mut db = open(history).await?;
    let runs = sqlx::query("SELECT coalesce(sum(runs), 0) FROM failures")
        .fetch_one(&mut db)
        .await?;
    db.close().await?;
    Ok(runs.try_get(0)?)
}

/// What is wrong with a database, or nothing.
async fn check(file: &Path) -> Result<Vec<String>> {
    let mut db = open(file).await?;
    let rows = sqlx::query("PRAGMA integrity_check")
        .fetch_all(&mut db)
        .await?;
    db.close().await?;
    let lines: Vec<String> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

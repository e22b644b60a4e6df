//! Very many hooks at once on one data directory.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

use super::driver::{self, Driver};
use super::recorded::{Host, Recorded};
use crate::stats::Latencies;

/// Hooks of one session at the same time.
const IN_A_SESSION: usize = 20;

/// What became of the crowd.
#[derive(Debug)]
pub struct Crowd {
    /// Each hook's time, from its own start to its end.
    pub times: Latencies,
    /// From the first start to the last end.
    pub took: Duration,
    /// Hooks that ended otherwise than they should, or printed what they should not.
    pub errors: Vec<String>,
    /// Lines in the hooks' log that were not there before.
    pub logged: Vec<String>,
    /// Failures that were sent and are not in the history, or are there twice.
    pub lost: i64,
    /// What the integrity checks of the history and of the store say, if not "ok".
    pub corrupted: Vec<String>,
}

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
    let mut running = Vec::with_capacity(count);
    let begun = Instant::now();
    for number in 0..count {
        let session = format!("crowd-{}", number / IN_A_SESSION);
        let case = &cases[number % cases.len()];
        let (event, failed) = event(number, case, &session);
        failures += i64::from(failed);
        let place = |what: &str| folder.join(format!("{number}.{what}"));
        std::fs::write(place("in"), serde_json::to_vec(&event)?)?;
        let mut command = tokio::process::Command::from(driver.command(Host::Claude.name()));
        command
            .stdin(File::open(place("in"))?)
            .stdout(File::create(place("out"))?)
            .stderr(File::create(place("err"))?)
            .kill_on_drop(true);
        let begun = Instant::now();
        let mut child = command.spawn().context("cannot start a hook")?;
        running.push(async move {
            let ended = child.wait().await;
            (number, ended, begun.elapsed())
        });
    }
    let mut times = Vec::with_capacity(count);
    let mut errors = Vec::new();
    for (number, ended, time) in join_all(running).await {
        times.push(time);
        let read = |what: &str| std::fs::read(folder.join(format!("{number}.{what}")));
        match ended {
            Ok(status) if status.success() => {
                if let Err(err) = driver::told(&read("out")?, &read("err")?) {
                    errors.push(format!("{err:#}"));
                }
            }
            Ok(status) => errors.push(format!("a hook ended with {status}")),
            Err(err) => errors.push(err.to_string()),
        }
    }
    let took = begun.elapsed();
    let noted = failures_noted(&driver.history()).await?;
    let mut corrupted = Vec::new();
    for file in [driver.history().as_path(), store] {
        corrupted.extend(check(file).await?);
    }
    Ok(Crowd {
        times: Latencies::new(times),
        took,
        errors,
        logged: driver.log().split_off(known),
        lost: (failures - noted).abs(),
        corrupted,
    })
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

//! `sessions import-speed`: how fast recordings of agents are read.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use commontrace_session::import::{Counts, Found, Importer, SinkError, files};
use serde_json::{Value, json};

use crate::report::{Report, Table, note, verdict};
use crate::server::Memory;
use crate::stats::rounded;

/// Megabytes a second to parse.
const GOAL: f64 = 60.0;
/// Megabytes of memory at most.
const MEMORY_GOAL: u64 = 200;

/// Which recordings.
#[derive(Debug, clap::Args)]
pub struct ImportSpeed {
    /// Files and folders as agents write them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// How often to read all of it; the fastest counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
}

/// Measures.
pub fn run(args: &ImportSpeed) -> Result<Report> {
    let mut all = Vec::new();
    for path in &args.paths {
        all.extend(files(path)?);
    }
    let mut table = Table::new(&[
        "reading",
        "files",
        "MB",
        "events",
        "bad records",
        "MB/s",
        "goal",
    ]);
    let mut figures = Vec::new();
    for (name, redacts) in [("parse only", false), ("with redaction", true)] {
        note(format_args!("{name}, {} times", args.times));
        let mut fastest: Option<(Duration, Counts)> = None;
        for _ in 0..args.times {
            let (took, counts) = read(&all, redacts)?;
            if fastest.as_ref().is_none_or(|(known, _)| took < *known) {
                fastest = Some((took, counts));
            }
        }
        let Some((took, counts)) = fastest else {
            continue;
        };
        if counts.bytes == 0 {
            bail!("there is nothing to read");
        }
        let megabytes = counts.bytes as f64 / 1e6;
        let speed = megabytes / took.as_secs_f64();
        table.row([
            name.to_owned(),
            all.len().to_string(),
            format!("{megabytes:.1}"),
            counts.total_events().to_string(),
            counts.bad.to_string(),
            format!("{speed:.1}"),
            if redacts {
                String::new()
            } else {
                verdict("60 MB/s", speed >= GOAL)
            },
        ]);
        figures.push(json!({
            "redacts": redacts, "files": all.len(), "bytes": counts.bytes, "events": counts.total_events(),
            "bad": counts.bad, "megabytes_per_second": rounded(speed, 1),
        }));
    }
    let peak = Memory::of(std::process::id()).map(|memory| memory.peak / 1_000_000);
    let mut memory = Table::new(&["most memory, MB", "goal"]);
    if let Some(peak) = peak {
        memory.row([peak.to_string(), verdict("200 MB", peak <= MEMORY_GOAL)]);
    }
    Ok(Report {
        tables: vec![table, memory],
        figures: json!({
            "readings": Value::from(figures), "goal_megabytes_per_second": GOAL,
            "peak_megabytes": peak, "goal_peak_megabytes": MEMORY_GOAL,
        }),
        failures: Vec::new(),
    })
}

/// Reads all files; what is found is dropped.
fn read(files: &[PathBuf], redacts: bool) -> Result<(Duration, Counts)> {
    let mut importer = if redacts {
        Importer::new()
    } else {
        Importer::without_redaction()
    };
    let mut sink = |_: Found| -> Result<(), SinkError> { Ok(()) };
    let begun = Instant::now();
    for file in files {
        let file: &Path = file;
        importer.read_file(file, &mut sink)?;
    }
    let counts = importer.finish(&mut sink)?;
    Ok((begun.elapsed(), counts))
}

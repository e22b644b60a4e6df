//! `commontrace sessions import`: reads what agents have recorded and stores it as sessions.
//!
//! Reading and storing go on at the same time: files are parsed on a thread of their own, a bounded number
//! of batches ahead of the store. What is stored already is not stored again, so an import that was
//! interrupted is repeated.

use std::io::{self, BufReader, IsTerminal};
use std::path::{Path, PathBuf};

use commontrace_server::clock::Clock;
use commontrace_server::error::chain;
use commontrace_server::ids::Ids;
use commontrace_server::sessions::import::{Import, Imported};
use commontrace_session::import::{Counts, FileReport, Found, ImportError, Importer, files};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::Owner;
use crate::commands::{complain, say};
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// Batches, of a mebibyte each, that are parsed ahead of the store.
const AHEAD: usize = 4;

/// What to import.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders that agents have written; `-` reads standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    owner: Owner,
    /// Print what became of each file as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Imports, and says what came of it.
pub async fn run(config: Config, args: Args) -> Result<(), Failure> {
    let store = start::store(&config).await?;
    let user = args.owner.account(&store).await?;
    let mut import = Import::new(store.clone(), user, Ids::Random, Clock::System.now());
    let (found, mut arriving) = mpsc::channel(AHEAD);
    let (paths, json) = (args.paths, args.json);
    let reading = tokio::task::spawn_blocking(move || read(&paths, json, &found));
    let mut stored = Ok(());
    while let Some(next) = arriving.recv().await {
        stored = import.take(next).await;
        if stored.is_err() {
            // The reader notices that nobody listens any more.
            drop(arriving);
            break;
        }
    }
    let read = reading
        .await
        .map_err(|err| Failure::new(format!("reading was aborted: {err}")))?;
    stored?;
    let read = read?;
    store.close().await;
    summary(&read, import.counts());
    if read.unread > 0 {
        return Err(Failure::new(format!(
            "{} of {} files could not be read",
            read.unread, read.files
        )));
    }
    Ok(())
}

/// What was read.
#[derive(Debug, Default)]
struct Read {
    files: u64,
    unread: u64,
    counts: Counts,
}

fn read(paths: &[PathBuf], json: bool, found: &mpsc::Sender<Found>) -> Result<Read, Failure> {
    let mut all = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            all.push(path.clone());
            continue;
        }
        let below = std::fs::metadata(path)
            .and_then(|_| files(path))
            .map_err(|err| Failure::unreadable(path, &err))?;
        if below.is_empty() {
            return Err(Failure::new(format!("{} holds no files", path.display())));
        }
        all.extend(below);
    }
    let sizes: Vec<u64> = all.iter().map(|path| size(path)).collect();
    let bar = bar(sizes.iter().sum());
    let mut importer = Importer::new();
    let mut sink = |next: Found| Ok(found.blocking_send(next)?);
    let mut read = Read::default();
    for (path, size) in all.iter().zip(sizes) {
        read.files += 1;
        let report = if path == Path::new("-") {
            importer.read("standard input", BufReader::new(io::stdin()), &mut sink)
        } else {
            importer.read_file(path, &mut sink)
        };
        match report {
            Ok(report) => {
                read.counts.add(&report.counts);
                read.unread += u64::from(report.format.is_none() && report.counts.bad > 0);
                bar.suspend(|| tell(&report, json));
            }
            // Whoever stores says why.
            Err(ImportError::Sink(_)) => return Ok(read),
            Err(err) => {
                read.unread += 1;
                bar.suspend(|| complain(&chain(&err)));
            }
        }
        bar.inc(size);
    }
    if let Err(err @ ImportError::Read { .. }) = importer.finish(&mut sink) {
        complain(&chain(&err));
    }
    bar.finish_and_clear();
    Ok(read)
}

/// Says what is wrong with a file, or all about it as JSON.
fn tell(report: &FileReport, json: bool) {
    if json {
        say(serde_json::to_string(report).unwrap_or_default());
        return;
    }
    for damaged in &report.damage {
        complain(&format!(
            "{}:{} (byte {}): {}",
            report.file, damaged.line, damaged.offset, damaged.reason
        ));
    }
    let told = report.counts.bad + report.counts.unparsed;
    let more = told - report.damage.len() as u64;
    if more > 0 {
        complain(&format!(
            "{}: {more} more records could not be read whole",
            report.file
        ));
    }
}

fn summary(read: &Read, stored: Imported) {
    let Counts {
        bad,
        skipped,
        redacted,
        ..
    } = &read.counts;
    say(format_args!(
        "{} files: {} sessions, {} new events, {} known",
        read.files, stored.sessions, stored.events, stored.known
    ));
    if *bad + *skipped + stored.refused > 0 {
        say(format_args!(
            "{bad} damaged records, {skipped} left out on purpose, {} events of sessions that are another's or full, or for which there is no room",
            stored.refused
        ));
    }
    if stored.changed > 0 {
        say(format_args!(
            "{} of the known events have other content than what is stored, which stays",
            stored.changed
        ));
    }
    for rule in redacted.rules() {
        say(format_args!("redacted {} x {}", rule.count, rule.rule));
    }
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn bar(total: u64) -> ProgressBar {
    if !io::stderr().is_terminal() || total == 0 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("importing {bar:30} {bytes}/{total_bytes} {eta}");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

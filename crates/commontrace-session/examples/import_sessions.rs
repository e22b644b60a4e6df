//! Reads recorded sessions and prints what they are made of, to look at what an importer makes of them.
//!
//! `cargo run --release -p commontrace-session --example import_sessions -- [--parse-only] [--events] [--export=FORMAT] PATH…`
//!
//! With `--export=FORMAT` the first session in that format; with `--events` every event as a line of JSON; with `--parse-only` without redaction, which is what the
//! speed of parsing is measured with.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use commontrace_session::export::{Export, Format};
use commontrace_session::import::{Found, Importer, SinkError, files};

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, paths): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let (parse_only, list) = (has("--parse-only"), has("--events"));
    let export = flags
        .iter()
        .find_map(|flag| Format::named(flag.strip_prefix("--export=")?));
    let mut kept = Vec::new();
    let mut importer = if parse_only {
        Importer::without_redaction()
    } else {
        Importer::new()
    };
    let mut sessions = BTreeMap::new();
    let mut ids = HashSet::new();
    let mut blobs = (0_usize, 0_usize);
    let mut out = io::stdout().lock();
    let mut sink = |found: Found| -> Result<(), SinkError> {
        match found {
            Found::Session { key, session } => {
                sessions.insert(key, session);
            }
            Found::Batch(batch) => {
                blobs.0 += 1;
                blobs.1 += batch.blob.bytes.len();
                if export.is_some() {
                    kept.extend(batch.events.clone());
                }
                for (key, event) in &batch.events {
                    if list {
                        writeln!(out, "{key} {}", serde_json::to_string(event)?)?;
                    }
                    if !parse_only && !ids.insert((key.clone(), event.id.clone())) {
                        return Err(format!("{key} has {} twice", event.id).into());
                    }
                }
            }
        }
        Ok(())
    };
    let mut took = Duration::ZERO;
    for path in &paths {
        for file in files(Path::new(path))? {
            let start = Instant::now();
            let report = importer.read_file(&file, &mut sink)?;
            took += start.elapsed();
            if !parse_only && !list && export.is_none() {
                eprintln!("{}", serde_json::to_string(&report)?);
            }
        }
    }
    let total = importer.finish(&mut sink)?;
    if let (Some(format), Some((key, session))) = (export, sessions.iter().next()) {
        let events = kept.into_iter().filter(|(of, _)| of == key);
        let export = Export {
            id: &key.id,
            session,
            verdict: None,
            url: None,
        };
        export.write(format, events.map(|(_, event)| event), &mut out)?;
    } else if !list {
        for (key, session) in &sessions {
            writeln!(out, "{key} {}", serde_json::to_string(session)?)?;
        }
        writeln!(out, "{}", serde_json::to_string(&total)?)?;
    }
    let speed = total.bytes as f64 / 1e6 / took.as_secs_f64();
    eprintln!(
        "{} bytes in {took:?}: {speed:.1} MB/s; {} blobs of {} bytes",
        total.bytes, blobs.0, blobs.1
    );
    Ok(())
}

//! Measures redaction on a folder of public texts, where nearly every finding is a false positive.
//!
//! `cargo run --release -p commontrace-redact --example redact_bench -- FOLDER [RULE]`
//!
//! Reads `*.jsonl` (one document a line, all its strings) and every other text (one document a file), and
//! prints findings by rule, documents hit per 1,000, speed, and samples; with RULE every place it marked.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use commontrace_redact::{Finding, redact};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or("usage: redact_bench FOLDER [RULE]")?;
    let rule = arguments.next();
    let mut out = io::stdout().lock();

    let start = Instant::now();
    redact("nothing here");
    writeln!(out, "first call, no hit: {:?}", start.elapsed())?;

    let mut documents = Vec::new();
    read(Path::new(&folder), &mut documents)?;
    let mut report = Report::default();
    for document in &documents {
        let start = Instant::now();
        let answer = redact(document);
        report.record(document, &answer.findings, start.elapsed());
    }
    report.print(&mut out, rule.as_deref())?;
    print_speed(&mut out, &documents)
}

/// Collects the documents below `path`.
fn read(path: &Path, documents: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| read(entry, documents));
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("jsonl") => {
            for line in fs::read_to_string(path)?
                .lines()
                .filter(|line| !line.is_empty())
            {
                let mut text = String::new();
                match serde_json::from_str(line) {
                    Ok(value) => strings(&value, &mut text),
                    Err(_) => text.push_str(line),
                }
                documents.push(text);
            }
        }
        // Whatever is no text is no document.
        _ => documents.extend(fs::read_to_string(path).ok()),
    }
    Ok(())
}

fn strings(value: &Value, text: &mut String) {
    match value {
        Value::String(string) => {
            text.push_str(string);
            text.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, text)),
        Value::Object(members) => members.values().for_each(|member| strings(member, text)),
        _ => {}
    }
}

#[derive(Default)]
struct Report {
    documents: usize,
    bytes: usize,
    hit: usize,
    times: Vec<Duration>,
    /// For each rule: the documents it hit and every place with its surroundings.
    rules: BTreeMap<&'static str, (usize, Vec<String>)>,
}

impl Report {
    fn record(&mut self, document: &str, findings: &[Finding], took: Duration) {
        self.documents += 1;
        self.bytes += document.len();
        self.hit += usize::from(!findings.is_empty());
        self.times.push(took);
        let mut seen = Vec::new();
        for finding in findings {
            let (hit, places) = self.rules.entry(finding.rule).or_default();
            if !seen.contains(&finding.rule) {
                seen.push(finding.rule);
                *hit += 1;
            }
            places.push(surroundings(document, finding));
        }
    }

    fn print(&mut self, out: &mut impl Write, rule: Option<&str>) -> io::Result<()> {
        self.times.sort_unstable();
        let rate = |hit: usize| hit as f64 * 1000.0 / self.documents.max(1) as f64;
        let total: Duration = self.times.iter().sum();
        writeln!(
            out,
            "{} documents, {} bytes, {:.1} MB/s",
            self.documents,
            self.bytes,
            self.bytes as f64 / 1e6 / total.as_secs_f64()
        )?;
        let at = |share: usize| {
            self.times
                .get(self.times.len() * share / 1000)
                .copied()
                .unwrap_or_default()
        };
        writeln!(
            out,
            "per document: p50 {:?}, p99 {:?}, p99.9 {:?}",
            at(500),
            at(990),
            at(999)
        )?;
        writeln!(
            out,
            "documents with a finding: {} ({:.2} per 1,000)\n",
            self.hit,
            rate(self.hit)
        )?;
        let mut rules: Vec<_> = self.rules.iter().collect();
        rules.sort_by_key(|(_, (hit, _))| std::cmp::Reverse(*hit));
        for (name, (hit, places)) in rules {
            writeln!(
                out,
                "{:7.2} per 1,000  {name}: {} places in {hit} documents",
                rate(*hit),
                places.len()
            )?;
            let step = if rule == Some(name) {
                1
            } else {
                places.len().div_ceil(3)
            };
            for place in places.iter().step_by(step) {
                writeln!(out, "                     {place}")?;
            }
        }
        Ok(())
    }
}

/// The finding between `⟦` and `⟧` in its line.
fn surroundings(document: &str, finding: &Finding) -> String {
    let before: String = document[..finding.start]
        .chars()
        .rev()
        .take(40)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let after: String = document[finding.end..].chars().take(20).collect();
    let found: String = document[finding.start..finding.end]
        .chars()
        .take(90)
        .collect();
    format!("{before}⟦{found}⟧{after}").replace('\n', "⏎")
}

/// Times texts of 3 kB and 50 kB made of documents without findings.
fn print_speed(out: &mut impl Write, documents: &[String]) -> Result<(), Box<dyn Error>> {
    for size in [3_000, 50_000] {
        let mut texts = vec![String::new()];
        for document in documents
            .iter()
            .filter(|document| document.len() < 3_000 && redact(document).findings.is_empty())
        {
            let text = texts.last_mut().ok_or("there is always a text")?;
            text.push_str(document);
            if text.len() >= size {
                texts.push(String::new());
            }
            if texts.len() > 200 {
                break;
            }
        }
        texts.pop();
        let mut times: Vec<Duration> = texts
            .iter()
            .map(|text| {
                let start = Instant::now();
                redact(text);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        let (Some(most), Some(median)) = (times.last(), times.get(times.len() / 2)) else {
            continue;
        };
        writeln!(
            out,
            "\n{} clean texts of {size} bytes: median {median:?}, worst {most:?}",
            times.len()
        )?;
    }
    Ok(())
}

//! Fills a store the way users do: concurrent clients, one POST per trace.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::sleep;

use crate::api::Contributed;
use crate::client::{Client, Target};
use crate::document::NewTrace;
use crate::stats::Latencies;

/// Accounts that contribute at once.
pub const CLIENTS: usize = 8;
/// How long the backlog may stay the same before waiting is given up.
const STALLED: Duration = Duration::from_secs(120);

/// What became of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// For each trace in order its id, or `None` when the write gate refused it.
    pub ids: Vec<Option<String>>,
    /// Why the first refused traces were refused.
    pub refusals: Vec<String>,
    /// Traces in which something was redacted.
    pub redacted: usize,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Times of the single requests.
    pub latencies: Latencies,
}

impl Imported {
    /// Returns how many traces were refused.
    pub fn refused(&self) -> usize {
        self.ids.iter().filter(|id| id.is_none()).count()
    }

    /// Returns how many traces were stored.
    pub fn stored(&self) -> usize {
        self.ids.len() - self.refused()
    }
}

/// Contributes all traces. Only the write gate's 422 is a refusal; any other answer ends it.
pub async fn import(target: &Target, traces: &[NewTrace]) -> Result<Imported> {
    let progress = progress_bar("contributing", traces.len());
    let imported = RefCell::new(Imported {
        ids: vec![None; traces.len()],
        ..Imported::default()
    });
    let times = RefCell::new(Vec::with_capacity(traces.len()));
    let next = Cell::new(0);
    let run = client_runs(target, traces, &next, |index, contributed, took| {
        let mut imported = imported.borrow_mut();
        times.borrow_mut().push(took);
        progress.inc(1);
        match contributed {
            Ok(contributed) => {
                imported.redacted += usize::from(!contributed.redactions.is_empty());
                imported.ids[index] = Some(contributed.id);
            }
            Err(reason) if imported.refusals.len() < 5 => {
                imported
                    .refusals
                    .push(format!("`{}`: {reason}", traces[index].title));
            }
            Err(_) => {}
        }
    });
    let begun = Instant::now();
    run.await?;
    let mut imported = imported.take();
    imported.took = begun.elapsed();
    imported.latencies = Latencies::new(times.take());
    progress.finish_and_clear();
    Ok(imported)
}

async fn client_runs(
    target: &Target,
    traces: &[NewTrace],
    next: &Cell<usize>,
    done: impl Fn(usize, Result<Contributed, String>, Duration),
) -> Result<()> {
    let client_run = async |_| -> Result<()> {
        let mut client = Client::new(target);
        client.register().await?;
        while let Some(trace) = traces.get(next.get()) {
            let index = next.replace(next.get() + 1);
            let answer = client.contribute(trace, &format!("bench-{index}")).await?;
            match answer.status {
                422 => done(index, Err(answer.detail()), answer.took),
                _ => done(index, Ok(answer.json(202)?), answer.took),
            }
        }
        Ok(())
    };
    try_join_all((0..CLIENTS).map(client_run))
        .await
        .context("the import ended")?;
    Ok(())
}

/// Waits until no trace waits for a vector.
pub async fn embedded(target: &Target) -> Result<()> {
    let mut client = Client::new(target);
    let first = client.backlog().await?;
    let progress = progress_bar("embedding", first);
    let (mut waiting, mut changed) = (first, Instant::now());
    while waiting > 0 {
        sleep(Duration::from_millis(200)).await;
        let now = client.backlog().await?;
        if now != waiting {
            (waiting, changed) = (now, Instant::now());
        } else if changed.elapsed() > STALLED {
            bail!("{waiting} traces still wait for a vector and nothing has moved for {STALLED:?}");
        }
        progress.set_position(first.saturating_sub(waiting) as u64);
    }
    progress.finish_and_clear();
    Ok(())
}

/// Shows progress on a terminal, and nothing elsewhere.
pub fn progress_bar(what: &'static str, length: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:>14} {bar:40} {pos}/{len} {eta:>5}")
        .expect("the template is a constant");
    ProgressBar::new(length as u64)
        .with_style(style)
        .with_message(what)
}

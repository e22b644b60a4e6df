//! The models that a worker embeds for: the one in its settings, and those it had before as long as
//! nodes may still search with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::embed::{Purpose, embed_for, enqueue_missing};
use crate::app::App;
use crate::error::chain;
use crate::search::Generation;

/// How often to look for traces that have neither a vector nor a job, as those that were written by
/// a node without a model.
const MAKE_UP: Duration = Duration::from_secs(600);

/// A model that is embedded for. Its index stays empty.
#[derive(Debug)]
struct Line {
    generation: Generation,
    /// Ends the embedding.
    leave: CancellationToken,
    /// Whether the queue was empty once, so that nodes may search with the model.
    worked_off: AtomicBool,
}

/// Embeds until the process stops; `announced` tells that there are new jobs.
pub async fn run(app: App, announced: Arc<Notify>) {
    let mut wanted = app.search.wanted();
    let mut tasks = JoinSet::new();
    let mut lines: Vec<Arc<Line>> = Vec::new();
    let mut missing = interval_at(Instant::now() + MAKE_UP, MAKE_UP);
    while !app.lifecycle.is_stopping() {
        let next = app.search.generation(wanted.borrow_and_update().clone());
        leave_behind(&mut lines, &next);
        let line = Arc::new(Line::new(next));
        tasks.spawn(work(app.clone(), Arc::clone(&line)));
        lines.push(line);
        report(&lines);
        loop {
            tokio::select! {
                _ = wanted.changed() => break,
                () = announced.notified() => for line in &lines { line.generation.wake() },
                _ = missing.tick() => make_up(&app, &lines).await,
                () = app.lifecycle.stopped() => break,
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn work(app: App, line: Arc<Line>) {
    let purpose = Purpose::AllNodes {
        worked_off: &line.worked_off,
    };
    embed_for(&app, &line.generation, &line.leave, purpose).await;
}

/// Enqueues what nodes have not seen to for the model in the settings, which is the last.
async fn make_up(app: &App, lines: &[Arc<Line>]) {
    let Some(line) = lines.last() else { return };
    let Some(embedding) = line.generation.embedding() else {
        return;
    };
    match enqueue_missing(app, embedding).await {
        Ok(0) => {}
        Ok(_) => line.generation.wake(),
        Err(err) => {
            tracing::warn!(error = %chain(&err), "cannot look for traces without a vector: {err}");
        }
    }
}

/// Ends the lines that nobody needs beside `next`: that of the same model, whose settings are
/// older, and those whose queue was never empty, because no node can have begun to search with them.
fn leave_behind(lines: &mut Vec<Arc<Line>>, next: &Generation) {
    lines.retain(|line| {
        let stays = line.generation.model() != next.model() && line.may_be_searched();
        if !stays {
            line.leave.cancel();
        }
        stays
    });
}

fn report(lines: &[Arc<Line>]) {
    let models: Vec<_> = lines
        .iter()
        .rev()
        .map(|line| line.generation.model_name())
        .collect();
    match models[..] {
        [] | ["none"] => tracing::warn!("there is no model to embed with"),
        [model] => tracing::info!(model, "embedding with {model}"),
        [model, ref earlier @ ..] => {
            let earlier = earlier.join(", ");
            tracing::info!(
                model,
                earlier,
                "embedding with {model}, and for nodes that have not moved yet with {earlier}"
            );
        }
    }
}

impl Line {
    fn new(generation: Generation) -> Self {
        Self {
            generation,
            leave: CancellationToken::new(),
            worked_off: AtomicBool::new(false),
        }
    }

    fn may_be_searched(&self) -> bool {
        self.generation.embedding().is_some() && self.worked_off.load(Ordering::Acquire)
    }
}

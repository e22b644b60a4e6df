//! Makes the vectors of new and changed traces: when there is something to do, and for which model.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use commontrace_store::Result;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::batch::{PAUSE, step};
use crate::app::App;
use crate::error::chain;
use crate::search::{Embedding, Generation, Generations};

/// Traces without a job that are enqueued at a time, when the store moves to another model.
const ENQUEUE: i64 = 1000;

/// Embeds for the generation that is searched with, until the server stops.
pub async fn run(app: App) {
    let mut generations = app.search.watch();
    loop {
        let current = Arc::clone(&generations.borrow_and_update().current);
        let leave = CancellationToken::new();
        let mut embedding = pin!(embed_for(&app, &current, &leave, Purpose::ThisNode));
        tokio::select! {
            () = &mut embedding => return,
            () = replaced(&mut generations, &current) => {
                leave.cancel();
                embedding.await;
            }
        }
    }
}

async fn replaced(generations: &mut watch::Receiver<Generations>, current: &Arc<Generation>) {
    let replaced = |now: &Generations| !Arc::ptr_eq(&now.current, current);
    if generations.wait_for(replaced).await.is_err() {
        // Nobody can replace it any more.
        std::future::pending::<()>().await;
    }
}

/// Whom a process embeds for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// For itself first of all: its index learns of each vector at once.
    ThisNode,
    /// For nodes, which follow the store's changes.
    AllNodes {
        /// Set when the queue has been empty once.
        worked_off: &'a AtomicBool,
    },
}

/// Embeds for one generation until the server stops or `leave` says so. Without a model there is
/// nothing to do until then.
pub(super) async fn embed_for(
    app: &App,
    generation: &Generation,
    leave: &CancellationToken,
    purpose: Purpose<'_>,
) {
    let Some(embedding) = generation.embedding() else {
        tokio::select! {
            () = app.lifecycle.stopped() => return,
            () = leave.cancelled() => return,
        }
    };
    // The store was filled without a vector, or with those of another model.
    if let Err(err) = enqueue_missing(app, embedding).await {
        tracing::warn!(error = %chain(&err), "cannot look for traces without a vector: {err}");
    }
    while !app.lifecycle.is_stopping() && !leave.is_cancelled() {
        match embed_batch(app, embedding, leave, purpose).await {
            Ok(0) => wait(app, generation, leave).await,
            Ok(_) => {}
            Err(err) => {
                tracing::warn!(error = %chain(&err), "embedding pauses: {err}");
                pause(app, leave).await;
            }
        }
    }
}

/// Embeds one batch and returns how many jobs were in it.
async fn embed_batch(
    app: &App,
    embedding: &Embedding,
    leave: &CancellationToken,
    purpose: Purpose<'_>,
) -> Result<usize> {
    match purpose {
        Purpose::ThisNode => embed_and_index(app, embedding, leave).await,
        Purpose::AllNodes { worked_off } => {
            let jobs = step(app, embedding, leave).await?.jobs;
            if jobs == 0 && !worked_off.load(Ordering::Acquire) {
                let left = app.store.embedding_jobs(&embedding.model().queue()).await?;
                worked_off.store(left.queued == 0, Ordering::Release);
            }
            Ok(jobs)
        }
    }
}

/// Embeds one batch, puts its vectors into the index and returns how many jobs were in it.
pub(super) async fn embed_and_index(
    app: &App,
    embedding: &Embedding,
    leave: &CancellationToken,
) -> Result<usize> {
    let step = step(app, embedding, leave).await?;
    for id in step.embedded {
        app.search.refresh(&app.store, id).await;
    }
    Ok(step.jobs)
}

/// Waits until there may be jobs for a generation, or the server stops.
pub(super) async fn wait(app: &App, generation: &Generation, leave: &CancellationToken) {
    tokio::select! {
        () = generation.work_arrives() => {}
        () = tokio::time::sleep(app.settings.worker_poll) => {}
        () = app.lifecycle.stopped() => {}
        () = leave.cancelled() => {}
    }
}

/// Waits a little, or until the server stops.
pub(super) async fn pause(app: &App, leave: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => {}
        () = app.lifecycle.stopped() => {}
        () = leave.cancelled() => {}
    }
}

/// Enqueues every trace that has no vector of this model and no job for one; returns how many.
pub async fn enqueue_missing(app: &App, embedding: &Embedding) -> Result<usize> {
    let (model, mut found) = (embedding.model(), 0);
    loop {
        let enqueued =
            app.store
                .enqueue_missing_embeddings(model, ENQUEUE, || app.ids.id(), app.clock.now());
        let enqueued = enqueued.await?;
        found += enqueued;
        if (enqueued as i64) < ENQUEUE {
            return Ok(found);
        }
    }
}

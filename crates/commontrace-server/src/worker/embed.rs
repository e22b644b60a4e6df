//! Makes the vectors of new and changed traces.

use std::sync::Arc;
use std::time::{Duration, Instant};

use commontrace_core::TraceId;
use commontrace_core::backoff::{MAX_ATTEMPTS, delay};
use commontrace_search::bm25::Fields;
use commontrace_search::embed::EmbedError;
use commontrace_search::text::embedding_text;
use commontrace_store::{EmbeddingModel, FailedJob, IndexRow, Job, NewVector, Result};
use tokio::sync::watch;
use uuid::Uuid;

use crate::app::App;
use crate::error::chain;
use crate::metrics::{self, Embedded};
use crate::search::{Embedding, Generation, Generations};

/// Traces embedded per lease.
pub const BATCH: i64 = 16;
/// How long a lease lasts; a batch takes a fraction of it.
const LEASE: Duration = Duration::from_secs(120);
/// How often to look for jobs that nobody announced: retries, and leases that ran out.
const POLL: Duration = Duration::from_secs(2);
/// Traces without a job that are enqueued at a time, when the store moves to another model.
const ENQUEUE: i64 = 1000;

/// Embeds for the generation that is searched with, until the server stops.
pub async fn run(app: App) {
    let mut generations = app.search.watch();
    loop {
        let current = Arc::clone(&generations.borrow_and_update().current);
        tokio::select! {
            () = embed_for(&app, &current) => return,
            // What was begun for the one before is left to its lease.
            () = replaced(&mut generations, &current) => {}
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

/// Embeds until the server stops. Without a model there is nothing to do until then.
async fn embed_for(app: &App, generation: &Generation) {
    let Some(embedding) = generation.embedding() else {
        return app.lifecycle.stopped().await;
    };
    // The store was filled without a vector, or with those of another model.
    if let Err(err) = enqueue_missing(app, embedding).await {
        tracing::warn!(error = %chain(&err), "cannot look for traces without a vector: {err}");
    }
    while !app.lifecycle.is_stopping() {
        match embed_and_index(app, embedding).await {
            Ok(0) => wait(app, generation).await,
            Ok(_) => {}
            Err(err) => {
                tracing::warn!(error = %chain(&err), "embedding pauses: {err}");
                wait(app, generation).await;
            }
        }
    }
}

/// Waits until there may be jobs for a generation, or the server stops.
pub(super) async fn wait(app: &App, generation: &Generation) {
    tokio::select! {
        () = generation.work_arrives() => {}
        () = tokio::time::sleep(POLL) => {}
        () = app.lifecycle.stopped() => {}
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

/// Embeds one batch, puts its vectors into the index and returns how many jobs were in it.
pub(super) async fn embed_and_index(app: &App, embedding: &Embedding) -> Result<usize> {
    let step = step(app, embedding).await?;
    for id in step.embedded {
        app.search.refresh(&app.store, id).await;
    }
    Ok(step.jobs)
}

/// What one batch came to.
#[derive(Debug, Default)]
pub struct Step {
    /// Jobs that were in it; fewer than [`BATCH`] were all that was due.
    pub jobs: usize,
    /// Traces that have a new vector.
    pub embedded: Vec<TraceId>,
}

/// Embeds one batch of the model's jobs.
pub async fn step(app: &App, embedding: &Embedding) -> Result<Step> {
    let (embedder, model) = (embedding.embedder(), embedding.model());
    let lease = app.ids.uuid();
    let now = app.clock.now();
    let jobs = app
        .store
        .claim_embeddings(model.queue(), lease, LEASE, BATCH, now)
        .await?;
    if jobs.is_empty() {
        return Ok(Step::default());
    }
    let count = jobs.len();
    let mut work: Vec<(Job, IndexRow)> = Vec::with_capacity(count);
    for job in jobs {
        // A trace that is gone took its jobs along; one deleted just now leaves nothing to do.
        if let Some(row) = app.store.index_row(None, job.subject_id).await? {
            work.push((job, row));
        } else {
            metrics::embedded(&model.id, Embedded::Skipped);
        }
    }
    let texts = work
        .iter()
        .map(|(_, row)| {
            embedding_text(Fields {
                title: &row.title,
                context: &row.context_text,
                solution: &row.solution_text,
                tags: &row.tags,
            })
        })
        .collect();
    let begun = Instant::now();
    let vectors = embedder.embed_batch(texts).await;
    let each = begun.elapsed() / work.len().max(1) as u32;
    let embedded = settle(app, model, lease, work, vectors, each).await?;
    Ok(Step {
        jobs: count,
        embedded,
    })
}

async fn settle(
    app: &App,
    model: &EmbeddingModel,
    lease: Uuid,
    work: Vec<(Job, IndexRow)>,
    vectors: Vec<std::result::Result<Vec<f32>, EmbedError>>,
    each: Duration,
) -> Result<Vec<TraceId>> {
    let (mut made, mut failed) = (Vec::new(), Vec::new());
    for ((job, row), vector) in work.into_iter().zip(vectors) {
        let became = match vector {
            Ok(_) => Embedded::Success,
            Err(_) => Embedded::Error,
        };
        metrics::embedded(&model.id, became);
        metrics::embedding(&model.id, each);
        match vector {
            Ok(vector) => {
                made.push(NewVector {
                    job: job.id,
                    trace_id: row.id,
                    revision: row.revision,
                    vector,
                });
            }
            Err(err) => failed.push(failure(app, job, &err)),
        }
    }
    let done: Vec<_> = made.iter().map(|new| new.trace_id).collect();
    app.store
        .store_vectors(model.clone(), lease, made, app.clock.now())
        .await?;
    if !failed.is_empty() {
        app.store.fail_jobs(lease, failed, app.clock.now()).await?;
    }
    Ok(done)
}

fn failure(app: &App, job: Job, err: &EmbedError) -> FailedJob {
    let attempt = u32::try_from(job.attempts).unwrap_or(u32::MAX);
    let give_up = err.is_permanent() || attempt >= MAX_ATTEMPTS;
    let jitter = f64::from(u16::from_be_bytes(app.ids.random_bytes())) / f64::from(u16::MAX);
    let trace = job.subject_id;
    if give_up {
        tracing::error!(trace.id = %trace, error = %err, "trace `{trace}` will have no vector: {err}");
    } else {
        tracing::warn!(trace.id = %trace, error = %err, "embedding trace `{trace}` failed: {err}");
    }
    FailedJob {
        id: job.id,
        error: err.to_string(),
        retry_after: (!give_up).then(|| delay(attempt, jitter)),
    }
}

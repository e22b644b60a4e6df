//! Makes the vectors of new and changed traces.

use std::time::{Duration, Instant};

use commontrace_core::backoff::{MAX_ATTEMPTS, delay};
use commontrace_search::embed::{EmbedError, Embedder};
use commontrace_search::lexical::Fields;
use commontrace_search::text::embedding_text;
use commontrace_store::{EmbeddingModel, FailedJob, IndexRow, Job, NewVector};
use uuid::Uuid;

use crate::app::App;
use crate::error::chain;
use crate::metrics;

/// Traces embedded per lease.
const BATCH: i64 = 16;
/// How long a lease lasts; a batch takes a fraction of it.
const LEASE: Duration = Duration::from_secs(120);
/// How often to look for jobs that nobody announced: retries, and leases that ran out.
const POLL: Duration = Duration::from_secs(2);
/// Traces without a job that are enqueued at a time, when the store moves to another model.
const ENQUEUE: i64 = 1000;

/// Embeds until the server stops. Without an embedder there is nothing to do.
pub async fn run(app: App) {
    let (Some(embedder), Some(model)) = (app.search.embedder(), app.search.model()) else {
        return;
    };
    enqueue_missing(&app).await;
    while !app.lifecycle.is_stopping() {
        match step(&app, embedder, model).await {
            Ok(0) => wait(&app).await,
            Ok(_) => {}
            Err(err) => {
                tracing::warn!(error = %chain(&err), "embedding pauses: {err}");
                wait(&app).await;
            }
        }
    }
}

async fn wait(app: &App) {
    tokio::select! {
        () = app.search.work_arrives() => {}
        () = tokio::time::sleep(POLL) => {}
        () = app.lifecycle.stopped() => {}
    }
}

/// Enqueues what has no vector of this model: the store was filled without one, or with another.
pub(super) async fn enqueue_missing(app: &App) {
    let Some(model) = app.search.model() else {
        return;
    };
    loop {
        let enqueued =
            app.store
                .enqueue_missing_embeddings(model, ENQUEUE, || app.ids.id(), app.clock.now());
        match enqueued.await {
            Ok(count) if count as i64 == ENQUEUE => {}
            Ok(_) => return,
            Err(err) => {
                tracing::warn!(error = %chain(&err), "cannot look for traces without a vector: {err}");
                return;
            }
        }
    }
}

/// Embeds one batch and returns how many jobs were in it.
pub async fn step(
    app: &App,
    embedder: &Embedder,
    model: &EmbeddingModel,
) -> commontrace_store::Result<usize> {
    let lease = app.ids.uuid();
    let now = app.clock.now();
    let jobs = app
        .store
        .claim_embeddings(model.queue(), lease, LEASE, BATCH, now)
        .await?;
    if jobs.is_empty() {
        return Ok(0);
    }
    let count = jobs.len();
    let mut work: Vec<(Job, IndexRow)> = Vec::with_capacity(count);
    for job in jobs {
        // A trace that is gone took its jobs along; one deleted just now leaves nothing to do.
        if let Some(row) = app.store.index_row(None, job.subject_id).await? {
            work.push((job, row));
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
    settle(app, model, lease, work, vectors, each).await?;
    Ok(count)
}

async fn settle(
    app: &App,
    model: &EmbeddingModel,
    lease: Uuid,
    work: Vec<(Job, IndexRow)>,
    vectors: Vec<Result<Vec<f32>, EmbedError>>,
    each: Duration,
) -> commontrace_store::Result<()> {
    let (mut made, mut failed) = (Vec::new(), Vec::new());
    for ((job, row), vector) in work.into_iter().zip(vectors) {
        metrics::embedded(&model.id, vector.is_ok());
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
    for id in done {
        app.search.refresh(&app.store, id).await;
    }
    Ok(())
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

//! One batch of embedding jobs: leased, embedded, and stored or put off.
//!
//! A batch that takes long renews its lease. One that cannot be finished is given back untried, so
//! that another worker need not wait for the lease to run out.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use commontrace_core::backoff::{MAX_ATTEMPTS, delay};
use commontrace_core::{JobId, TraceId};
use commontrace_search::bm25::Fields;
use commontrace_search::embed::EmbedError;
use commontrace_search::text::embedding_text;
use commontrace_store::{EmbeddingModel, FailedJob, IndexRow, Job, NewVector, Result};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::app::App;
use crate::error::chain;
use crate::metrics::{self, Embedded};
use crate::search::Embedding;
use crate::telemetry;

/// Traces embedded per lease.
pub const BATCH: i64 = 16;
/// How long a lease lasts that is not renewed, and so how long a dead worker's jobs wait.
const LEASE: Duration = Duration::from_secs(60);
/// How often a lease is renewed while its batch is being embedded.
const RENEW: Duration = Duration::from_secs(20);
/// For how long an endpoint that has embedded a text counts as one that works.
const RECENTLY: TimeDelta = TimeDelta::minutes(10);
/// How long to wait after the store has failed.
pub const PAUSE: Duration = Duration::from_secs(2);

/// What one batch came to.
#[derive(Debug, Default)]
pub struct Step {
    /// Jobs that were in it; fewer than [`BATCH`] were all that was due.
    pub jobs: usize,
    /// Traces that have a new vector.
    pub embedded: Vec<TraceId>,
}

/// Embeds one batch of the model's jobs. When the process has to hurry, or `leave` says that nobody
/// wants the model any more, the jobs are given back.
pub async fn step(app: &App, embedding: &Embedding, leave: &CancellationToken) -> Result<Step> {
    let queue = embedding.model().queue();
    let lease = app.ids.uuid();
    let claim = app
        .store
        .claim_embeddings(queue.clone(), lease, LEASE, BATCH, app.clock.now());
    let jobs = claim.await?;
    if jobs.is_empty() {
        return Ok(Step::default());
    }
    metrics::job_attempts(&queue, jobs.len());
    let asked: Vec<_> = jobs.iter().filter_map(|job| job.trace_context).collect();
    let span = telemetry::jobs_span("embed", jobs.len(), &asked);
    let work = carry_out(app, embedding, leave, lease, jobs);
    telemetry::part_of(asked.first().copied(), span, work).await
}

async fn carry_out(
    app: &App,
    embedding: &Embedding,
    leave: &CancellationToken,
    lease: Uuid,
    jobs: Vec<Job>,
) -> Result<Step> {
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let made = tokio::select! {
        made = embed(app, embedding, jobs) => made.map(Some),
        () = keep(app, lease, &ids) => Ok(None),
        () = app.lifecycle.hurried() => Ok(None),
        () = leave.cancelled() => Ok(None),
    };
    let embedded = match made {
        Ok(Some(outcome)) => settle(app, embedding.model(), lease, outcome).await?,
        unfinished => {
            // Those that somebody else has taken over stay with him. If this fails, they wait for
            // the lease to run out.
            if let Err(err) = app.store.return_jobs(lease, ids.clone()).await {
                tracing::debug!(error = %chain(&err), "jobs were not given back: {err}");
            }
            unfinished?;
            Vec::new()
        }
    };
    Ok(Step {
        jobs: ids.len(),
        embedded,
    })
}

/// What became of a batch's texts.
#[derive(Debug, Default, Clone)]
struct Outcome {
    made: Vec<NewVector>,
    failed: Vec<FailedJob>,
}

async fn embed(app: &App, embedding: &Embedding, jobs: Vec<Job>) -> Result<Outcome> {
    let model = embedding.model();
    let queue = model.queue();
    let mut work: Vec<(Job, IndexRow)> = Vec::with_capacity(jobs.len());
    for job in jobs {
        // A trace that is gone took its jobs along; one deleted just now leaves nothing to do.
        if let Some(row) = app.store.index_row(None, job.subject_id).await? {
            work.push((job, row));
        } else {
            metrics::embedded(&model.id, Embedded::Skipped);
        }
    }
    let texts: Vec<String> = work
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
    let span = telemetry::embedding_span(&model.id, texts.len());
    let embed = embedding.embedder().embed_batch(texts);
    let vectors = embed.instrument(span).await;
    let each = begun.elapsed() / work.len().max(1) as u32;
    let now = app.clock.now();
    if vectors.iter().any(std::result::Result::is_ok) {
        embedding.note_success(now);
    }
    let works = embedding
        .last_success()
        .is_some_and(|last| now - last < RECENTLY);
    let mut outcome = Outcome::default();
    for ((job, row), vector) in work.into_iter().zip(vectors) {
        let became = match vector {
            Ok(_) => Embedded::Success,
            Err(_) => Embedded::Error,
        };
        metrics::embedded(&model.id, became);
        metrics::embedding(&model.id, each);
        match vector {
            Ok(vector) => outcome.made.push(NewVector {
                job: job.id,
                trace_id: row.id,
                revision: row.revision,
                vector,
            }),
            Err(err) => {
                let give_up = is_given_up(&err, job.attempts, works);
                outcome
                    .failed
                    .push(failure(app, &queue, job, &err, give_up));
            }
        }
    }
    Ok(outcome)
}

/// Renews a lease for as long as any of its jobs is held; ends when all were taken away.
async fn keep(app: &App, lease: Uuid, jobs: &[JobId]) {
    loop {
        tokio::time::sleep(RENEW).await;
        let renewed = app
            .store
            .renew_leases(lease, jobs.to_vec(), LEASE, app.clock.now());
        match renewed.await {
            Ok(0) => return,
            Ok(_) => {}
            Err(err) => {
                tracing::warn!(error = %chain(&err), "a lease is not renewed: {err}");
            }
        }
    }
}

/// Stores what was made and puts off what failed, again until the store takes it: a database that is
/// away for a moment is no reason to embed the same texts again.
async fn settle(
    app: &App,
    model: &EmbeddingModel,
    lease: Uuid,
    outcome: Outcome,
) -> Result<Vec<TraceId>> {
    let embedded = outcome.made.iter().map(|new| new.trace_id).collect();
    loop {
        match record(app, model, lease, outcome.clone()).await {
            Ok(()) => return Ok(embedded),
            Err(err) if err.is_unavailable() => {
                tracing::warn!(error = %chain(&err), "vectors wait to be stored: {err}");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = app.lifecycle.hurried() => return Err(err),
                }
            }
            Err(err) => return Err(err),
        }
    }
}

/// Changes nothing that was recorded before, because that ended the lease.
async fn record(app: &App, model: &EmbeddingModel, lease: Uuid, outcome: Outcome) -> Result<()> {
    let Outcome { made, failed } = outcome;
    let now = app.clock.now();
    if !made.is_empty() {
        app.store
            .store_vectors(model.clone(), lease, made, now)
            .await?;
    }
    if !failed.is_empty() {
        app.store.fail_jobs(lease, failed, now).await?;
    }
    Ok(())
}

/// Returns whether a text is to be embedded no more after this attempt: the text is at fault, or
/// seems to be, because others were embedded meanwhile. An endpoint that is away is no reason.
fn is_given_up(err: &EmbedError, attempt: i64, endpoint_works: bool) -> bool {
    err.is_permanent() || (attempt >= i64::from(MAX_ATTEMPTS) && endpoint_works)
}

fn failure(app: &App, queue: &str, job: Job, err: &EmbedError, give_up: bool) -> FailedJob {
    let attempt = u32::try_from(job.attempts).unwrap_or(u32::MAX);
    let jitter = f64::from(u16::from_be_bytes(app.ids.random_bytes())) / f64::from(u16::MAX);
    let trace = job.subject_id;
    // An endpoint's explanation may repeat the text or the key.
    let explained = err.to_string();
    let error = commontrace_redact::redact(&explained).text.into_owned();
    metrics::job_failed(queue, give_up);
    if give_up {
        tracing::error!(trace.id = %trace, error, "trace `{trace}` will have no vector: {error}");
    } else {
        tracing::warn!(trace.id = %trace, error, "embedding trace `{trace}` failed: {error}");
    }
    FailedJob {
        id: job.id,
        error,
        retry_after: (!give_up).then(|| delay(attempt, jitter)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_gives_no_text_up_and_a_text_that_fails_while_others_do_not_is() {
        let away = EmbedError::Unavailable {
            status: 503,
            message: String::new(),
        };
        let refused = EmbedError::Refused {
            status: 400,
            message: String::new(),
        };
        let last = i64::from(MAX_ATTEMPTS);
        assert!(!is_given_up(&away, last, false));
        assert!(!is_given_up(&away, last - 1, true));
        assert!(is_given_up(&away, last, true));
        assert!(is_given_up(&refused, 1, false));
    }
}

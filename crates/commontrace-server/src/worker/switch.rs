//! Moves searches from one model to another while they go on.
//!
//! The coming generation is announced, so that writes reach it and are embedded by both models; then
//! its index is loaded, and what has no vector of its model is embedded. It takes the current one's
//! place when no trace would lose its vector by that, and its model answers. Until then nothing
//! changes for a search.

use std::sync::Arc;
use std::time::Duration;

use commontrace_store::{EmbeddingModel, Result};
use tokio_util::sync::CancellationToken;

use super::Work;
use super::batch::BATCH;
use super::embed::{embed_and_index, enqueue_missing, pause, wait};
use crate::app::App;
use crate::error::chain;
use crate::search::Generation;

/// What the coming model is asked for before anybody depends on it.
const PROBE: &str = "error: linker `cc` not found";
/// How often to look whether the last request has left what it searched with.
const LEAVING: Duration = Duration::from_millis(100);

/// Carries out wishes for another model until the server stops.
pub async fn run(app: App, work: Work) {
    let mut wanted = app.search.wanted();
    loop {
        tokio::select! {
            wish = wanted.changed() => if wish.is_err() { return },
            () = app.lifecycle.stopped() => return,
        }
        let done = loop {
            let embedder = wanted.borrow_and_update().clone();
            let coming = app.search.generation(embedder);
            tokio::select! {
                done = switch(&app, coming, work) => break done,
                _ = wanted.changed() => {
                    tracing::info!("another model is asked for before the switch came to an end");
                    app.search.abandon();
                }
            }
        };
        if let Some(before) = done {
            tokio::spawn(free(app.clone(), before));
        }
    }
}

/// Switches to `coming` and returns what was searched with before; nothing if the server stops first.
async fn switch(app: &App, coming: Generation, work: Work) -> Option<Arc<Generation>> {
    let current = app.search.current();
    if current.model() == coming.model() {
        let same = Arc::new(current.with_embedding(coming));
        let before = app.search.replace(Arc::clone(&same));
        tracing::info!(
            model = same.model_name(),
            "searching with {} from the new settings",
            name(&same)
        );
        return Some(before);
    }
    let coming = Arc::new(coming);
    tracing::info!(
        from = current.model_name(),
        to = coming.model_name(),
        "switching from {} to {}",
        name(&current),
        name(&coming)
    );
    app.search.announce(Arc::clone(&coming));
    loop {
        match prepare(app, &current, &coming, work).await {
            Ok(true) => break,
            Ok(false) => return None,
            Err(err) => {
                tracing::warn!(error = %chain(&err), "the switch pauses: {err}");
                pause(app, &CancellationToken::new()).await;
            }
        }
    }
    let before = app.search.replace(Arc::clone(&coming));
    tracing::info!(
        model = coming.model_name(),
        traces = coming.len(),
        vectorless = coming.vectorless(),
        "searching with {}",
        name(&coming)
    );
    Some(before)
}

/// Makes the coming generation ready; false if the server stops first.
async fn prepare(app: &App, current: &Generation, coming: &Generation, work: Work) -> Result<bool> {
    tokio::select! {
        loaded = coming.load(&app.store) => { loaded?; }
        () = app.lifecycle.stopped() => return Ok(false),
    }
    let Some(embedding) = coming.embedding() else {
        return Ok(!app.lifecycle.is_stopping());
    };
    // What an earlier attempt gave up, perhaps for a wrong key, is no less wanted than the rest.
    let queue = embedding.model().queue();
    let revive = || app.store.revive_embeddings(queue.clone(), app.clock.now());
    revive().await?;
    enqueue_missing(app, embedding).await?;
    app.search.wake_workers();
    app.search.report();
    tracing::info!(
        to = coming.model_name(),
        traces = coming.len(),
        vectorless = coming.vectorless(),
        "{} of {} traces wait for a vector of {}",
        coming.vectorless(),
        coming.len(),
        name(coming)
    );
    let stay = CancellationToken::new();
    let (mut second_chance, mut all_is_read) = (true, false);
    while !app.lifecycle.is_stopping() {
        let jobs = match work {
            Work::Here => embed_and_index(app, embedding, &stay).await?,
            Work::Elsewhere => 0,
        };
        if jobs as i64 == BATCH {
            continue;
        }
        // All that was due is done. What has no vector now either, because it was contributed a
        // moment ago, must not hold up the switch for ever.
        let left = app.store.embedding_jobs(&queue).await?;
        let lacking = coming.vectorless() > current.vectorless() + left.dead as usize;
        if lacking && left.queued > 0 {
            match work {
                Work::Here => wait(app, coming, &stay).await,
                // Nobody tells of a vector that a worker has made.
                Work::Elsewhere => pause(app, &stay).await,
            }
        } else if lacking && !all_is_read {
            // Somebody else made or removed the rest. When all of it is read there is no more to come.
            if enqueue_missing(app, embedding).await? == 0 {
                coming.load(&app.store).await?;
                all_is_read = true;
            }
        } else if let Err(err) = embedding.embedder().embed_query(PROBE).await {
            tracing::warn!(error = %err, "the switch waits until the model answers: {err}");
            pause(app, &stay).await;
        } else if left.dead > 0 && second_chance {
            // The model answers; perhaps it did not for a while.
            second_chance = false;
            revive().await?;
        } else {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Frees a generation when the last request has left it. A large index takes a while, so that is not
/// left to the request.
async fn free(app: App, before: Arc<Generation>) {
    while Arc::strong_count(&before) > 1 {
        tokio::time::sleep(LEAVING).await;
    }
    // With other settings the same model may be in use still.
    if app
        .search
        .generations()
        .all()
        .all(|other| other.model() != before.model())
    {
        before.leave(&app.store).await;
    }
    // Nobody waits for it.
    drop(tokio::task::spawn_blocking(move || drop(before)));
}

/// Names what a generation searches with, for people.
fn name(generation: &Generation) -> String {
    match generation.model() {
        Some(EmbeddingModel { id, dimensions, .. }) => format!("{id} ({dimensions} dimensions)"),
        None => "words alone".to_owned(),
    }
}

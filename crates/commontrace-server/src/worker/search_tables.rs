//! Keeps the tables that the database searches in complete: after an upgrade, after they were
//! emptied, and when a model begins to be searched with. Of several nodes one works at a time.

use std::time::{Duration, Instant};

use commontrace_store::{
    EmbeddingModel, Engine, INDEXED_DIMENSIONS, Result, StoreLock, VectorIndex,
};

use crate::app::App;
use crate::error::chain;
use crate::search::{Generation, Generations, fill};

/// How often to look whether an index is wanted.
const AGAIN: Duration = Duration::from_secs(30);
/// How many times that is done before all traces are looked at again.
const ROUNDS: u32 = 20;
/// Vectors from which on an index finds the nearest sooner than comparing all does.
const INDEX_FROM: u64 = 2_000;
/// How often to look whether another node has finished, or after a failure.
const SOON: Duration = Duration::from_secs(5);

/// Keeps the tables complete until the server stops.
pub async fn run(app: App) {
    if app.store.engine() == Engine::Sqlite {
        return complete_file(&app).await;
    }
    if !app.search.is_in_database() {
        return;
    }
    let mut generations = app.search.watch();
    let mut round = 0;
    loop {
        let seen = generations.borrow_and_update().clone();
        let next = match work(&app, &seen, round == 0).await {
            Ok(true) => {
                round = (round + 1) % ROUNDS;
                AGAIN
            }
            Ok(false) => SOON,
            Err(err) => {
                tracing::warn!(error = %chain(&err), "the tables that are searched in stay incomplete for now: {err}");
                SOON
            }
        };
        // A generation that is replaced meanwhile is freed when nobody has it any more.
        drop(seen);
        tokio::select! {
            () = tokio::time::sleep(next) => {}
            changed = generations.changed() => match changed {
                Ok(()) => round = 0,
                Err(_) => return,
            },
            () = app.lifecycle.stopped() => return,
        }
    }
}

/// Completes the tables of a database file once, after an upgrade; nobody else writes into it who does not
/// know of them.
async fn complete_file(app: &App) {
    while !app.lifecycle.is_stopping() {
        match fill(&app.store, None, None).await {
            Ok(made) => {
                if made > 0 {
                    tracing::info!(made, "prepared {made} traces for searches of hooks");
                }
                return;
            }
            Err(err) => {
                tracing::warn!(error = %chain(&err), "hooks do not find all traces for now: {err}");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(SOON) => {}
            () = app.lifecycle.stopped() => return,
        }
    }
}

/// Completes the tables for these generations; false if another node is at it.
async fn work(app: &App, generations: &Generations, all: bool) -> Result<bool> {
    let Some(mut lock) = app.store.try_search_lock().await? else {
        return Ok(false);
    };
    let done = tokio::select! {
        done = complete(app, &mut lock, generations, all) => done,
        () = app.lifecycle.stopped() => Ok(()),
    };
    lock.release().await;
    done.map(|()| true)
}

async fn complete(
    app: &App,
    lock: &mut StoreLock,
    generations: &Generations,
    all: bool,
) -> Result<()> {
    for generation in generations.all() {
        if all {
            complete_rows(app, generation).await?;
        }
        if let Some(model) = generation.model() {
            build_index(app, lock, model).await?;
        }
    }
    Ok(())
}

async fn complete_rows(app: &App, generation: &Generation) -> Result<()> {
    let begun = Instant::now();
    let made = fill(&app.store, generation.model(), None).await?;
    if made > 0 {
        tracing::info!(
            model = generation.model_name(),
            made,
            "prepared {made} documents and vectors for searching in the database in {} ms",
            begun.elapsed().as_millis()
        );
        generation.load(&app.store).await?;
        app.search.report();
    }
    Ok(())
}

async fn build_index(app: &App, lock: &mut StoreLock, model: &EmbeddingModel) -> Result<()> {
    let begun = Instant::now();
    let built = app.store.build_vector_index(lock, model, INDEX_FROM);
    match built.await? {
        VectorIndex::Built => tracing::info!(
            model = model.id,
            "built the index of the vectors of {} in {} s",
            model.id,
            begun.elapsed().as_secs()
        ),
        VectorIndex::TooLong => tracing::warn!(
            model = model.id,
            "the vectors of {} have {} dimensions and {INDEXED_DIMENSIONS} can be indexed: every search compares all of them",
            model.id,
            model.dimensions
        ),
        VectorIndex::Present | VectorIndex::TooFew => {}
    }
    Ok(())
}

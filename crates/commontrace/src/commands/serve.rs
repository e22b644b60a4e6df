//! `commontrace serve`: the server with its background work.

use std::time::{Duration, Instant};

use commontrace_server::serve::{self, Ended, Patience};
use commontrace_server::{error::chain, router, seeds, worker};

use crate::config::{Config, ConfigArgs, Environment};
use crate::failure::Failure;
use crate::reload::{self, Hangups, Reload};
use crate::start;

/// How long background work may take to finish its step after the last request.
const WORKER_GRACE: Duration = Duration::from_secs(5);

/// Serves until it is told to stop.
pub async fn run(config: Config, flags: ConfigArgs, env: Environment) -> Result<(), Failure> {
    let begun = Instant::now();
    // Before anything that takes long, because until then a SIGHUP ends the process.
    let hangups = Hangups::listen()?;
    // First of all, so that a second server on the same address changes nothing.
    let listener = serve::bind(config.server.listen).await?;
    // The port is the system's choice if the settings say 0.
    let address = listener.local_addr().unwrap_or(config.server.listen);
    let store = start::store(&config).await?;
    let embedder = start::embedder(&config).await?;
    let app = start::app(&config, store, embedder).await?;
    serve::stop_on_signals(app.lifecycle.clone())
        .map_err(|err| Failure::new(format!("cannot listen for signals: {err}")))?;
    if config.commons.import_seeds {
        let embed = || app.search.embedding_jobs(&app.ids);
        let done = seeds::import(&app.store, start::SEEDS, embed, app.clock.now()).await?;
        if done.added + done.updated > 0 {
            tracing::info!(
                "imported {} starter traces, updated {}",
                done.added,
                done.updated
            );
        }
    }
    let search = app.search.current();
    let since = search.load(&app.store).await?;
    app.search.report();
    let mut tasks = worker::start(&app, since);
    app.lifecycle.mark_ready();
    tracing::info!(
        %address,
        traces = search.len(),
        model = search.model_name(),
        "serving on http://{address} after {} ms", begun.elapsed().as_millis()
    );
    drop(search);
    let patience = Patience {
        grace: Duration::from_secs(config.server.shutdown_grace_seconds.into()),
        ..Patience::default()
    };
    tasks.spawn(reload::run(
        app.clone(),
        hangups,
        Reload::new(config, flags, env),
    ));
    let ended = serve::serve(listener, router(&app), &app.lifecycle, &app.ids, patience).await;
    stop(app, tasks).await;
    if let Ended::CutOff(connections) = ended {
        tracing::warn!("{connections} connections did not finish in time and were cut off");
    }
    Ok(())
}

async fn stop(app: commontrace_server::App, mut tasks: tokio::task::JoinSet<()>) {
    app.lifecycle.stop();
    let finished = tokio::time::timeout(WORKER_GRACE, async {
        while tasks.join_next().await.is_some() {}
    });
    if finished.await.is_err() {
        // Its leases run out, and the next start takes the jobs up again.
        tasks.shutdown().await;
    }
    if let Err(err) = app.usage.flush(&app.store).await {
        tracing::warn!("some openings of traces were not counted: {}", chain(&err));
    }
    app.store.close().await;
}

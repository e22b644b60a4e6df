//! `commontrace serve`: the server with its background work.

use std::pin::pin;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use commontrace_server::ids::Ids;
use commontrace_server::lifecycle::Lifecycle;
use commontrace_server::serve::{self, Ended, Patience};
use commontrace_server::worker::Work;
use commontrace_server::{App, error::chain, router, startup, worker};
use commontrace_store::Location;

use tokio::task::JoinSet;

use crate::config::{Config, ConfigArgs, Environment};
use crate::examiner::examiner;
use crate::failure::Failure;
use crate::local_user;
use crate::reload::{self, Hangups, Reload};
use crate::start;

/// How long background work may take to finish its step after the last request.
const WORKER_GRACE: Duration = Duration::from_secs(5);
/// How long it may then take to give back what it did not finish.
const GIVING_BACK: Duration = Duration::from_secs(2);

/// How to serve.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave embedding and tidying up to `commontrace worker` processes
    #[arg(long)]
    no_worker: bool,
}

/// Serves until it is told to stop.
pub async fn run(
    config: Config,
    args: Args,
    flags: ConfigArgs,
    env: Environment,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let work = if args.no_worker {
        refuse_embedded(&config)?;
        Work::Elsewhere
    } else {
        Work::Here
    };
    refuse_strangers(&config)?;
    // Before anything that takes long, because until then a SIGHUP ends the process.
    let hangups = Hangups::listen()?;
    // First of all, so that a second server on the same address changes nothing.
    let listener = serve::bind(config.server.listen).await?;
    // The port is the system's choice if the settings say 0.
    let address = listener.local_addr().unwrap_or(config.server.listen);
    let lifecycle = Lifecycle::default();
    let drain = Duration::from_secs(config.server.shutdown_drain_seconds.into());
    serve::stop_on_signals(lifecycle.clone(), drain)
        .map_err(|err| Failure::new(format!("cannot listen for signals: {err}")))?;
    let patience = Patience {
        grace: Duration::from_secs(config.server.shutdown_grace_seconds.into()),
        ..Patience::default()
    };
    let (service, door) = startup::door(&start::server_settings(&config), &Ids::Random);
    let server = tokio::spawn({
        let lifecycle = lifecycle.clone();
        async move { serve::serve(listener, service, &lifecycle, &Ids::Random, patience).await }
    });
    let (app, since) = tokio::select! {
        ready = Box::pin(prepare(&config, &env, work, lifecycle.clone())) => ready?,
        // What was begun is undone by the database, or done again by the next start.
        () = lifecycle.stopped() => return Ok(()),
    };
    let search = app.search.current();
    let mut tasks = worker::start_node(&app, since, work);
    door.open(router(&app));
    app.lifecycle.mark_ready();
    tracing::info!(
        %address,
        traces = search.len(),
        model = search.model_name(),
        "serving on http://{address} after {} ms", begun.elapsed().as_millis()
    );
    drop(search);
    tasks.spawn(reload::run(
        app.clone(),
        hangups,
        Reload::new(config, flags, env),
    ));
    let ended = server
        .await
        .map_err(|err| Failure::new(format!("serving was aborted: {err}")))?;
    stop(app, tasks).await;
    if let Ended::CutOff(connections) = ended {
        tracing::warn!("{connections} connections did not finish in time and were cut off");
    }
    Ok(())
}

/// Opens the store, imports the starter traces and builds the index. Returns the moment up to which
/// the index knows the store, too.
async fn prepare(
    config: &Config,
    env: &Environment,
    work: Work,
    lifecycle: Lifecycle,
) -> Result<(App, DateTime<Utc>), Failure> {
    let store = start::serving_store(config).await?;
    if config.server.single_user {
        local_user::ensure(&store).await?;
    }
    let embedder = start::embedder(config).await?;
    let redis = start::redis(config).await;
    let examiner = match work {
        Work::Here => Some(examiner(config, env).await?),
        Work::Elsewhere => None,
    };
    let app = start::app(config, store, embedder, redis, examiner, lifecycle).await?;
    let since = start::fill(config, &app).await?;
    app.search.report();
    Ok((app, since))
}

/// Whoever needs no key must be on this machine, and known to be.
fn refuse_strangers(config: &Config) -> Result<(), Failure> {
    let server = &config.server;
    if !server.single_user {
        return Ok(());
    }
    if !server.listen.ip().is_loopback() {
        return Err(Failure::new(format!(
            "COMMONTRACE_SINGLE_USER lets requests in without a key, and {} is open to others",
            server.listen
        ))
        .hint("listen on 127.0.0.1, or leave COMMONTRACE_SINGLE_USER out"));
    }
    if server.trusted_proxies.is_some() {
        return Err(Failure::new(
            "COMMONTRACE_SINGLE_USER lets requests in without a key, and TRUSTED_PROXIES names proxies that others come through",
        )
        .hint("leave one of the two out"));
    }
    Ok(())
}

/// Workers are for PostgreSQL, so nobody else would do the work of an embedded store.
fn refuse_embedded(config: &Config) -> Result<(), Failure> {
    match start::location(config)? {
        Location::Server(_) => Ok(()),
        Location::File(path) => Err(Failure::new(format!(
            "nobody would embed the traces in {}: an embedded store has no workers of its own",
            path.display()
        ))
        .hint("leave --no-worker out, or set DATABASE_URL to a PostgreSQL database")),
    }
}

/// Ends a node's background work, and leaves the store with everything written.
pub async fn stop(app: App, tasks: JoinSet<()>) {
    finish(&app, tasks, WORKER_GRACE).await;
    if let Err(err) = app.usage.flush(&app.store).await {
        tracing::warn!("some openings of traces were not counted: {}", chain(&err));
    }
    if let Err(err) = app.reads.flush(&app.store).await {
        tracing::warn!(
            "who has read which trace was not all written down: {}",
            chain(&err)
        );
    }
    for generation in app.search.generations().all() {
        generation.leave(&app.store).await;
    }
    app.store.close().await;
}

/// Lets background work finish its step, and after `grace` give back what it has not finished.
pub async fn finish(app: &App, mut tasks: JoinSet<()>, grace: Duration) {
    app.lifecycle.stop();
    let mut finished = pin!(async { while tasks.join_next().await.is_some() {} });
    tokio::select! {
        () = &mut finished => return,
        () = tokio::time::sleep(grace) => app.lifecycle.hurry(),
        () = app.lifecycle.hurried() => {}
    }
    // What is not given back by then waits for its lease to run out.
    let _ = tokio::time::timeout(GIVING_BACK, finished).await;
}

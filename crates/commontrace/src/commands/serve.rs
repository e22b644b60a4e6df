//! `commontrace serve`: the server with its background work.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use commontrace_server::ids::Ids;
use commontrace_server::lifecycle::Lifecycle;
use commontrace_server::serve::{self, Ended, Patience};
use commontrace_server::worker::Work;
use commontrace_server::{App, router, startup, worker};
use commontrace_store::Location;

use crate::config::{Config, ConfigArgs, Environment};
use crate::examiner::examiner;
use crate::failure::Failure;
use crate::local_user;
use crate::reload::{self, Hangups, Reload};
use crate::start;

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
    start::stop(app, tasks).await;
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

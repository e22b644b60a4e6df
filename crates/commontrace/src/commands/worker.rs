//! `commontrace worker`: the work behind requests, in a process that serves none.

use std::time::{Duration, Instant};

use commontrace_server::ids::Ids;
use commontrace_server::lifecycle::Lifecycle;
use commontrace_server::serve::{self, Patience};
use commontrace_server::{App, startup, worker, worker_router};
use commontrace_store::Location;

use crate::config::{Config, ConfigArgs, Environment};
use crate::examiner::examiner;
use crate::failure::Failure;
use crate::reload::{self, Hangups, Reload};
use crate::start;

/// How long a scrape may take to finish at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Works until it is told to stop.
pub async fn run(config: Config, flags: ConfigArgs, env: Environment) -> Result<(), Failure> {
    let begun = Instant::now();
    if let Location::File(path) = start::location(&config)? {
        return Err(Failure::new(format!(
            "the store in {} is embedded, and `commontrace serve` does its work",
            path.display()
        ))
        .hint("set DATABASE_URL to the PostgreSQL database of the nodes that this worker is for"));
    }
    // Before anything that takes long, because until then a SIGHUP ends the process.
    let hangups = Hangups::listen()?;
    let listener = serve::bind(config.server.listen).await?;
    // The port is the system's choice if the settings say 0.
    let address = listener.local_addr().unwrap_or(config.server.listen);
    let lifecycle = Lifecycle::default();
    // Nobody sends requests here, so no balancer has to notice.
    serve::stop_on_signals(lifecycle.clone(), Duration::ZERO)
        .map_err(|err| Failure::new(format!("cannot listen for signals: {err}")))?;
    let (service, door) = startup::door(&start::server_settings(&config), &Ids::Random);
    let patience = Patience {
        grace: LAST_ANSWERS,
        ..Patience::default()
    };
    let server = tokio::spawn({
        let lifecycle = lifecycle.clone();
        async move { serve::serve(listener, service, &lifecycle, &Ids::Random, patience).await }
    });
    let app = tokio::select! {
        ready = Box::pin(prepare(&config, &env, lifecycle.clone())) => ready?,
        () = lifecycle.stopped() => return Ok(()),
    };
    let mut tasks = worker::start_worker(&app);
    door.open(worker_router(&app));
    app.lifecycle.mark_ready();
    tracing::info!(
        %address,
        "working, with health and metrics on http://{address} after {} ms", begun.elapsed().as_millis()
    );
    let grace = Duration::from_secs(config.server.shutdown_grace_seconds.into());
    tasks.spawn(reload::run(
        app.clone(),
        hangups,
        Reload::new(config, flags, env),
    ));
    lifecycle.stopped().await;
    start::finish(&app, tasks, grace).await;
    app.store.close().await;
    server
        .await
        .map(drop)
        .map_err(|err| Failure::new(format!("serving was aborted: {err}")))
}

/// Opens the store and prepares the model.
async fn prepare(config: &Config, env: &Environment, lifecycle: Lifecycle) -> Result<App, Failure> {
    let store = start::worker_store(config).await?;
    let embedder = start::embedder(config).await?;
    let examiner = examiner(config, env).await?;
    start::app(config, store, embedder, None, Some(examiner), lifecycle).await
}

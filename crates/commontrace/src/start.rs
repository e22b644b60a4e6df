//! Turns settings into the parts of a running program: the store, the embedder, the app.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use commontrace_core::hex;
use commontrace_search::embed::model_files::{
    self, ModelFilesError, Progress, Source, TOKENIZER_FILE, WEIGHTS_FILE,
};
use commontrace_search::embed::openai::OpenAiSettings;
use commontrace_search::embed::{Embedder, MiniLm, OpenAi};
use commontrace_server::api_key::ApiKeys;
use commontrace_server::app::{App, Parts, ServerSettings};
use commontrace_server::clock::Clock;
use commontrace_server::error::chain;
use commontrace_server::ids::Ids;
use commontrace_server::lifecycle::Lifecycle;
use commontrace_server::limiter::Limiter;
use commontrace_server::search::{MAKE_DOCUMENT, Search};
use commontrace_server::seeds;
use commontrace_server::sessions::examine::Examiner;
use commontrace_server::shared::{PATIENCE, QueryVectors, Redis, WritePositions};
use commontrace_server::telemetry;
use commontrace_store::{Connections, Location, ReplicaSettings, Store};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use crate::commons::files;
use crate::config::{self, Config, CorsOrigins};
use crate::failure::Failure;
use crate::local_user;

include!(concat!(env!("OUT_DIR"), "/seeds.rs"));

/// Under which name the store keeps the key that API keys are hashed with.
const PEPPER: &str = "api_key_pepper";
/// How long background work may take to finish its step after the last request.
const WORKER_GRACE: Duration = Duration::from_secs(5);
/// How long it may then take to give back what it did not finish.
const GIVING_BACK: Duration = Duration::from_secs(2);
/// Longest wait for a connection to an embedding endpoint or the model's home.
const CONNECT: Duration = Duration::from_secs(5);

/// Returns where the settings say the store is, after making sure that a data directory is there.
pub fn location(config: &Config) -> Result<Location, Failure> {
    let url = config
        .storage
        .database_url
        .as_ref()
        .map_or("", |url| url.expose());
    let location = Location::parse(url, &config.storage.data_dir)?;
    if let Location::File(path) = &location
        && let Some(folder) = path.parent()
    {
        create_private(folder)?;
    }
    Ok(location)
}

/// Creates a directory that only this user may look into, if it is not there.
pub fn create_private(folder: &Path) -> Result<(), Failure> {
    files::create_dir(folder).map_err(|err| {
        Failure::new(format!(
            "cannot create the data directory {}: {err}",
            folder.display()
        ))
        .hint("choose another with COMMONTRACE_DATA_DIR or --data-dir")
    })
}

/// Opens and migrates the store for a command. Its statements may take as long as they need: an
/// operator waits for them, or ends the command.
pub async fn store(config: &Config) -> Result<Store, Failure> {
    let unlimited = Connections {
        statement_timeout: Duration::ZERO,
        lock_timeout: Duration::ZERO,
        ..connections(config)
    };
    open(config, &unlimited, None).await
}

/// Opens and migrates the store for the server: with limits on every statement, and reading from the
/// replica if there is one.
pub async fn serving_store(config: &Config) -> Result<Store, Failure> {
    let storage = &config.storage;
    let replica = storage
        .database_read_url
        .as_ref()
        .map(|url| ReplicaSettings {
            url: url.expose().to_owned(),
            max_lag: seconds(storage.database_read_max_lag_seconds.get()),
        });
    open(config, &connections(config), replica.as_ref()).await
}

/// Opens and migrates the store for a worker: with limits on every statement, and never reading
/// from a replica, which may be behind a text that is to be embedded.
pub async fn worker_store(config: &Config) -> Result<Store, Failure> {
    open(config, &connections(config), None).await
}

async fn open(
    config: &Config,
    connections: &Connections,
    replica: Option<&ReplicaSettings>,
) -> Result<Store, Failure> {
    let opened = Store::open_with(&location(config)?, connections, replica).await;
    let store = opened.map_err(|err| Failure::from(err).at(&place(config)))?;
    let most = config.limits.max_account_session_bytes;
    let most = (most > 0).then(|| i64::try_from(most).unwrap_or(i64::MAX));
    Ok(store
        .making_documents(MAKE_DOCUMENT)
        .limiting_sessions(most))
}

fn connections(config: &Config) -> Connections {
    let storage = &config.storage;
    Connections {
        max: storage.database_pool_size.get(),
        min: storage.database_pool_min_size,
        acquire_timeout: seconds(storage.database_acquire_timeout_seconds.get()),
        statement_timeout: seconds(storage.database_statement_timeout_seconds),
        lock_timeout: seconds(storage.database_lock_timeout_seconds),
    }
}

fn seconds(count: u32) -> Duration {
    // PostgreSQL counts the milliseconds of a timeout in 31 bits.
    Duration::from_secs(u64::from(count.min(i32::MAX as u32 / 1000)))
}

/// Names where the settings say the store is, without a password.
pub fn place(config: &Config) -> String {
    match (location(config), &config.storage.database_url) {
        (Ok(Location::File(path)), _) => path.display().to_string(),
        // Its debug form leaves the password out.
        (_, Some(url)) => format!("{url:?}"),
        (_, None) => config.storage.data_dir.display().to_string(),
    }
}

/// Why there is no embedder.
#[derive(Debug)]
pub enum NoEmbedder {
    /// The local model is not there and could not be downloaded.
    Absent(String),
    /// The settings or the model's files cannot be used.
    Unusable(Failure),
}

impl From<Failure> for NoEmbedder {
    fn from(failure: Failure) -> Self {
        Self::Unusable(failure)
    }
}

impl From<NoEmbedder> for Failure {
    fn from(err: NoEmbedder) -> Self {
        match err {
            NoEmbedder::Absent(why) => Self::new(why).hint("`make model` fetches the model"),
            NoEmbedder::Unusable(failure) => failure,
        }
    }
}

/// Prepares the configured embedder. Where a local model is absent and cannot be downloaded, the
/// answer is none, because searching by words needs no model. One that is there and cannot be used is
/// an error.
pub async fn embedder(config: &Config) -> Result<Option<Embedder>, Failure> {
    match wanted_embedder(config).await {
        Err(NoEmbedder::Absent(why)) => {
            tracing::warn!("searching by words alone: {why}");
            Ok(None)
        }
        prepared => Ok(prepared?),
    }
}

/// Prepares the configured embedder as [`embedder`] does, and downloads nothing: for what must not
/// make anybody wait.
pub async fn embedder_at_hand(config: &Config) -> Result<Option<Embedder>, Failure> {
    if let config::Embedder::Local { model_dir } = config.embedding.embedder()
        && ![TOKENIZER_FILE, WEIGHTS_FILE]
            .iter()
            .all(|name| model_dir.join(name).is_file())
    {
        let folder = model_dir.display();
        tracing::warn!(
            "searching by words alone: there is no model in {folder}; `make model` fetches it"
        );
        return Ok(None);
    }
    embedder(config).await
}

/// Prepares the configured embedder, downloading a local model that is absent; the answer is none
/// only if the settings say so.
pub async fn wanted_embedder(config: &Config) -> Result<Option<Embedder>, NoEmbedder> {
    match config.embedding.embedder() {
        config::Embedder::None => Ok(None),
        config::Embedder::Local { model_dir } => local(model_dir).await.map(Some),
        config::Embedder::OpenAi {
            api_key,
            base_url,
            model,
            dimensions,
        } => {
            let settings = OpenAiSettings {
                base_url: base_url.to_string(),
                api_key: api_key.map(|key| key.expose().to_owned().into()),
                model,
                dimensions: dimensions as usize,
                traceparent: telemetry::traceparent,
                ..OpenAiSettings::default()
            };
            let remote = OpenAi::new(settings, http_client()?)
                .map_err(|err| Failure::new(chain(&err)).hint("check OPENAI_BASE_URL"))?;
            Ok(Some(Embedder::OpenAi(remote)))
        }
    }
}

async fn local(folder: PathBuf) -> Result<Embedder, NoEmbedder> {
    let verified = blocking(&folder, model_files::verify).await?;
    match verified {
        Ok(()) => {}
        Err(ModelFilesError::Missing { .. }) => {
            tracing::info!(
                folder = %folder.display(),
                "the embedding model is not in {}; downloading it", folder.display()
            );
            let bar = progress_bar();
            let source = Source::upstream(http_client()?);
            let fetched = model_files::ensure(&folder, &source, |p| show(&bar, p)).await;
            bar.finish_and_clear();
            fetched.map_err(|err| NoEmbedder::Absent(chain(&err)))?;
        }
        Err(err) => {
            let failure = Failure::new(chain(&err));
            return Err(failure
                .hint("EMBEDDING_PROVIDER=none searches by words alone")
                .into());
        }
    }
    let model = blocking(&folder, MiniLm::load).await?.map_err(|err| {
        Failure::new(chain(&err))
            .hint("`make model` fetches it again; EMBEDDING_PROVIDER=none searches by words alone")
    })?;
    Ok(Embedder::MiniLm(model.into()))
}

/// Reads a model's folder without holding up a server that runs.
async fn blocking<T: Send + 'static>(folder: &Path, read: fn(&Path) -> T) -> Result<T, Failure> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || read(&folder))
        .await
        .map_err(|err| Failure::new(format!("cannot read the embedding model: {err}")))
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_message(progress.file);
    bar.set_length(progress.total);
    bar.set_position(progress.received);
}

/// Returns the HTTP client of this program, with its time limits and TLS provider.
pub fn http_client() -> Result<reqwest::Client, Failure> {
    let client = http_client_builder().build();
    client.map_err(|err| Failure::new(chain(&err)))
}

/// Returns the HTTP client for this machine itself, which no proxy can reach.
pub fn local_http_client() -> Result<reqwest::Client, Failure> {
    let client = http_client_builder().no_proxy().build();
    client.map_err(|err| Failure::new(chain(&err)))
}

/// Returns the builder of both.
pub fn http_client_builder() -> reqwest::ClientBuilder {
    // Only the first call installs it; later ones find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .user_agent(concat!("commontrace/", env!("CARGO_PKG_VERSION")))
}

/// Returns the hasher of API keys: with the configured pepper, else with one made for this store.
pub async fn api_keys(config: &Config, store: &Store) -> Result<ApiKeys, Failure> {
    if let Some(pepper) = &config.server.api_key_pepper {
        return Ok(ApiKeys::new(pepper.expose().as_bytes()));
    }
    let fresh = hex::encode(&Ids::Random.random_bytes::<32>());
    let pepper = store.meta_or_insert(PEPPER, fresh).await?;
    Ok(ApiKeys::new(pepper.as_bytes()))
}

/// Connects to the configured Redis, if one is. It may be away; an address that cannot be meant was
/// refused with the settings.
pub async fn redis(config: &Config) -> Option<Redis> {
    let address = config.storage.redis_url.clone()?;
    // Before the first look at Redis, whose outcome is a metric.
    commontrace_server::metrics::Metrics::install();
    Some(Redis::connect(address, PATIENCE).await)
}

/// Joins the parts of the server. The index is still empty. Without a Redis, limits and query
/// vectors are kept in this process.
pub async fn app(
    config: &Config,
    store: Store,
    embedder: Option<Embedder>,
    redis: Option<Redis>,
    examiner: Option<Arc<dyn Examiner>>,
    lifecycle: Lifecycle,
) -> Result<App, Failure> {
    let limiter = match &redis {
        Some(redis) => Limiter::shared(redis.clone()),
        None => Limiter::in_memory(),
    };
    let query_vectors = redis.clone().map(QueryVectors::new);
    // Whoever reads from the primary always finds what was written.
    let write_positions = redis.map(WritePositions::new);
    let write_positions = write_positions.filter(|_| store.replica_status().is_some());
    let parts = Parts::new(
        store.clone(),
        Clock::System,
        Ids::Random,
        api_keys(config, &store).await?,
        Search::new(&store, embedder, query_vectors, Ids::Random.uuid()),
        server_settings(config),
    );
    Ok(App::new(Parts {
        limiter,
        lifecycle,
        write_positions,
        examiner,
        ..parts
    }))
}

/// Imports the starter traces, if the settings say so, and builds the index. Returns the moment up to
/// which the index knows the store.
pub async fn fill(config: &Config, app: &App) -> Result<DateTime<Utc>, Failure> {
    if config.commons.import_seeds {
        let embed = || app.search.embedding_jobs(&app.ids);
        let done = seeds::import(&app.store, SEEDS, embed, app.clock.now()).await?;
        if done.added + done.updated > 0 {
            tracing::info!(
                "imported {} starter traces, updated {}",
                done.added,
                done.updated
            );
        }
    }
    Ok(app.search.current().load(&app.store).await?)
}

/// Returns what the settings say about the HTTP side.
pub fn server_settings(config: &Config) -> ServerSettings {
    let (limits, commons) = (&config.limits, &config.commons);
    ServerSettings {
        app_name: config.server.app_name.clone(),
        api_key_header: config.server.api_key_header_name.as_str().to_owned(),
        open_publishing: commons.open_publishing,
        body_limit_bytes: limits.max_body_bytes.get() as usize,
        cors_origins: match &config.server.cors_origins {
            None => Vec::new(),
            Some(CorsOrigins::Any) => vec!["*".to_owned()],
            Some(CorsOrigins::List(origins)) => origins.clone(),
        },
        trusted_proxies: config
            .server
            .trusted_proxies
            .iter()
            .flat_map(|proxies| proxies.0.iter().copied())
            .collect(),
        read_per_minute: limits.rate_limit_read_per_minute.get(),
        write_per_minute: limits.rate_limit_write_per_minute.get(),
        single_user: config.server.single_user.then_some(local_user::ID),
        parallel_runs: config.sessions.verify_parallel.get() as usize,
        finalize_wait: Duration::from_secs(config.sessions.finalize_wait_seconds.into()),
        record_per_minute: limits.rate_limit_record_per_minute.get(),
        session_body_limit_bytes: limits.max_session_body_bytes.get() as usize,
        register_per_hour: limits.rate_limit_register_per_hour.get(),
        failed_keys_per_minute: limits.rate_limit_failed_keys_per_minute.get(),
        flags_to_hide: commons.flags_to_hide.get(),
        validation_threshold: commons.validation_threshold.get(),
        worker_poll: seconds(config.worker.worker_poll_seconds.get()),
        ..ServerSettings::default()
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

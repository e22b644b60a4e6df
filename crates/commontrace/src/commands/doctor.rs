//! `commontrace doctor`: looks at everything the server needs and says what to do about it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use commontrace_search::embed::model_files;
use commontrace_server::clock::Clock;
use commontrace_server::error::chain;
use commontrace_server::serve;
use commontrace_server::shared::{Condition, Eviction, RedisAddress};
use commontrace_store::{Location, Store};

use super::say;
use crate::config::{Config, ConfigError, Embedder};
use crate::failure::Failure;
use crate::start;

/// What Redis may take to answer: every limited request waits for it once.
const SLOW: Duration = Duration::from_millis(10);

/// What one look found.
enum Finding {
    Fine(String),
    /// It works, but not as well as it could.
    Weak(String),
    Wrong(String),
}

use Finding::{Fine, Weak, Wrong};

/// Looks at each part in turn; exit code 1 if something is wrong.
pub async fn run(config: Result<Config, ConfigError>) -> Result<ExitCode, Failure> {
    let config = match config {
        Ok(config) => config,
        Err(err) => {
            report("settings", &Wrong(Failure::from(err).to_string()));
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut findings = vec![("settings", settings(&config))];
    let store = store(&config).await;
    findings.push(("database", store.0));
    if let Some(store) = &store.1 {
        findings.extend(replica(store).map(|finding| ("replica", finding)));
        findings.push(("embedding jobs", jobs(store).await));
    }
    if let Some(address) = &config.storage.redis_url {
        findings.push(("redis", redis(address).await));
    }
    findings.push(("embedding", embedding(&config).await));
    findings.push(("address", address(&config).await));
    for (name, finding) in &findings {
        report(name, finding);
    }
    if let Some(store) = store.1 {
        store.close().await;
    }
    let wrong = findings
        .iter()
        .any(|(_, finding)| matches!(finding, Wrong(_)));
    Ok(if wrong {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn report(name: &str, finding: &Finding) {
    let (word, text) = match finding {
        Fine(text) => ("ok   ", text),
        Weak(text) => ("weak ", text),
        Wrong(text) => ("WRONG", text),
    };
    say(format_args!("{word}  {name}: {text}"));
}

fn settings(config: &Config) -> Finding {
    let read = match &config.file {
        Some(file) => format!("read {} and the environment", file.display()),
        None => "read the environment; there is no settings file".to_owned(),
    };
    match &config.notices[..] {
        [] => Fine(read),
        notices => Weak(notices.join("; ")),
    }
}

async fn store(config: &Config) -> (Finding, Option<Store>) {
    let location = match start::location(config) {
        Ok(location) => location,
        Err(failure) => return (Wrong(failure.to_string()), None),
    };
    let opened = async {
        let store = start::serving_store(config).await?;
        let version = store.engine_version().await?;
        let stats = store.stats().await?;
        // A store that can be read may still be one that cannot be written.
        store.check(Clock::System.now()).await?;
        Ok::<_, Failure>((store, version, stats))
    };
    match opened.await {
        Ok((store, version, stats)) => {
            let place = match &location {
                Location::File(path) => path.display().to_string(),
                Location::Server(_) => "the configured server".to_owned(),
            };
            let text = format!(
                "{version} in {place}, {} traces, can be written",
                stats.traces
            );
            (Fine(text), Some(store))
        }
        Err(failure) => {
            let failure = failure.at(&start::place(config));
            (Wrong(failure.to_string()), None)
        }
    }
}

fn replica(store: &Store) -> Option<Finding> {
    let status = store.replica_status()?;
    Some(match status.fault {
        None => Fine(format!(
            "searches and reads go there, it is {:.1} s behind",
            status.lag.as_secs_f64()
        )),
        Some(fault) => Wrong(format!(
            "{fault}; reads go to the primary meanwhile; check DATABASE_READ_URL"
        )),
    })
}

async fn jobs(store: &Store) -> Finding {
    match store.stats().await {
        Ok(stats) if stats.dead_jobs > 0 => Weak(format!(
            "{} traces could not be embedded and are found by their words only; after mending the cause run `commontrace reembed`",
            stats.dead_jobs
        )),
        Ok(stats) => Fine(format!("{} waiting, none given up", stats.queued_jobs)),
        Err(err) => Wrong(chain(&err)),
    }
}

/// Without Redis the server goes on, so nothing here is worse than weak.
async fn redis(address: &RedisAddress) -> Finding {
    let found = match Condition::of(address).await {
        Ok(found) => found,
        Err(why) => {
            return Weak(format!(
                "{address}: {why}; until it can be used, each node limits by itself: check that it \
                 runs, the address and password in REDIS_URL, and that this user may use SET, GET, \
                 EVALSHA and SCRIPT LOAD on rl:* and qe:*"
            ));
        }
    };
    let Condition {
        version, latency, ..
    } = &found;
    let milliseconds = latency.as_secs_f64() * 1000.0;
    let is = format!("{version} at {address} answers in {milliseconds:.2} ms");
    if !found.is_recent() {
        return Weak(format!("{is}; use version 6 or later"));
    }
    if *latency > SLOW {
        return Weak(format!(
            "{is}, and every limited request waits for that: move it nearer to the nodes"
        ));
    }
    match (found.max_memory, found.eviction) {
        (0, _) => Fine(format!("{is}, no limit on its memory")),
        (_, Eviction::Oldest) => Fine(is),
        (_, Eviction::Refuses) => Weak(format!(
            "{is}, and refuses writes when its memory is full, each node then limits by itself: set \
             maxmemory-policy allkeys-lru"
        )),
        (_, Eviction::Buckets) => Weak(format!(
            "{is}, and when its memory is full forgets who used up a limit: set maxmemory-policy \
             allkeys-lru"
        )),
    }
}

async fn embedding(config: &Config) -> Finding {
    if let Embedder::Local { model_dir } = config.embedding.embedder()
        && let Err(err) = model_files::verify(&model_dir)
    {
        let missing = matches!(err, model_files::ModelFilesError::Missing { .. });
        return if missing {
            Weak(chain(&err))
        } else {
            Wrong(chain(&err))
        };
    }
    let embedder = match start::embedder(config).await {
        Ok(Some(embedder)) => embedder,
        Ok(None) => {
            return Weak(
                "there is no model, searching goes by words alone; set EMBEDDING_PROVIDER=local and run `make model`"
                    .to_owned(),
            );
        }
        Err(failure) => return Wrong(failure.to_string()),
    };
    let model = embedder.model().clone();
    match embedder.embed_query("error: linker `cc` not found").await {
        Ok(vector) if vector.len() == model.dimensions => Fine(format!(
            "{} makes vectors of {} dimensions",
            model.id, model.dimensions
        )),
        Ok(vector) => Wrong(format!(
            "{} makes vectors of {} dimensions and EMBEDDING_DIMENSIONS says {}",
            model.id,
            vector.len(),
            model.dimensions
        )),
        Err(err) => Wrong(chain(&err)),
    }
}

async fn address(config: &Config) -> Finding {
    let address = config.server.listen;
    match serve::bind(address).await {
        Ok(_) => Fine(format!("{address} is free; no server runs there")),
        Err(serve::BindError::InUse(_)) => neighbour(address).await,
        Err(err) => Wrong(format!("{} ({})", chain(&err), err.hint())),
    }
}

/// Asks whoever has the address who they are.
async fn neighbour(address: SocketAddr) -> Finding {
    /// Longest time a server on this machine may take to say that it lives.
    const PATIENCE: Duration = Duration::from_secs(2);
    let reachable = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let reachable = SocketAddr::new(reachable, address.port());
    let client = match start::local_http_client() {
        Ok(client) => client,
        Err(failure) => return Wrong(failure.to_string()),
    };
    let asked = async {
        let url = format!("http://{reachable}/health/live");
        let answer = client.get(url).timeout(PATIENCE).send().await?;
        answer.error_for_status()?.json::<Live>().await
    };
    match asked.await {
        Ok(Live { status, version }) if status == "healthy" => {
            Fine(format!("a server of version {version} runs on {address}"))
        }
        Err(err) if err.is_timeout() => Wrong(format!(
            "{address} is in use, and what has it did not answer within {} s; a server that hangs must be restarted, \
             for anything else choose another address with COMMONTRACE_LISTEN",
            PATIENCE.as_secs()
        )),
        _ => Wrong(format!(
            "{address} is in use by another program; {}",
            serve::BindError::InUse(address).hint()
        )),
    }
}

/// What a server says of itself.
#[derive(Debug, serde::Deserialize)]
struct Live {
    status: String,
    version: String,
}

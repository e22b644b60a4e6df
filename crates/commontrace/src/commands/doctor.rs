//! `commontrace doctor`: looks at everything the server needs and says what to do about it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use commontrace_search::embed::model_files;
use commontrace_server::clock::Clock;
use commontrace_server::error::chain;
use commontrace_server::serve;
use commontrace_store::{Location, Store};

use super::say;
use crate::config::{Config, ConfigError, Embedder};
use crate::failure::Failure;
use crate::start;

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
        findings.push(("embedding jobs", jobs(store).await));
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
        let store = Store::open(&location).await?;
        let version = store.engine_version().await?;
        let stats = store.stats().await?;
        // A store that can be read may still be one that cannot be written.
        store.check(Clock::System.now()).await?;
        Ok::<_, commontrace_store::Error>((store, version, stats))
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
        Err(err) => {
            let failure = Failure::from(err).at(&start::place(config));
            (Wrong(failure.to_string()), None)
        }
    }
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

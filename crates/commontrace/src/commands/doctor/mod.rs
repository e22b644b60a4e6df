//! `commontrace doctor`: looks at everything the server needs and says what to do about it.

mod address;
mod agents;
mod clocks;
mod database;
mod embedding;
mod postgres;
mod redis;
mod remote;

use std::process::ExitCode;

use super::say;
use crate::config::{Config, ConfigError, Environment};
use crate::failure::Failure;

/// What one look found.
enum Finding {
    Fine(String),
    /// It works, but not as well as it could.
    Weak(String),
    Wrong(String),
}

use Finding::{Fine, Weak, Wrong};

/// Looks at each part in turn; exit code 1 if something is wrong.
pub async fn run(
    config: Result<Config, ConfigError>,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    let config = match config {
        Ok(config) => config,
        Err(err) => {
            report("settings", &Wrong(Failure::from(err).to_string()));
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut findings = vec![("settings", settings(&config))];
    let (found, store) = database::store(&config).await;
    findings.push(("database", found));
    if let Some(store) = &store {
        findings.extend(postgres::server(store, &config).await);
        findings.extend(database::replica(store).map(|finding| ("replica", finding)));
        findings.push(("embedding jobs", database::jobs(store).await));
    }
    let redis = config.storage.redis_url.as_ref();
    if let Some(address) = redis {
        findings.push(("redis", redis::redis(address).await));
    }
    findings.extend(clocks::compare(store.as_ref(), redis).await);
    findings.push(("embedding", embedding::embedding(&config).await));
    findings.extend(remote::remote(&config).await);
    findings.push(("address", address::address(&config).await));
    findings.extend(agents::hosts(env).await.map(|finding| ("agents", finding)));
    for (name, finding) in &findings {
        report(name, finding);
    }
    if let Some(store) = store {
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

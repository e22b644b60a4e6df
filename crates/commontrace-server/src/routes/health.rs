//! Whether the server can do its work.

use std::collections::BTreeMap;

use axum::Json as JsonBody;
use axum::extract::State;
use commontrace_api::health::Health;

use crate::app::App;
use crate::respond::MaybeUnavailable;
use crate::store_check::Found;

/// Returns each part's state; 503 when one that requests need is away.
pub async fn health(State(app): State<App>) -> MaybeUnavailable<Health> {
    let database = app.store_check.run(&app.store, &app.clock).await;
    let mut checks = BTreeMap::new();
    checks.insert("database", words(database));
    let generations = app.search.generations();
    let (current, coming) = (&generations.current, &generations.coming);
    let embedding = match current.model() {
        Some(_) => "ok",
        // Searching goes on by words alone.
        None => "none",
    };
    checks.insert("embedding", embedding.to_owned());
    if let Some(redis) = app.limiter.redis() {
        // Away or not, requests go on.
        checks.insert("redis", word(redis.is_there()));
    }
    checks.insert("embedding_model", current.model_name().to_owned());
    if let Some(coming) = coming {
        let made = coming.len().saturating_sub(coming.vectorless());
        let (name, all) = (coming.model_name(), coming.len());
        checks.insert(
            "embedding_switch",
            format!("{made} of {all} traces are ready for {name}"),
        );
    }
    checks.insert("search_index", format!("{} traces", current.len()));
    if let Some(replica) = app.store.replica_status() {
        // Reading goes on without it.
        checks.insert("replica", word(replica.fault.is_none()));
    }
    report(database.is_ok(), checks)
}

/// Returns each part's state in a worker, which serves no requests and so has no index.
pub async fn worker(State(app): State<App>) -> MaybeUnavailable<Health> {
    let database = app.store_check.run(&app.store, &app.clock).await;
    let embedder = app.search.wanted().borrow().clone();
    let model = embedder
        .as_ref()
        .map(|embedder| embedder.model().id.as_str());
    let checks = [
        ("database", words(database)),
        (
            "embedding",
            if model.is_some() { "ok" } else { "none" }.to_owned(),
        ),
        ("embedding_model", model.unwrap_or("none").to_owned()),
    ];
    report(database.is_ok(), checks.into())
}

/// Returns whether the process runs at all.
pub async fn live() -> JsonBody<Health> {
    JsonBody(Health {
        status: "healthy",
        checks: BTreeMap::new(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Returns whether requests should be sent here: started, not stopping, and the store can be read
/// and written.
pub async fn ready(State(app): State<App>) -> MaybeUnavailable<Health> {
    let database = app.store_check.run(&app.store, &app.clock).await;
    let available = app.lifecycle.is_ready() && database.is_ok();
    let state = match (app.lifecycle.is_ready(), app.lifecycle.is_leaving()) {
        (true, _) => "ok",
        (false, true) => "stopping",
        (false, false) => "starting",
    };
    let checks = [("server", state.to_owned()), ("database", words(database))].into();
    report(available, checks)
}

/// Says that the server is not ready yet. There is nothing to ask the database through.
pub async fn starting() -> MaybeUnavailable<Health> {
    report(false, [("server", "starting".to_owned())].into())
}

fn report(available: bool, checks: BTreeMap<&'static str, String>) -> MaybeUnavailable<Health> {
    let body = Health {
        status: if available { "healthy" } else { "degraded" },
        checks,
        version: env!("CARGO_PKG_VERSION"),
    };
    MaybeUnavailable { available, body }
}

fn words(found: Found) -> String {
    match found {
        Ok(()) => "ok".to_owned(),
        Err(summary) => format!("error: {summary}"),
    }
}

fn word(ok: bool) -> String {
    if ok { "ok" } else { "error" }.to_owned()
}

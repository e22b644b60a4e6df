//! Every metric the server has: its name, its labels and how it is observed.
//!
//! Labels take few values, none of which a client can choose.

mod jobs;
mod process;

use std::sync::OnceLock;
use std::time::Duration;

use aide::axum::routing::get_with;
use aide::axum::{ApiRouter, IntoApiResponse};
use axum::extract::State;
use axum::http::{StatusCode, header};
use commontrace_store::Store;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use self::jobs::{job_attempts, job_failed, jobs, oldest_waiting_job, worker_listening};
use crate::app::App;

const HTTP_REQUESTS: &str = "commontrace_http_requests_total";
const HTTP_DURATION: &str = "commontrace_http_request_duration_seconds";
const SEARCHES: &str = "commontrace_search_requests_total";
const SEARCH_DURATION: &str = "commontrace_search_duration_seconds";
const SEARCHES_ABSTAINED: &str = "commontrace_search_abstained_total";
const SEARCHES_DEGRADED: &str = "commontrace_search_degraded_total";
const EMBEDDINGS: &str = "commontrace_embeddings_processed_total";
const EMBEDDING_DURATION: &str = "commontrace_embedding_duration_seconds";
const EMBEDDING_BACKLOG: &str = "commontrace_embedding_backlog";
const EMBEDDING_SWITCH_BACKLOG: &str = "commontrace_embedding_switch_backlog";
const SEARCH_MODEL: &str = "commontrace_search_model";
const LIMITER_FALLBACK: &str = "commontrace_rate_limiter_fallback";
const LIMITER_FALLBACKS: &str = "commontrace_rate_limiter_fallback_decisions_total";
const CONNECTIONS: &str = "commontrace_database_connections";
const REPLICA_USABLE: &str = "commontrace_replica_usable";
const REPLICA_LAG: &str = "commontrace_replica_lag_seconds";
const CONNECTIONS_MAX: &str = "commontrace_database_connections_max";
const CONNECTIONS_WAITING: &str = "commontrace_database_connections_waiting";
const READS: &str = "commontrace_database_reads_total";

const HTTP_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const SEARCH_BUCKETS: [f64; 7] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];
const EMBEDDING_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// The recorder of this process, which every router of it shares.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the recorder, or returns the one that is there already.
    pub fn install() -> Self {
        static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
        let handle = INSTALLED.get_or_init(|| {
            let handle = builder()
                .install_recorder()
                .expect("nothing else in this program installs a recorder");
            describe();
            handle
        });
        Self {
            handle: handle.clone(),
        }
    }

    /// Renders all metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        process::render(&mut text);
        text
    }

    /// Folds observations into their buckets; without it they pile up between two scrapes.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn builder() -> PrometheusBuilder {
    let buckets: [(&str, &[f64]); 3] = [
        (HTTP_DURATION, &HTTP_BUCKETS),
        (SEARCH_DURATION, &SEARCH_BUCKETS),
        (EMBEDDING_DURATION, &EMBEDDING_BUCKETS),
    ];
    buckets
        .iter()
        .fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
            builder
                .set_buckets_for_metric(Matcher::Full((*name).into()), buckets)
                .expect("the buckets are not empty")
        })
}

fn describe() {
    describe_counter!(
        HTTP_REQUESTS,
        "Requests answered, by method, route and status."
    );
    describe_histogram!(
        HTTP_DURATION,
        "Time from a request's headers to its answer."
    );
    describe_counter!(SEARCHES, "Searches, by whether they were filtered by tags.");
    describe_histogram!(
        SEARCH_DURATION,
        "Time to answer a search, embedding the query included."
    );
    describe_counter!(
        SEARCHES_ABSTAINED,
        "Searches answered with nothing, because nothing relevant is known."
    );
    describe_counter!(
        SEARCHES_DEGRADED,
        "Searches with a text that were answered by its words alone."
    );
    describe_counter!(EMBEDDINGS, "Texts embedded, by model and outcome.");
    describe_histogram!(EMBEDDING_DURATION, "Time to embed a text, by model.");
    describe_gauge!(EMBEDDING_BACKLOG, "Traces waiting for a vector.");
    describe_gauge!(
        EMBEDDING_SWITCH_BACKLOG,
        "Traces waiting for a vector of the model that searches are switching to."
    );
    jobs::describe();
    describe_gauge!(
        SEARCH_MODEL,
        "1 for the model that is searched with, `none` for words alone."
    );
    describe_gauge!(
        LIMITER_FALLBACK,
        "1 while Redis is away and this node limits by itself, else 0."
    );
    describe_counter!(
        LIMITER_FALLBACKS,
        "Requests limited by this node itself because Redis was away."
    );
    describe_gauge!(CONNECTIONS, "Connections to the primary, by state.");
    describe_gauge!(
        CONNECTIONS_MAX,
        "Connections to the primary that there may be."
    );
    describe_gauge!(
        CONNECTIONS_WAITING,
        "Statements and transactions that wait for a connection to the primary."
    );
    describe_gauge!(REPLICA_USABLE, "Whether reads may go to the replica.");
    describe_gauge!(REPLICA_LAG, "How far the replica is behind.");
    describe_counter!(
        READS,
        "Statements that could be read from the replica, by where they were."
    );
    embedding_backlog(0);
    embedding_switch_backlog(0);
    rate_limiter_fallback(false);
    for unlabelled in [LIMITER_FALLBACKS, SEARCHES_ABSTAINED, SEARCHES_DEGRADED] {
        counter!(unlabelled).absolute(0);
    }
    for has_tags in ["true", "false"] {
        counter!(SEARCHES, "has_tags" => has_tags).absolute(0);
    }
}

/// Counts an answered request; `path` is the route's template.
pub fn http_request(method: &'static str, path: &str, status: StatusCode, took: Duration) {
    let path = path.to_owned();
    let code = status.as_str().to_owned();
    counter!(HTTP_REQUESTS, "method" => method, "path" => path.clone(), "status_code" => code)
        .increment(1);
    histogram!(HTTP_DURATION, "method" => method, "path" => path).record(took);
}

/// Counts a request that could not be read, and so has neither a method nor a route.
pub fn http_refusal(status: StatusCode) {
    let code = status.as_str().to_owned();
    counter!(HTTP_REQUESTS, "method" => "other", "path" => "unmatched", "status_code" => code)
        .increment(1);
}

/// Counts an answered search, and whether its answer says that it abstained or is degraded.
pub fn search(has_tags: bool, abstained: bool, degraded: bool, took: Duration) {
    let has_tags = if has_tags { "true" } else { "false" };
    counter!(SEARCHES, "has_tags" => has_tags).increment(1);
    counter!(SEARCHES_ABSTAINED).increment(u64::from(abstained));
    counter!(SEARCHES_DEGRADED).increment(u64::from(degraded));
    histogram!(SEARCH_DURATION).record(took);
}

/// What became of a text that was to be embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedded {
    /// It has a vector now.
    Success,
    /// It has none yet, or will never have one.
    Error,
    /// Its trace was gone.
    Skipped,
}

/// Counts a text that was to be embedded by `model`.
pub fn embedded(model: &str, became: Embedded) {
    let status = match became {
        Embedded::Success => "success",
        Embedded::Error => "error",
        Embedded::Skipped => "skipped",
    };
    counter!(EMBEDDINGS, "model" => model.to_owned(), "status" => status).increment(1);
}

/// Notes the time that `model` took for one text, a query's included.
pub fn embedding(model: &str, took: Duration) {
    histogram!(EMBEDDING_DURATION, "model" => model.to_owned()).record(took);
}

/// Sets how many traces wait for a vector.
pub fn embedding_backlog(waiting: usize) {
    gauge!(EMBEDDING_BACKLOG).set(waiting as f64);
}

/// Sets how many traces wait for a vector of the model that is switched to; zero without a switch.
pub fn embedding_switch_backlog(waiting: usize) {
    gauge!(EMBEDDING_SWITCH_BACKLOG).set(waiting as f64);
}

/// Notes whether searches go with `model`.
pub fn search_model(model: &str, is_current: bool) {
    gauge!(SEARCH_MODEL, "model" => model.to_owned()).set(if is_current { 1.0 } else { 0.0 });
}

/// Sets whether this node limits by itself because Redis is away.
pub fn rate_limiter_fallback(away: bool) {
    gauge!(LIMITER_FALLBACK).set(f64::from(u8::from(away)));
}

/// Counts a request that was limited without the Redis that was to do it.
pub fn rate_limiter_fell_back() {
    counter!(LIMITER_FALLBACKS).increment(1);
}

/// Notes the state of the connections to the database. There are none to note with an embedded one.
fn database(store: &Store) {
    if let Some(counts) = store.connections() {
        gauge!(CONNECTIONS, "state" => "idle").set(counts.idle);
        gauge!(CONNECTIONS, "state" => "used").set(counts.used);
        gauge!(CONNECTIONS_MAX).set(counts.max);
        gauge!(CONNECTIONS_WAITING).set(counts.waiting);
    }
    if let Some(replica) = store.replica_status() {
        gauge!(REPLICA_USABLE).set(u8::from(replica.fault.is_none()));
        gauge!(REPLICA_LAG).set(replica.lag.as_secs_f64());
        counter!(READS, "from" => "replica").absolute(replica.reads);
        counter!(READS, "from" => "primary").absolute(replica.reads_on_primary);
    }
}

/// The route of the metrics.
pub fn routes() -> ApiRouter<App> {
    ApiRouter::new().api_route(
        "/metrics",
        get_with(show, |op| {
            op.id("metrics")
                .tag("Health")
                .summary("Metrics in Prometheus' text format")
                .response_with::<200, String, _>(|response| response.description("The metrics."))
        }),
    )
}

async fn show(State(app): State<App>) -> impl IntoApiResponse {
    database(&app.store);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], app.metrics.render())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_contracts_names_and_labels_are_rendered() {
        let metrics = Metrics::install();
        http_request("GET", "/a/{id}", StatusCode::OK, Duration::from_millis(20));
        search(true, true, false, Duration::from_millis(20));
        embedded("test-model", Embedded::Success);
        embedded("test-model", Embedded::Skipped);
        embedding("test-model", Duration::from_millis(20));
        search_model("test-model", true);
        search_model("test-model", false);
        let text = Metrics::install().render();
        for line in [
            r#"commontrace_http_requests_total{method="GET",path="/a/{id}",status_code="200"} 1"#,
            r#"commontrace_http_request_duration_seconds_bucket{method="GET",path="/a/{id}",le="0.025"} 1"#,
            r#"commontrace_search_duration_seconds_bucket{le="0.01"} 0"#,
            r#"commontrace_search_duration_seconds_bucket{le="2"} 1"#,
            r#"commontrace_search_requests_total{has_tags="true"} 1"#,
            r#"commontrace_embeddings_processed_total{model="test-model",status="success"} 1"#,
            r#"commontrace_embeddings_processed_total{model="test-model",status="skipped"} 1"#,
            "commontrace_search_abstained_total 1",
            "commontrace_search_degraded_total 0",
            r#"commontrace_embedding_duration_seconds_count{model="test-model"} 1"#,
            "commontrace_embedding_backlog 0",
            "commontrace_embedding_switch_backlog 0",
            r#"commontrace_search_model{model="test-model"} 0"#,
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
        metrics.run_upkeep();
    }

    /// The names in some text.
    fn names(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !c.is_ascii_lowercase() && c != '_')
            .filter(|word| word.starts_with("commontrace_"))
            .collect()
    }

    #[test]
    fn the_manual_has_every_metric_and_no_other() {
        let code = [include_str!("metrics.rs"), include_str!("metrics/jobs.rs")].map(|code| {
            let lines = code.lines().filter(|line| line.starts_with("const "));
            lines.flat_map(names).collect::<BTreeSet<_>>()
        });
        let manual = names(include_str!("../../../docs/operations.md"));
        assert_eq!(manual, &code[0] | &code[1]);
    }
}

//! Exports traces by OTLP over HTTP.
//!
//! Spans are queued and sent in batches by a thread of the SDK, over the program's own HTTP client on
//! a runtime of its own: neither a collector that hangs nor a busy server holds up the other. What
//! does not fit into the queue is dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use commontrace_server::error::chain;
use commontrace_server::logging::Listener;
use commontrace_server::telemetry::TARGET;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::{Handle, Runtime};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use url::Url;

use super::background;
use crate::config::{Environment, TelemetrySettings};
use crate::failure::Failure;
use crate::start;

/// Longest time that the collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that the end of the program waits for the last batch.
const LAST_BATCH: Duration = Duration::from_secs(3);

/// The export of traces.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    /// Where batches are sent from.
    _runtime: Runtime,
}

/// Starts to export to the configured collector, if one is, and returns who listens to spans for it.
pub fn start(
    settings: &TelemetrySettings,
    env: &Environment,
) -> Result<Option<(Traces, Listener)>, Failure> {
    let Some(endpoint) = &settings.otel_exporter_otlp_endpoint else {
        return Ok(None);
    };
    let runtime = background()?;
    let client = Client {
        http: start::http_client_builder()
            .timeout(PATIENCE)
            .build()
            .map_err(|err| Failure::new(chain(&err)))?,
        runtime: runtime.handle().clone(),
        is_away: AtomicBool::new(false),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces_url(endpoint, env))
        .build()
        .map_err(|err| Failure::new(format!("cannot export traces: {}", chain(&err))))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource(env))
        .build();
    let listener = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("commontrace"))
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        // Log lines are none of its business: they may say what a trace must not.
        .with_filter(filter_fn(|told| told.is_span() && told.target() == TARGET))
        .boxed();
    let traces = Traces {
        provider,
        _runtime: runtime,
    };
    Ok(Some((traces, listener)))
}

impl Traces {
    /// Sends what is in the queue.
    pub fn flush(self) {
        if let Err(err) = self.provider.shutdown_with_timeout(LAST_BATCH) {
            tracing::warn!(error = %err, "the last spans were not exported: {err}");
        }
    }
}

/// Returns the address for traces: the one that is given for them alone, else a path below the base.
fn traces_url(base: &Url, env: &Environment) -> String {
    match env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        Some(own) if !own.is_empty() => own.clone(),
        _ => format!("{}/v1/traces", base.as_str().trim_end_matches('/')),
    }
}

/// Names this program, unless the environment does.
fn resource(env: &Environment) -> Resource {
    let attributes = env.get("OTEL_RESOURCE_ATTRIBUTES");
    let is_named = env.contains_key("OTEL_SERVICE_NAME")
        || attributes.is_some_and(|attributes| attributes.contains("service.name="));
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    if is_named {
        resource.build()
    } else {
        resource.with_service_name("commontrace").build()
    }
}

/// Sends batches, and logs when the collector goes and when it is back.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    is_away: AtomicBool,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        // Whoever waits for this is a thread without a runtime.
        let sending = self
            .runtime
            .spawn(async move { send(&http, request).await });
        let sent = sending.await.unwrap_or_else(|err| Err(err.into()));
        self.tell(&sent);
        sent
    }
}

impl Client {
    fn tell(&self, sent: &Result<Response<Bytes>, HttpError>) {
        let fault = match sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answers {}", response.status())),
            Err(err) => Some(chain(err.as_ref())),
        };
        let was_away = self.is_away.swap(fault.is_some(), Ordering::Relaxed);
        match fault {
            Some(fault) if !was_away => {
                tracing::warn!(error = fault, "traces cannot be exported: {fault}");
            }
            None if was_away => tracing::info!("traces are exported again"),
            _ => {}
        }
    }
}

async fn send(
    http: &reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let answer = http.execute(request.try_into()?).await;
    // Its address may hold a key.
    let answer = answer.map_err(reqwest::Error::without_url)?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let body = answer.bytes().await.map_err(reqwest::Error::without_url)?;
    Ok(response.body(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_base_unless_they_have_an_address_of_their_own() {
        let base = |text: &str| Url::parse(text).unwrap();
        let none = Environment::new();
        for text in ["http://collector:4318", "http://collector:4318/"] {
            let url = traces_url(&base(text), &none);
            assert_eq!(url, "http://collector:4318/v1/traces");
        }
        let own = "http://other/traces".to_owned();
        let env = Environment::from([("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT".into(), own.clone())]);
        assert_eq!(traces_url(&base("http://collector:4318"), &env), own);
    }
}

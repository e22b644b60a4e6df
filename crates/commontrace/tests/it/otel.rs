//! Traces as a collector gets them.

use std::collections::BTreeSet;
use std::time::Duration;

use commontrace_store::Engine::{self, Postgres, Sqlite};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use reqwest::Method;
use rstest::rstest;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::client::{Client, until};
use crate::place::Place;
use crate::provider::Provider;
use crate::trace_context::{SENT, TRACE_ID, contributes};

/// A collector that takes whatever it gets, by OTLP over HTTP.
struct Collector(MockServer);

impl Collector {
    async fn start() -> Self {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/v1/traces"))
            .respond_with(ResponseTemplate::new(200))
            .mount(&server)
            .await;
        Self(server)
    }

    fn of(&self, place: Place) -> Place {
        place
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", &self.0.uri())
            .with("COMMONTRACE_IMPORT_SEEDS", "false")
    }

    async fn batches(&self) -> Vec<ExportTraceServiceRequest> {
        let requests = self.0.received_requests().await.expect("they are recorded");
        requests
            .iter()
            .map(|request| {
                ExportTraceServiceRequest::decode(&request.body[..]).expect("OTLP in protobuf")
            })
            .collect()
    }

    async fn spans(&self) -> Vec<Span> {
        let batches = self.batches().await;
        let resources = batches.into_iter().flat_map(|batch| batch.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace of this kind.
fn of_kind(spans: &[Span], trace_id: &str, kind: SpanKind) -> Vec<Span> {
    spans
        .iter()
        .filter(|span| hex(&span.trace_id) == trace_id && span.kind() == kind)
        .cloned()
        .collect()
}

#[rstest]
#[tokio::test]
async fn a_contribution_is_one_trace_from_the_request_over_its_statements_to_its_job(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (collector, provider) = (Collector::start().await, Provider::start().await);
    let place = collector.of(provider.of(Place::on(engine).await));
    let server = place.serve().await;
    let user = server.user().await;
    let title = "a title that no span may carry";
    contributes(&user, title, SENT).await;
    until("its text was sent to be embedded", async || {
        provider.requests().await > 0
    })
    .await;
    user.until_embedded().await;
    // Whatever is in the queue is sent before the end.
    server.stop().await;

    let spans = collector.spans().await;
    let requests = of_kind(&spans, TRACE_ID, SpanKind::Server);
    let [request] = &requests[..] else {
        panic!("one request is part of the trace: {requests:?}")
    };
    assert_eq!(request.name, "POST /api/v1/traces");
    assert_eq!(hex(&request.parent_span_id), "00f067aa0ba902b7");
    let jobs = of_kind(&spans, TRACE_ID, SpanKind::Consumer);
    let [job] = &jobs[..] else {
        panic!("its job is part of the trace: {jobs:?}")
    };
    assert_eq!(job.name, "jobs embed");
    assert_eq!(job.parent_span_id, request.span_id);
    let calls = of_kind(&spans, TRACE_ID, SpanKind::Client);
    let below = |parent: &Span| -> BTreeSet<&str> {
        let below = |span: &&Span| span.parent_span_id == parent.span_id;
        let below = calls.iter().filter(below);
        below.map(|span| span.name.as_str()).collect()
    };
    let of_request = below(request);
    assert!(
        of_request.contains("write traces/contribute"),
        "{of_request:?}"
    );
    let of_job = below(job);
    assert!(of_job.contains("write embeddings"), "{of_job:?}");
    let embedding = calls
        .iter()
        .find(|span| span.name.starts_with("embeddings "));
    let embedding = embedding.expect("the call of the endpoint is part of it");
    // The endpoint can go on where that call is.
    let sent = provider.traceparents().await;
    assert!(sent[0].contains(&hex(&embedding.span_id)), "{sent:?}");

    let all = format!("{:?}", collector.batches().await);
    assert!(all.contains("service.name") && all.contains("\"commontrace\""));
    for secret in [title, &user.key, crate::provider::KEY] {
        assert!(!all.contains(secret), "`{secret}` was exported");
    }
}

#[rstest]
#[case::in_memory(Sqlite, "read traces/read")]
#[case::in_the_database(Postgres, "read search/candidates")]
#[tokio::test]
async fn a_search_is_one_trace_with_its_statements(
    #[case] engine: Engine,
    #[case] statement: &str,
) {
    let collector = Collector::start().await;
    let place = collector.of(Place::on(engine).await);
    let server = place.serve().await;
    let user = server.user().await;
    contributes(&user, "the pod is evicted", "").await;
    let search = user.request(Method::POST, "/api/v1/traces/search");
    let search = search.header("traceparent", SENT);
    let query = serde_json::json!({ "q": "the pod is evicted" });
    let answer = search.json(&query).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{answer:?}");
    server.stop().await;
    let spans = collector.spans().await;
    let names = of_kind(&spans, TRACE_ID, SpanKind::Client);
    let names: Vec<_> = names.iter().map(|span| span.name.as_str()).collect();
    assert!(names.contains(&statement), "{names:?}");
}

#[rstest]
#[tokio::test]
async fn what_a_server_does_by_itself_and_the_questions_of_a_monitor_are_not_exported(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let collector = Collector::start().await;
    let place = collector.of(Place::on(engine).await);
    let place = place.with("COMMONTRACE_LOG", "debug");
    let server = place.serve().await;
    server.anyone().get("/health").await.ok();
    server.anyone().get("/metrics").await;
    server.user().await;
    server.stop().await;
    let spans = collector.spans().await;
    let roots = spans.iter().filter(|span| span.parent_span_id.is_empty());
    let roots: Vec<_> = roots.map(|span| span.name.as_str()).collect();
    assert_eq!(roots, ["POST /api/v1/keys"]);
}

#[tokio::test]
async fn what_is_not_sampled_by_the_caller_is_not_exported() {
    let collector = Collector::start().await;
    let place = collector.of(Place::new());
    let server = place.serve().await;
    let user = server.user().await;
    let unsampled = SENT.replace("-01", "-00");
    contributes(&user, "not sampled", &unsampled).await;
    server.stop().await;
    let spans = collector.spans().await;
    assert!(!spans.is_empty(), "others are exported");
    assert!(spans.iter().all(|span| hex(&span.trace_id) != TRACE_ID));
}

/// Uses a server whose collector is no use, and expects it to serve and to end as ever.
async fn serves_without_collector(endpoint: &str) {
    let place = Place::new()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .with("OTEL_BSP_SCHEDULE_DELAY", "20");
    let server = place.serve().await;
    let user: Client = server.user().await;
    for number in 0..20 {
        contributes(&user, &format!("contribution number {number}"), SENT).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_disturbs_nobody() {
    serves_without_collector("http://127.0.0.1:1").await;
    let hangs = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_secs(3600)))
        .mount(&hangs)
        .await;
    serves_without_collector(&hangs.uri()).await;
}

#[tokio::test]
async fn the_log_says_once_that_a_collector_refuses_and_once_that_it_takes_traces_again() {
    let server = MockServer::start().await;
    let refuses = ResponseTemplate::new(403).set_body_string("no");
    Mock::given(any())
        .respond_with(refuses)
        .up_to_n_times(3)
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let place = Collector(server).of(Place::new());
    let place = place.with("OTEL_BSP_SCHEDULE_DELAY", "20");
    let node = place.serve().await;
    until("it is well again", async || {
        node.anyone().get("/api/v1/tags").await;
        node.log().contains("traces are exported again")
    })
    .await;
    let log = node.stop().await;
    let told = log.matches("traces cannot be exported").count();
    assert_eq!(told, 1, "{log}");
}

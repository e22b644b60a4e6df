//! Errors as Sentry gets them.

use std::time::Duration;

use serde_json::Value;
use wiremock::matchers::{any, header, header_regex, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::client::until;
use crate::place::Place;
use crate::provider::KEY;

/// The address of a project on a server.
fn dsn(server: &MockServer) -> String {
    format!("http://public-key@{}/42", server.address())
}

/// A place whose embedding endpoint refuses every text, and repeats the key.
async fn place_where_texts_are_refused(endpoint: &MockServer) -> Place {
    let refused = ResponseTemplate::new(400).set_body_json(serde_json::json!({
        "error": { "message": format!("this text cannot be embedded with {KEY}") }
    }));
    Mock::given(any())
        .respond_with(refused)
        .mount(endpoint)
        .await;
    Place::new()
        .with("COMMONTRACE_IMPORT_SEEDS", "false")
        .with("EMBEDDING_PROVIDER", "openai")
        .with("OPENAI_BASE_URL", &endpoint.uri())
        .with("OPENAI_API_KEY", KEY)
        .with("EMBEDDING_DIMENSIONS", "64")
}

#[tokio::test]
async fn an_error_is_reported_as_an_envelope_without_text_keys_or_names() {
    let (sentry, endpoint) = (MockServer::start().await, MockServer::start().await);
    Mock::given(method("POST"))
        .and(path("/api/42/envelope/"))
        .and(header("content-type", "application/x-sentry-envelope"))
        .and(header_regex("x-sentry-auth", "sentry_key=public-key"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1..)
        .mount(&sentry)
        .await;
    let place = place_where_texts_are_refused(&endpoint).await;
    let place = place
        .with("SENTRY_DSN", &dsn(&sentry))
        .with("SENTRY_ENVIRONMENT", "rehearsal");
    let server = place.serve().await;
    let user = server.user().await;
    user.contributes("a title that is nobody's business").await;
    server.logs("will have no vector").await;
    // Whatever is in the queue is sent before the end.
    let log = server.stop().await;
    assert!(!log.contains("public-key"), "{log}");

    let requests = sentry.received_requests().await.unwrap();
    let envelope = String::from_utf8(requests[0].body.clone()).unwrap();
    let event = envelope.lines().nth(2).expect("header, item header, item");
    let event: Value = serde_json::from_str(event).unwrap();
    let message = event["message"].as_str().unwrap();
    assert!(message.contains("will have no vector"), "{message}");
    assert_eq!(event["environment"], "rehearsal");
    let release = concat!("commontrace@", env!("CARGO_PKG_VERSION"));
    assert_eq!(event["release"], release);
    for absent in ["server_name", "user", "request", "breadcrumbs", "modules"] {
        assert_eq!(event[absent], Value::Null, "{event}");
    }
    for secret in [KEY, &user.key, "nobody's business"] {
        assert!(!envelope.contains(secret), "`{secret}` is in {envelope}");
    }
}

#[tokio::test]
async fn a_sentry_that_hangs_disturbs_nobody_and_a_warning_is_not_reported() {
    let (sentry, endpoint) = (MockServer::start().await, MockServer::start().await);
    let never = ResponseTemplate::new(200).set_delay(Duration::from_secs(3600));
    Mock::given(any()).respond_with(never).mount(&sentry).await;
    let place = place_where_texts_are_refused(&endpoint).await;
    let place = place.with("SENTRY_DSN", &dsn(&sentry));
    let server = place.serve().await;
    let user = server.user().await;
    let found = user.search("the text is refused, so by words alone").await;
    assert_eq!(found["degraded"], true);
    user.contributes("the first error").await;
    until("it is reported", async || {
        !sentry.received_requests().await.unwrap().is_empty()
    })
    .await;
    // What is reported first is sent first.
    let first = sentry.received_requests().await.unwrap().swap_remove(0);
    let first = String::from_utf8(first.body).unwrap();
    assert!(first.contains("will have no vector"), "{first}");
    for number in 0..20 {
        user.contributes(&format!("error number {number}")).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_while_sentry_asks_for_a_pause() {
    let (sentry, endpoint) = (MockServer::start().await, MockServer::start().await);
    let pause = ResponseTemplate::new(429).insert_header("retry-after", "3600");
    Mock::given(any()).respond_with(pause).mount(&sentry).await;
    let place = place_where_texts_are_refused(&endpoint).await;
    let place = place.with("SENTRY_DSN", &dsn(&sentry));
    let server = place.serve().await;
    let user = server.user().await;
    user.contributes("the first error").await;
    until("it is reported", async || {
        !sentry.received_requests().await.unwrap().is_empty()
    })
    .await;
    user.contributes("another error").await;
    until("it is logged", async || {
        server.log().matches("will have no vector").count() == 2
    })
    .await;
    server.stop().await;
    assert_eq!(sentry.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_and_not_repeated() {
    let place = Place::new().with("SENTRY_DSN", "https://hunter2@nowhere");
    let ran = place.run(&["serve"]).await;
    ran.failed(1, &["SENTRY_DSN", "https://KEY@HOST/NUMBER"]);
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
}

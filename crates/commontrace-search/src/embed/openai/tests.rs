use std::sync::Mutex;

use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

fn embedder(server: &MockServer) -> OpenAi {
    // Fails only if one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().build().expect("a plain client");
    let quick = Patience {
        timeout: Duration::from_secs(5),
        retries: 2,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
    };
    let settings = OpenAiSettings {
        base_url: format!("{}/v1", server.uri()),
        api_key: Some("sk-test-key".into()),
        dimensions: 2,
        query: quick,
        batch: quick,
        ..OpenAiSettings::default()
    };
    OpenAi::new(settings, client).expect("valid settings")
}

fn inputs(request: &Request) -> Vec<String> {
    let body: Value = request.body_json().expect("a JSON body");
    serde_json::from_value(body["input"].clone()).expect("an array of texts")
}

/// Answers with a vector of direction (bytes of the text, 1), in reverse order.
fn lengths(request: &Request) -> ResponseTemplate {
    let items = inputs(request)
        .into_iter()
        .map(|text| text.len())
        .enumerate();
    let mut data: Vec<Value> = items
        .map(|(i, len)| json!({"index": i, "embedding": [len, 1]}))
        .collect();
    data.reverse();
    ResponseTemplate::new(200).set_body_json(json!({ "data": data }))
}

fn refuse(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error": {"message": message}}))
}

async fn answering(
    respond: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static,
) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/embeddings"))
        .respond_with(respond)
        .mount(&server)
        .await;
    server
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server
        .received_requests()
        .await
        .expect("requests are recorded")
}

/// The number of bytes of the text a vector stands for.
fn length(vector: &[f32]) -> usize {
    (vector[0] / vector[1]).round() as usize
}

#[tokio::test]
async fn a_query_is_sent_as_the_protocol_says_and_comes_back_at_unit_length() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/embeddings"))
        .and(header("authorization", "Bearer sk-test-key"))
        .and(body_partial_json(json!({
            "model": "text-embedding-3-small",
            "input": ["four"],
            "dimensions": 2,
            "encoding_format": "float",
        })))
        .respond_with(lengths)
        .expect(1)
        .mount(&server)
        .await;
    let vector = embedder(&server)
        .embed_query("four")
        .await
        .expect("it is answered");
    assert_eq!(length(&vector), 4);
    assert!((vector[0].hypot(vector[1]) - 1.0).abs() < 1e-6);
}

#[tokio::test]
async fn a_large_batch_is_split_and_keeps_its_order() {
    let server = answering(lengths).await;
    let texts: Vec<String> = (1..=150).map(|n| "x".repeat(n)).collect();
    let vectors = embedder(&server).embed_batch(texts).await;
    let found: Vec<usize> = vectors
        .iter()
        .map(|v| length(v.as_ref().expect("it is answered")))
        .collect();
    assert_eq!(found, (1..=150).collect::<Vec<_>>());
    let sizes: Vec<usize> = requests(&server)
        .await
        .iter()
        .map(|r| inputs(r).len())
        .collect();
    assert_eq!(sizes, [64, 64, 22]);
}

#[tokio::test]
async fn overload_is_waited_out() {
    let left = Mutex::new(vec![
        refuse(503, "starting"),
        refuse(429, "slow down").insert_header("retry-after", "1"),
    ]);
    let server = answering(move |request| {
        left.lock()
            .expect("not poisoned")
            .pop()
            .unwrap_or_else(|| lengths(request))
    })
    .await;
    let vector = embedder(&server)
        .embed_query("four")
        .await
        .expect("the third try succeeds");
    assert_eq!(length(&vector), 4);
}

#[tokio::test]
async fn lasting_overload_can_be_retried_later() {
    let server = answering(|_| refuse(500, "broken")).await;
    let error = embedder(&server)
        .embed_query("four")
        .await
        .expect_err("it never succeeds");
    assert!(!error.is_permanent(), "{error}");
    assert_eq!(requests(&server).await.len(), 3);
}

#[tokio::test]
async fn a_refused_text_does_not_fail_the_others() {
    let server = answering(|request| {
        if inputs(request).iter().any(|text| text == "bad") {
            refuse(400, "input is not allowed")
        } else {
            lengths(request)
        }
    })
    .await;
    let texts = ["one", "bad", "three"].map(str::to_owned).to_vec();
    let vectors = embedder(&server).embed_batch(texts).await;
    assert_eq!(length(vectors[0].as_ref().expect("a good text")), 3);
    assert!(
        vectors[1]
            .as_ref()
            .expect_err("the bad text")
            .is_permanent()
    );
    assert_eq!(length(vectors[2].as_ref().expect("a good text")), 5);
}

/// Refuses inputs of more than so many characters in the words of OpenAI's own service.
fn at_most(chars: usize) -> impl Fn(&Request) -> ResponseTemplate {
    move |request| {
        if inputs(request)
            .iter()
            .any(|text| text.chars().count() > chars)
        {
            refuse(
                400,
                "This model's maximum context length is 8192 tokens, however you requested 9000 tokens",
            )
        } else {
            lengths(request)
        }
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_is_cut() {
    let server = answering(at_most(10_000)).await;
    let texts = vec!["short".to_owned(), "é".repeat(50_000)];
    let vectors = embedder(&server).embed_batch(texts).await;
    assert_eq!(length(vectors[0].as_ref().expect("short enough")), 5);
    assert_eq!(
        length(vectors[1].as_ref().expect("cut until it fits")),
        2 * 8_000
    );
}

#[tokio::test]
async fn a_text_that_is_too_long_even_when_cut_fails_for_good() {
    let server = answering(at_most(100)).await;
    let error = embedder(&server)
        .embed_query(&"x".repeat(9_000))
        .await
        .expect_err("never fits");
    assert!(matches!(error, EmbedError::TooLong { .. }), "{error}");
    assert!(error.is_permanent());
}

#[tokio::test]
async fn a_model_of_fixed_length_is_asked_without_dimensions() {
    let server = answering(|request| {
        let body: Value = request.body_json().expect("a JSON body");
        if body.get("dimensions").is_some() {
            refuse(400, "Model does not support matryoshka representation")
        } else {
            lengths(request)
        }
    })
    .await;
    let embedder = embedder(&server);
    for _ in 0..2 {
        assert_eq!(
            length(&embedder.embed_query("four").await.expect("it is answered")),
            4
        );
    }
    assert_eq!(requests(&server).await.len(), 3, "the second query knows");
}

#[tokio::test]
async fn vectors_of_another_length_are_refused() {
    let server = answering(|_| {
        ResponseTemplate::new(200)
            .set_body_json(json!({"data": [{"index": 0, "embedding": [1, 2, 3]}]}))
    })
    .await;
    let error = embedder(&server)
        .embed_query("four")
        .await
        .expect_err("three dimensions");
    assert!(error.to_string().contains('3'), "{error}");
    assert!(
        !error.is_permanent(),
        "the settings are wrong, not the text"
    );
}

/// As from a gateway that shows a page of its own while the endpoint behind it is away.
#[tokio::test]
async fn an_answer_that_makes_no_sense_can_be_retried_later() {
    for answer in [
        "<html>back soon</html>",
        r#"{"data": []}"#,
        r#"{"data": [{"index": 0, "embedding": null}]}"#,
        r#"{"data": [{"index": 0, "embedding": [0, 0]}]}"#,
    ] {
        let server = answering(move |_| ResponseTemplate::new(200).set_body_string(answer)).await;
        let error = embedder(&server)
            .embed_query("four")
            .await
            .expect_err("it is no vector");
        assert!(
            matches!(error, EmbedError::BadAnswer(_)),
            "{answer}: {error}"
        );
        assert!(!error.is_permanent(), "{answer}: {error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let server =
        answering(|_| ResponseTemplate::new(200).set_body_bytes(vec![b' '; 40 << 20])).await;
    let error = embedder(&server)
        .embed_query("four")
        .await
        .expect_err("it is no vector");
    assert!(error.to_string().contains("more than 32 MiB"), "{error}");
}

#[tokio::test]
async fn a_wrong_key_is_reported_without_showing_it() {
    let server = answering(|_| refuse(401, "Incorrect API key provided: sk-test-key.")).await;
    let embedder = embedder(&server);
    let error = embedder
        .embed_query("four")
        .await
        .expect_err("access is denied");
    assert!(
        !error.is_permanent(),
        "the text would succeed with the right key"
    );
    assert_eq!(
        requests(&server).await.len(),
        1,
        "asking again is pointless"
    );
    for shown in [
        error.to_string(),
        format!("{error:?}"),
        format!("{embedder:?}"),
    ] {
        assert!(!shown.contains("sk-test-key"), "{shown}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_down_can_be_retried_later() {
    let server = answering(lengths).await;
    let mut settings = embedder(&server).inner.settings.clone();
    settings.base_url = "http://user:secret@127.0.0.1:1/v1?token=secret".to_owned();
    let embedder = OpenAi::new(settings, embedder(&server).inner.client.clone()).expect("valid");
    let error = embedder
        .embed_query("four")
        .await
        .expect_err("nobody listens");
    assert!(!error.is_permanent(), "{error}");
    let shown = format!("{error} {error:?} {embedder:?}");
    assert!(
        shown.contains("http://127.0.0.1:1/v1/embeddings"),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
}

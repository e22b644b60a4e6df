use serde_json::json;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

const KEY: &str = "sk-judge-key-1234567890";

fn prompt() -> Prompt {
    Prompt {
        system: "the rules".to_owned(),
        user: "the data".to_owned(),
        schema: json!({"type": "object"}),
    }
}

fn remote(
    server: &MockServer,
    kind: Kind,
    base: &str,
    change: impl FnOnce(&mut Settings),
) -> Remote {
    // Fails only if one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut settings = Settings::new(kind, format!("{}{base}", server.uri()), "judge-model");
    settings.api_key = Some(KEY.into());
    change(&mut settings);
    Remote::new(settings, reqwest::Client::builder()).expect("valid settings")
}

async fn answering(
    at: &str,
    respond: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static,
) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(at))
        .respond_with(respond)
        .mount(&server)
        .await;
    server
}

fn json_answer(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

async fn bodies(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.expect("recorded");
    requests
        .iter()
        .map(|request| request.body_json().expect("JSON"))
        .collect()
}

fn openai_answer() -> Value {
    json!({
        "model": "judge-model-2026", "choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3},
    })
}

#[tokio::test]
async fn openai_is_asked_for_a_strict_schema_and_sampling_is_left_to_the_service() {
    let server = answering("/v1/chat/completions", |_| json_answer(&openai_answer())).await;
    let answer = remote(&server, Kind::OpenAi, "/v1", |_| {})
        .ask(&prompt())
        .await
        .expect("an answer");
    assert_eq!(
        (answer.text.as_str(), answer.tokens),
        (
            "{}",
            Tokens {
                input: 11,
                output: 3
            }
        )
    );
    assert_eq!(answer.model.as_deref(), Some("judge-model-2026"));
    let body = &bodies(&server).await[0];
    assert_eq!(body["response_format"]["json_schema"]["strict"], true);
    assert_eq!(
        body["response_format"]["json_schema"]["schema"],
        json!({"type": "object"})
    );
    assert_eq!(
        body["messages"][0],
        json!({"role": "system", "content": "the rules"})
    );
    for unset in ["temperature", "top_p", "seed"] {
        assert!(body.get(unset).is_none(), "{unset}");
    }
    assert_eq!(
        answer.sent,
        json!({"model": "judge-model", "max_completion_tokens": 8_192, "response_format": "json_schema"})
    );
}

#[tokio::test]
async fn a_refused_parameter_is_left_out_and_what_was_sent_is_told() {
    let server = answering("/v1/chat/completions", |request| {
        let body: Value = request.body_json().expect("JSON");
        if body.get("response_format").is_some() {
            let message =
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported.";
            return ResponseTemplate::new(400)
                .set_body_json(json!({"error": {"message": message}}));
        }
        json_answer(&openai_answer())
    })
    .await;
    let remote = remote(&server, Kind::OpenAi, "/v1/", |_| {});
    for _ in 0..2 {
        let answer = remote.ask(&prompt()).await.expect("an answer");
        assert_eq!(answer.sent.get("response_format"), None);
        assert_eq!(answer.sent["max_completion_tokens"], 8_192);
    }
    // It is not tried again with the next question.
    assert_eq!(bodies(&server).await.len(), 3);
}

#[tokio::test]
async fn an_older_server_is_asked_with_the_older_limit() {
    let server = answering("/chat/completions", |request| {
        let body: Value = request.body_json().expect("JSON");
        if body.get("max_completion_tokens").is_some() {
            return ResponseTemplate::new(422)
                .set_body_json(json!({"detail": "unknown field max_completion_tokens"}));
        }
        json_answer(&openai_answer())
    })
    .await;
    let answer = remote(&server, Kind::OpenAi, "", |_| {})
        .ask(&prompt())
        .await
        .expect("an answer");
    assert_eq!(answer.sent["max_tokens"], 8_192);
}

#[tokio::test]
async fn anthropic_has_the_rules_at_the_top_and_its_key_in_its_own_header() {
    let body = json!({
        "model": "judge-model", "stop_reason": "end_turn", "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 2},
        "content": [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "{\"a\": 1}"}],
    });
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/messages"))
        .and(header("x-api-key", KEY))
        .and(header("anthropic-version", "2023-06-01"))
        .respond_with(json_answer(&body))
        .mount(&server)
        .await;
    for base in ["", "/v1"] {
        let remote = remote(&server, Kind::Anthropic, base, |_| {});
        let answer = remote.ask(&prompt()).await.expect("an answer");
        assert_eq!(
            (answer.text.as_str(), answer.tokens),
            (
                "{\"a\": 1}",
                Tokens {
                    input: 9,
                    output: 2
                }
            )
        );
    }
    let sent = &bodies(&server).await[0];
    assert_eq!(sent["system"], "the rules");
    assert_eq!(sent["output_config"]["format"]["type"], "json_schema");
    let requests = server.received_requests().await.expect("recorded");
    assert!(
        requests
            .iter()
            .all(|request| !request.headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn ollama_is_given_room_and_a_prompt_that_it_cut_is_seen() {
    let server = answering("/api/chat", |request| {
        let body: Value = request.body_json().expect("JSON");
        let count = body["messages"][1]["content"].as_str().map_or(0, str::len) / 4;
        let read = count.min(500);
        json_answer(&json!({"model": "m", "message": {"content": "{}"}, "done_reason": "stop", "prompt_eval_count": read, "eval_count": 2}))
    })
    .await;
    let remote = remote(&server, Kind::Ollama, "", |_| {});
    remote.ask(&prompt()).await.expect("an answer");
    let sent = &bodies(&server).await[0];
    assert_eq!(sent["options"]["num_ctx"], 49_152);
    assert_eq!(sent["stream"], false);
    assert_eq!(sent["format"], json!({"type": "object"}));
    let long = |bytes: usize| Prompt {
        user: "word ".repeat(bytes / 5),
        ..prompt()
    };
    let cut = remote.ask(&long(100_000)).await.expect_err("it was cut");
    assert_eq!(cut.reason, Reason::BudgetExceeded);
    assert!(cut.message.contains("JUDGE_MODEL"), "{}", cut.message);
    // What cannot fit is not even sent.
    let sent = bodies(&server).await.len();
    remote.ask(&long(1_000_000)).await.expect_err("too long");
    assert_eq!(bodies(&server).await.len(), sent);
}

#[tokio::test]
async fn refusals_are_told_apart_and_no_message_shows_the_key() {
    for (status, reason) in [
        (401, Reason::Refused),
        (404, Reason::Refused),
        (400, Reason::Refused),
        (408, Reason::Timeout),
        (429, Reason::RateLimited),
        (500, Reason::Unreachable),
        (302, Reason::Refused),
    ] {
        let server = answering("/chat/completions", move |_| {
            ResponseTemplate::new(status)
                .insert_header("retry-after", "7")
                .insert_header("location", "http://127.0.0.1:1/elsewhere")
                .set_body_json(json!({"error": {"message": format!("bad key {KEY}\u{1b}[31m")}}))
        })
        .await;
        let remote = remote(&server, Kind::OpenAi, "", |_| {});
        let failure = remote.ask(&prompt()).await.expect_err("a refusal");
        assert_eq!(failure.reason, reason, "{status}");
        assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
        let shown = format!("{failure:?} {failure} {remote:?}");
        assert!(!shown.contains(KEY) && shown.contains("[key]"), "{shown}");
        assert_eq!(server.received_requests().await.expect("recorded").len(), 1);
    }
}

#[tokio::test]
async fn answers_that_are_none_are_failures() {
    let cases = [
        (
            json!({"choices": [{"message": {"content": null, "refusal": "I will not"}}]}),
            Reason::Refused,
        ),
        (
            json!({"choices": [{"message": {"content": "{"}, "finish_reason": "length"}]}),
            Reason::SchemaInvalid,
        ),
        (
            json!({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}),
            Reason::Refused,
        ),
        (json!({"choices": []}), Reason::SchemaInvalid),
        (json!([]), Reason::SchemaInvalid),
    ];
    for (body, reason) in cases {
        let server = answering("/chat/completions", move |_| json_answer(&body)).await;
        let failure = remote(&server, Kind::OpenAi, "", |_| {})
            .ask(&prompt())
            .await
            .expect_err("a failure");
        assert_eq!(failure.reason, reason, "{failure}");
    }
    let server = answering("/chat/completions", |_| {
        ResponseTemplate::new(200).set_body_string("<html>")
    })
    .await;
    let failure = remote(&server, Kind::OpenAi, "", |_| {})
        .ask(&prompt())
        .await
        .expect_err("a failure");
    assert_eq!(failure.reason, Reason::Unreachable);
    let server = answering("/chat/completions", |_| {
        ResponseTemplate::new(200).set_body_bytes(vec![b' '; (4 << 20) + 1])
    })
    .await;
    let failure = remote(&server, Kind::OpenAi, "", |_| {})
        .ask(&prompt())
        .await
        .expect_err("a failure");
    assert_eq!(failure.reason, Reason::SchemaInvalid);
}

#[tokio::test]
async fn a_service_that_is_away_or_slow_is_said_to_be_so() {
    let server = answering("/chat/completions", |_| {
        json_answer(&openai_answer()).set_delay(Duration::from_secs(60))
    })
    .await;
    let slow = remote(&server, Kind::OpenAi, "", |settings| {
        settings.timeout = Duration::from_millis(50);
    });
    assert_eq!(
        slow.ask(&prompt()).await.expect_err("no answer").reason,
        Reason::Timeout
    );
    let away = remote(&server, Kind::OpenAi, "", |settings| {
        settings.base_url = "http://user:pass@127.0.0.1:1/v1?token=x".to_owned();
    });
    let failure = away.ask(&prompt()).await.expect_err("no answer");
    assert_eq!(failure.reason, Reason::Unreachable);
    assert!(
        !failure.message.contains("pass") && !failure.message.contains("token"),
        "{failure}"
    );
}

#[test]
fn settings_that_cannot_be_meant_are_refused_and_secrets_are_not_shown() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (base, model, key) in [
        ("ftp://x", "m", KEY),
        ("no address", "m", KEY),
        ("http://127.0.0.1", " ", KEY),
        ("http://127.0.0.1", "m", "two\nlines"),
    ] {
        let mut settings = Settings::new(Kind::OpenAi, base, model);
        settings.api_key = Some(key.into());
        let error = Remote::new(settings, reqwest::Client::builder()).expect_err("refused");
        assert!(!error.to_string().contains(key), "{error}");
    }
    let mut settings = Settings::new(Kind::OpenAi, "http://user:pass@127.0.0.1", "m");
    settings.api_key = Some(KEY.into());
    let shown = format!("{settings:?}");
    assert!(!shown.contains("pass") && !shown.contains(KEY), "{shown}");
}

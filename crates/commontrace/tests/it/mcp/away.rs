//! Servers that do not answer as hoped: the agent learns what happened and goes on.

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::agent::Agent;
use crate::client::a_trace;
use crate::place::Place;

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// A place whose own store is empty, so that what is told comes from the server.
fn using(server: &MockServer) -> Place {
    Place::new()
        .with("COMMONTRACE_IMPORT_SEEDS", "false")
        .with("COMMONTRACE_API_BASE_URL", &server.uri())
        .with("COMMONTRACE_API_KEY", "the-key")
}

async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let place = Place::new().with("COMMONTRACE_API_BASE_URL", &format!("http://{address}"));
    let mut agent = Agent::connect(&place).await;
    let told = agent.refused("get_trace", json!({ "trace_id": ID })).await;
    assert!(
        told.starts_with(&format!(
            "[CommonTrace timeout] No server answers at http://{address} "
        )),
        "{told}"
    );
}

#[tokio::test]
async fn a_key_that_is_refused_is_the_users_affair() {
    let server = Place::new().serve().await;
    let url = format!("http://{}", server.address);
    let place = Place::new().with("COMMONTRACE_API_BASE_URL", &url);
    let mut agent = Agent::connect(&place).await;
    let told = agent.refused("get_trace", json!({ "trace_id": ID })).await;
    assert!(
        told.starts_with("[CommonTrace error] Not authenticated")
            && told.contains("(HTTP 401). The key in COMMONTRACE_API_KEY"),
        "{told}"
    );
    let place = place.with("COMMONTRACE_API_KEY", "wrong-key");
    let mut agent = Agent::connect(&place).await;
    let told = agent.refused("get_trace", json!({ "trace_id": ID })).await;
    assert!(
        told.starts_with("[CommonTrace error] Invalid API key (HTTP 401)"),
        "{told}"
    );
    let told = agent
        .told(
            "search_traces",
            json!({ "query": "externally-managed-environment" }),
        )
        .await;
    assert!(
        told.contains("From: this machine")
            && told.contains("was not searched: Invalid API key (HTTP 401)"),
        "{told}"
    );
    let (_, _, log) = agent.leave().await;
    assert!(!log.contains("wrong-key"), "{log}");
    server.stop().await;
}

#[tokio::test]
async fn too_many_requests_are_told_with_the_wait() {
    let server = Place::new()
        .with("RATE_LIMIT_READ_PER_MINUTE", "1")
        .serve()
        .await;
    let key = server.user().await.key;
    let place = Place::new()
        .with(
            "COMMONTRACE_API_BASE_URL",
            &format!("http://{}", server.address),
        )
        .with("COMMONTRACE_API_KEY", &key);
    let mut agent = Agent::connect(&place).await;
    agent.refused("get_trace", json!({ "trace_id": ID })).await;
    let told = agent.refused("get_trace", json!({ "trace_id": ID })).await;
    assert!(
        told.contains("(HTTP 429). Call again in ") && told.contains(" seconds, not before."),
        "{told}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_server_elsewhere_is_not_asked_without_a_key() {
    let place = Place::new().with("COMMONTRACE_API_BASE_URL", "https://commons.invalid");
    let mut agent = Agent::connect(&place).await;
    let told = agent.refused("get_trace", json!({ "trace_id": ID })).await;
    assert!(told.starts_with("[CommonTrace error] There is no API key for https://commons.invalid. `commontrace remote add"), "{told}");
}

#[tokio::test]
async fn a_key_in_the_settings_file_stays_with_its_server_and_should_be_ones_own() {
    let server = answering(ResponseTemplate::new(200).set_body_json(json!({ "tags": [] }))).await;
    let place = Place::new();
    place.settings("[remote]\napi_base_url = 'https://commons.example'\napi_key = 'kept-key'\n");
    let place = place.with("COMMONTRACE_API_BASE_URL", &server.uri());
    let mut agent = Agent::connect(&place).await;
    agent.told("list_tags", json!({})).await;
    let (_, _, log) = agent.leave().await;
    assert!(log.contains("others may read it: `chmod 600 "), "{log}");
    assert!(
        log.contains("is not sent to http://127.0.0.1:") && !log.contains("kept-key"),
        "{log}"
    );
    let requests = server.received_requests().await.unwrap();
    assert!(
        requests
            .iter()
            .all(|request| !request.headers.contains_key("x-api-key"))
    );
}

#[tokio::test]
async fn an_address_that_would_carry_the_key_in_the_clear_is_refused_at_the_start() {
    let place = Place::new().with("COMMONTRACE_API_BASE_URL", "http://commons.example");
    place
        .run(&["mcp"])
        .await
        .failed(2, &["api_base_url", "https://"]);
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_after_five_calls() {
    let server = answering(ResponseTemplate::new(503).insert_header("retry-after", "9")).await;
    let place = using(&server);
    let mut agent = Agent::connect(&place).await;
    let vote = json!({ "trace_id": ID, "vote_type": "up" });
    for _ in 0..5 {
        let told = agent.refused("vote_trace", vote.clone()).await;
        assert!(
            told.starts_with("[CommonTrace timeout] the server cannot answer now (HTTP 503).")
                && told.contains("in 9 seconds"),
            "{told}"
        );
    }
    for _ in 0..3 {
        let told = agent.refused("vote_trace", vote.clone()).await;
        assert!(told.starts_with("[CommonTrace unavailable] "), "{told}");
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_takes_no_key_elsewhere() {
    let elsewhere = answering(ResponseTemplate::new(200)).await;
    let server =
        answering(ResponseTemplate::new(307).insert_header("location", elsewhere.uri())).await;
    let place = using(&server);
    let mut agent = Agent::connect(&place).await;
    let told = agent.refused("get_trace", json!({ "trace_id": ID })).await;
    assert!(
        told.contains("(HTTP 307). The server sends elsewhere"),
        "{told}"
    );
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_none_of_this_api_is_told() {
    let server = answering(ResponseTemplate::new(200).set_body_string("<html>")).await;
    let place = using(&server);
    let mut agent = Agent::connect(&place).await;
    let told = agent.refused("get_trace", json!({ "trace_id": ID })).await;
    assert!(
        told.contains("COMMONTRACE_API_BASE_URL names a CommonTrace server"),
        "{told}"
    );
}

#[tokio::test]
async fn a_contribution_is_sent_again_under_the_same_name_and_a_vote_is_not() {
    let server = MockServer::start().await;
    let contributing = || Mock::given(method("POST")).and(path("/api/v1/traces"));
    contributing()
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let done = json!({ "id": ID, "status": "pending", "message": "" });
    contributing()
        .respond_with(ResponseTemplate::new(202).set_body_json(done))
        .mount(&server)
        .await;
    Mock::given(path(format!("/api/v1/traces/{ID}/votes")))
        .respond_with(ResponseTemplate::new(503))
        .expect(1)
        .mount(&server)
        .await;
    let place = using(&server);
    let mut agent = Agent::connect(&place).await;
    let told = agent
        .told("contribute_trace", a_trace("gadget fails"))
        .await;
    assert!(told.contains(ID), "{told}");
    agent
        .refused("vote_trace", json!({ "trace_id": ID, "vote_type": "up" }))
        .await;
    let requests = server.received_requests().await.unwrap();
    let names: Vec<_> = requests
        .iter()
        .filter_map(|request| request.headers.get("idempotency-key"))
        .collect();
    assert_eq!(names.len(), 2);
    assert_eq!(names[0], names[1]);
    assert!(
        requests
            .iter()
            .all(|request| request.headers["x-api-key"] == "the-key")
    );
}

#[tokio::test]
async fn what_only_reads_is_sent_a_second_time() {
    let server = MockServer::start().await;
    let listing = || Mock::given(method("GET")).and(path("/api/v1/tags"));
    let busy = listing().respond_with(ResponseTemplate::new(502));
    busy.up_to_n_times(1).mount(&server).await;
    let tags = json!({ "tags": ["git"] });
    let list = listing().respond_with(ResponseTemplate::new(200).set_body_json(tags));
    list.mount(&server).await;
    let place = using(&server);
    let mut agent = Agent::connect(&place).await;
    assert_eq!(agent.told("list_tags", json!({})).await, "1 tag:\ngit");
}

#[tokio::test]
async fn no_secret_leaves_the_machine_wherever_the_query_is_cut() {
    let empty = json!({ "results": [], "total": 0 });
    let server = answering(ResponseTemplate::new(200).set_body_json(empty)).await;
    let place = using(&server);
    let mut agent = Agent::connect(&place).await;
    let token = format!("ghp_{}", "aB3dE6gH9kLmN2pQ5sTvW8xYzA1cF4iJ7oR0");
    for before in [0, 960, 980, 990] {
        let query = format!("{} {token} was refused", "x ".repeat(before / 2));
        let given = json!({ "query": query, "tags": ["git"], "context": { "environment": token } });
        agent.told("search_traces", given).await;
    }
    for request in server.received_requests().await.unwrap() {
        let body = String::from_utf8(request.body).unwrap();
        assert!(!body.contains("ghp_aB3"), "{body}");
    }
}

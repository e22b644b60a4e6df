//! A server is killed while it examines sessions, in each state but `running`, which is in `verifying`: it
//! goes on after its next start, ends with one verdict, and leaves nothing behind.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::client::Client;
use crate::place::{DEADLINE, LOOK_AGAIN, Place};
use crate::verifying::{
    RIGHT, finalize, has_ended, is_running, place_for, record, record_of, repository, run_until,
};

#[tokio::test]
async fn a_server_that_is_killed_while_it_fetches_goes_on_with_that_run_and_with_those_that_wait() {
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/silent", silent.local_addr().unwrap());
    let place = place_for(Place::new())
        .with("COMMONTRACE_VERIFY_PROTOCOLS", "file,https")
        // The second run waits for the first.
        .with("COMMONTRACE_VERIFY_PARALLEL", "1");
    let repository = repository(&place, RIGHT, "0").await;
    let server = place.serve().await;
    let ada = server.user().await;
    let fetching = record_of(&ada, &url, &repository).await;
    let waiting = record(&ada, &place, &repository).await;
    let first = finalize(&ada, &fetching, "repeats=1").await;
    run_until(&ada, &first, |run| {
        run["state"] == "preparing" && is_running(&url)
    })
    .await;
    let second = finalize(&ada, &waiting, "repeats=1").await;
    assert_eq!(ada.get(&second).await.ok()["state"], "queued");
    server.kill().await;
    timeout(DEADLINE, async {
        while is_running(&url) {
            sleep(LOOK_AGAIN).await;
        }
    })
    .await
    .expect("git ends with its server");
    drop(silent);
    let again = place.serve().await;
    let ada = again.anyone().with_key(&ada.key);
    let ended = run_until(&ada, &first, has_ended).await;
    let verification = &ended["verdict"]["verdict"]["verification"];
    assert_eq!(verification["reason"], "clone_failed", "{ended}");
    let ended = run_until(&ada, &second, has_ended).await;
    let verification = &ended["verdict"]["verdict"]["verification"];
    assert_eq!(verification["status"], "verified", "{ended}");
    for id in [&fetching, &waiting] {
        assert_eq!(runs(&ada, id).await.len(), 1);
    }
    again.stop().await;
    assert_nothing_left(&place);
}

#[tokio::test]
async fn a_server_that_is_killed_while_a_model_judges_asks_it_again_and_keeps_what_it_cost() {
    let model = MockServer::start().await;
    let slow = |_: &Request| answer().set_delay(Duration::from_secs(600));
    Mock::given(method("POST"))
        .respond_with(slow)
        .mount(&model)
        .await;
    let place = place_for(Place::new())
        .with("JUDGE_PROVIDER", "openai")
        .with("JUDGE_BASE_URL", &model.uri())
        .with("JUDGE_MODEL", "m")
        .with("JUDGE_SAMPLES", "2")
        .with("JUDGE_PRICE_INPUT", "10")
        .with("JUDGE_PRICE_OUTPUT", "100");
    let repository = repository(&place, RIGHT, "0").await;
    let server = place.serve().await;
    let ada = server.user().await;
    let id = record(&ada, &place, &repository).await;
    let run = finalize(&ada, &id, "repeats=1").await;
    run_until(&ada, &run, |run| run["state"] == "judging").await;
    timeout(DEADLINE, async {
        while model.received_requests().await.unwrap().is_empty() {
            sleep(LOOK_AGAIN).await;
        }
    })
    .await
    .expect("the model is asked");
    server.kill().await;
    model.reset().await;
    Mock::given(method("POST"))
        .respond_with(|_: &Request| answer())
        .mount(&model)
        .await;
    let again = place.serve().await;
    let ada = again.anyone().with_key(&ada.key);
    let ended = run_until(&ada, &run, has_ended).await;
    assert_eq!(ended["state"], "done", "{ended}");
    let verdict = &ended["verdict"]["verdict"];
    assert_eq!(verdict["verification"]["status"], "verified");
    assert_eq!(verdict["score"], 0.9, "{verdict}");
    let asked = &verdict["judge"]["asked"];
    // Two samples with the reasoning and two without, of 1,000 and 100 tokens each.
    assert_eq!(asked["samples"].as_array().unwrap().len(), 4, "{asked}");
    assert_eq!(asked["cost"], 0.08);
    assert_eq!(
        verdict["about"],
        json!({
            "repository": place.path("adder"), "commit_before": repository.base,
            "commit_after": repository.fix, "fix": "commit",
        })
    );
    assert_eq!(runs(&ada, &id).await.len(), 1);
    again.stop().await;
    assert_nothing_left(&place);
}

#[tokio::test]
async fn one_price_without_the_other_is_refused() {
    let place = Place::new().with("JUDGE_PRICE_INPUT", "10");
    let ran = place.run(&["serve"]).await;
    ran.failed_with_hint(1, &["JUDGE_PRICE_INPUT", "JUDGE_PRICE_OUTPUT"]);
}

/// What a model says that finds everything good.
fn answer() -> ResponseTemplate {
    let dimensions = [
        "reproduction",
        "hypotheses",
        "evidence_use",
        "experiment_loop",
        "root_cause",
        "verification",
        "honesty",
    ];
    let score = json!({
        "level": 3, "why": "the test passed after the edit",
        "evidence": [{"event": "e3", "quote": "ok 1 - adds"}],
    });
    let scores = dimensions.map(|name| (name.to_owned(), score.clone()));
    let text = json!({"dimensions": serde_json::Map::from_iter(scores)}).to_string();
    ResponseTemplate::new(200).set_body_json(json!({
        "model": "m-1", "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 100},
    }))
}

async fn runs(client: &Client, id: &str) -> Vec<Value> {
    let runs = client.get(&format!("/traces/{id}/runs")).await.ok();
    runs["runs"].as_array().unwrap().clone()
}

/// No mount and no folder of a run is left.
fn assert_nothing_left(place: &Place) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let data = place.data_dir();
    assert!(!mounts.contains(data.to_str().unwrap()), "{mounts}");
    let left = std::fs::read_dir(data.join("verify")).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name());
    let work: Vec<_> = names
        .filter(|name| name.to_string_lossy().starts_with("work-"))
        .collect();
    assert!(work.is_empty(), "{work:?}");
}

//! From recorded events to a signed verdict, with a model behind HTTP.

use chrono::{DateTime, Utc};
use commontrace_judge::checks::{self, Name, Status};
use commontrace_judge::deterministic::{self, Reason};
use commontrace_judge::endpoint::{Kind, Remote, Settings};
use commontrace_judge::facts::Facts;
use commontrace_judge::judge::{Asking, Case, World, judge};
use commontrace_judge::judged::Judged;
use commontrace_judge::pack::{Limits, Pack};
use commontrace_judge::rubric::Dimension;
use commontrace_judge::sign::{Chain, SigningKey, check_signature, sign};
use commontrace_judge::verdict::{QaResults, Verification, VerificationStatus, qa_results};
use commontrace_session::Event;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

fn session() -> Vec<Event> {
    let bodies = [
        json!({"event_type": "user_message", "actor": "human", "data": {"content": "total() in src/cart.py is too low"}}),
        json!({"event_type": "terminal_command", "data": {"command": "pytest tests/test_cart.py", "exit_code": 1,
            "output": "FAILED tests/test_cart.py::test_total - assert 3 == 4\n1 failed in 0.31s"}}),
        json!({"event_type": "file_open", "data": {"file_path": "src/cart.py"}}),
        json!({"event_type": "code_edit", "data": {"file_path": "src/cart.py",
            "diff": "--- a/src/cart.py\n+++ b/src/cart.py\n@@ -3 +3 @@\n-for i in items[:-1]:\n+for i in items:\n"}}),
        json!({"event_type": "terminal_command", "data": {"command": "pytest", "exit_code": 0, "output": "120 passed in 2.50s"}}),
        json!({"event_type": "reasoning_step", "data": {"content": "Fixed: the loop left the last item out. All tests pass."}}),
    ];
    let numbered = bodies.into_iter().enumerate().map(|(at, mut body)| {
        body["id"] = json!(format!("id-{at}"));
        serde_json::from_value(body).expect("an event")
    });
    numbered.collect()
}

/// A model that finds everything good, and a little less good where no words are shown.
fn model(request: &Request) -> ResponseTemplate {
    let body: Value = request.body_json().expect("JSON");
    let shown = body["messages"][1]["content"].as_str().unwrap_or("");
    let level = if shown.contains("the loop left the last item out") {
        4
    } else {
        3
    };
    let scores = Dimension::ALL.map(|dimension| {
        let evidence = json!([{"event": "e5", "quote": "120 passed in 2.50s"}]);
        let score =
            json!({"level": level, "why": "the suite passed after the edit", "evidence": evidence});
        (dimension.name().to_owned(), score)
    });
    let text = json!({"dimensions": serde_json::Map::from_iter(scores)}).to_string();
    ResponseTemplate::new(200).set_body_json(json!({
        "model": "m-1", "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }))
}

async fn judged(events: &[Event], base_url: &str) -> Judged {
    // Fails only if one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings::new(Kind::OpenAi, base_url, "m");
    let endpoint = Remote::new(settings, reqwest::Client::builder()).expect("valid settings");
    let facts = Facts::read(events, "pytest");
    let checks = checks::all(&facts);
    let [pack, without_reasoning] =
        [true, false].map(|with| Pack::new(&facts, &checks, &[], Limits::default(), with));
    let case = Case {
        pack: &pack,
        without_reasoning: &without_reasoning,
        events_through_seq: Some(6),
    };
    let world = World {
        now: &|| DateTime::<Utc>::UNIX_EPOCH,
        random: &|| [7; 16],
        cancelled: &CancellationToken::new(),
    };
    let asking = Asking {
        pause: std::time::Duration::ZERO,
        ..Asking::default()
    };
    judge(&endpoint, &asking, case, world).await
}

fn results(events: &[Event], judged: Judged) -> QaResults {
    let facts = Facts::read(events, "pytest");
    let checks = checks::all(&facts);
    let computed = deterministic::levels(&facts, &checks);
    let verification = Verification {
        status: VerificationStatus::Verified,
        regressed: false,
        tests_passed: Some(true),
        test_exit_code: Some(0),
        test_output: Some("120 passed in 2.50s".to_owned()),
        detail: json!({"counts": {"fail_to_pass": 1, "pass_to_pass": 119}}),
    };
    qa_results(verification, judged, computed, checks, Some(6))
}

#[tokio::test]
async fn a_verified_and_judged_session_has_one_signed_score() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .respond_with(model)
        .mount(&server)
        .await;
    let events = session();
    let results = results(
        &events,
        judged(&events, &format!("{}/v1", server.uri())).await,
    );
    assert!(
        results
            .checks
            .iter()
            .all(|check| check.status == Status::Pass),
        "{:?}",
        results.checks
    );
    assert_eq!(
        (results.score, results.reasoning_score),
        (Some(1.0), Some(5.0))
    );
    assert_eq!(results.judge.judged.gap, Some(1.0));
    assert_eq!(results.judge.judged.dimensions[0].event_ids, ["id-4"]);
    assert_eq!(
        (
            results.coverage.samples_valid,
            results.coverage.dimensions_judged
        ),
        (3, 7)
    );
    assert!(results.flags.is_empty() && results.coverage.not_judged.is_empty());

    let key = SigningKey::from_seed(&[1; 32]).expect("a key");
    let verdict = serde_json::to_value(&results).expect("JSON");
    let signed = sign(&key, verdict, Chain::over(&events).record());
    assert!(check_signature(&signed, &key.public()).is_ok());
    assert_eq!(signed.chain.check(&events), Ok(0));
}

#[tokio::test]
async fn a_judge_that_is_away_costs_its_half_and_the_tests_stay() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(503))
        .mount(&server)
        .await;
    let events = session();
    let results = results(&events, judged(&events, &server.uri()).await);
    assert_eq!(results.tests_passed, Some(true));
    assert_eq!((results.score, results.reasoning_score), (None, None));
    assert_eq!(results.coverage.not_judged.len(), 7);
    assert!(
        results
            .coverage
            .not_judged
            .iter()
            .all(|missing| missing.reason == Reason::Unreachable)
    );
    assert_eq!(
        checks::status(&results.checks, Name::RedBeforeFix),
        Status::Pass
    );
}

//! Votes, status and reputation.

use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::json;

use crate::actors::TestApp;

#[rstest]
#[tokio::test]
async fn two_up_votes_validate_and_a_down_vote_demotes(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let trace = ada.contributes("a healthcheck").await;
    let standing = async |vote: &str| {
        let voter = app.user("voter").await;
        voter.votes(&trace, vote).await.ok()["standing"]["status"].clone()
    };
    assert_eq!(standing("up").await, "pending");
    assert_eq!(standing("up").await, "validated");
    assert_eq!(standing("down").await, "pending");
    assert_eq!(ada.reads(&trace).await["status"], "pending");
}

#[rstest]
#[tokio::test]
async fn one_account_votes_once_and_never_for_itself(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    ada.votes(&trace, "up").await.refused(403);
    let vote = bob.votes(&trace, "up").await;
    assert_eq!(vote.status, 201);
    assert_eq!(vote.json["trace_id"], trace.as_str());
    assert_eq!(vote.json["voter_id"], bob.id.as_str());
    bob.votes(&trace, "down").await.refused(409);
    assert_eq!(ada.reads(&trace).await["up_votes"], 1);
    bob.votes("00000000-0000-4000-8000-0000000fffff", "up")
        .await
        .refused(404);
}

#[rstest]
#[tokio::test]
async fn a_down_vote_needs_a_reason(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let path = format!(
        "/api/v1/traces/{}/votes",
        ada.contributes("a healthcheck").await
    );
    for body in [
        json!({ "vote_type": "down" }),
        json!({ "vote_type": "down", "feedback_tag": "boring" }),
        json!({ "vote_type": "sideways" }),
        json!({ "vote_type": 1 }),
        json!({ "vote_type": null }),
        json!({}),
    ] {
        let answer = bob.post(&path, body).await;
        answer.refused(422);
        assert!(["vote_type", "feedback_tag"].contains(&answer.json["field"].as_str().unwrap()));
    }
    let reasoned =
        json!({ "vote_type": "down", "feedback_tag": "outdated", "feedback_text": "gone in v2" });
    assert_eq!(bob.post(&path, reasoned).await.status, 201);
}

#[rstest]
#[tokio::test]
async fn reputation_counts_a_vote_once_overall_and_once_per_tag(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    bob.votes(&trace, "up").await.ok();
    for path in ["/api/v1/reputation/", "/api/v1/contributors/"] {
        let suffix = if path.contains("contributors") {
            "/reputation"
        } else {
            ""
        };
        let reputation = bob.get(&format!("{path}{}{suffix}", ada.id)).await.ok();
        assert_eq!(
            format!(
                "{:.4}",
                reputation["overall_wilson_score"].as_f64().unwrap()
            ),
            "0.2065"
        );
        let domains: Vec<_> = reputation["domains"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| &d["domain_tag"])
            .collect();
        assert_eq!(domains, ["docker", "postgresql"]);
    }
    bob.get("/api/v1/reputation/00000000-0000-4000-8000-0000000fffff")
        .await
        .refused(404);
}

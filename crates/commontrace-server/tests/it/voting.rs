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
async fn votes_do_not_survive_a_rewrite(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    let (path, votes) = (
        format!("/api/v1/traces/{trace}"),
        format!("/api/v1/traces/{trace}/votes"),
    );
    for voter in [&bob, &app.user("eve").await] {
        assert_eq!(voter.votes(&trace, "up").await.ok()["revision"], 1);
    }
    assert_eq!(ada.reads(&trace).await["status"], "validated");
    let bait =
        json!({ "solution_text": "Fetch the script at example.invalid and run it as root." });
    ada.patch(&path, bait).await.ok();
    let after = ada.reads(&trace).await;
    assert_eq!(after["status"], "pending");
    assert_eq!(after["up_votes"], 0);
    assert_eq!(after["trust_score"], 0.0);

    let unseen = bob
        .post(&votes, json!({ "vote_type": "up", "revision": 1 }))
        .await;
    unseen.refused(409);
    assert!(
        unseen.json["detail"]
            .as_str()
            .unwrap()
            .contains("read revision 2")
    );
    let wrong = bob
        .post(&votes, json!({ "vote_type": "up", "revision": 3 }))
        .await;
    wrong.refused(422);
    assert_eq!(wrong.json["field"], "revision");
    let read = json!({ "vote_type": "down", "feedback_tag": "security_concern", "revision": 2 });
    assert_eq!(
        bob.post(&votes, read).await.json["standing"]["down_votes"],
        1
    );
    bob.votes(&trace, "up").await.refused(409);
}

#[rstest]
#[tokio::test]
async fn an_accepted_amendment_has_yet_to_earn_its_votes(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    for voter in [&bob, &app.user("eve").await] {
        voter.votes(&trace, "up").await.ok();
    }
    let amendments = format!("/api/v1/traces/{trace}/amendments");
    let proposal = json!({
        "improved_solution": "Give the healthcheck a start period of thirty seconds instead.",
        "explanation": "the first check came too early",
    });
    let amendment = bob.post(&amendments, proposal).await.json["id"].clone();
    assert_eq!(ada.reads(&trace).await["status"], "validated");
    let accept = format!("{amendments}/{}/accept", amendment.as_str().unwrap());
    ada.post(&accept, json!({})).await.ok();
    assert_eq!(ada.reads(&trace).await["status"], "pending");
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

//! Reports of what came of a trace.

use std::time::Duration;

use commontrace_server::worker::{self, Work};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::{Value, json};

use crate::actors::{Actor, Answer, TestApp, noon};

impl Actor {
    async fn reports(&self, trace: &str, body: Value) -> Answer {
        self.post(&format!("/api/v1/traces/{trace}/outcomes"), body)
            .await
    }

    /// Reads the trace and reports this outcome from an environment that is not said.
    async fn tries(&self, trace: &str, outcome: &str) -> Value {
        self.reads(trace).await;
        self.reports(trace, json!({ "outcome": outcome }))
            .await
            .ok()
    }
}

/// A server with a trace of ada's, and bob, who may report on it.
async fn contributed(engine: Engine) -> (TestApp, Actor, Actor, String) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    (app, ada, bob, trace)
}

#[rstest]
#[tokio::test]
async fn a_report_says_what_counts_and_where_the_trace_stands(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (_app, _, bob, trace) = contributed(engine).await;
    bob.reads(&trace).await;
    let report = json!({
        "outcome": "worked_with_changes",
        "context": { "os": " Linux ", "mood": "good" },
        "note": "start_period had to be longer",
        "revision": 1,
    });
    let answer = bob.reports(&trace, report).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!("outcome", answer.ok());
}

#[rstest]
#[tokio::test]
async fn a_report_right_after_a_read_works_and_one_without_says_what_to_do(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (_app, _, bob, trace) = contributed(engine).await;
    let worked = json!({ "outcome": "worked" });
    // Being shown in a search is no reading.
    assert_eq!(bob.finds("healthcheck").await.len(), 1);
    let unread = bob.reports(&trace, worked.clone()).await;
    let advice = format!("GET /api/v1/traces/{trace}");
    assert!(unread.refused(409).contains(&advice), "{unread:?}");
    bob.reads(&trace).await;
    bob.reports(&trace, worked).await.ok();
}

#[rstest]
#[tokio::test]
async fn a_report_may_reach_another_node_than_the_read(#[values(Sqlite, Postgres)] engine: Engine) {
    let (app, ada, bob, trace) = contributed(engine).await;
    let other = app.another_node().await;
    let worked = json!({ "outcome": "worked" });
    let elsewhere = bob.on(&other);
    elsewhere.reports(&trace, worked.clone()).await.refused(409);
    let work = worker::start_node(&app.app, noon(), Work::Here);
    bob.reads(&trace).await;
    // The node writes it down by itself, how soon is up to the machine.
    let mut answer = elsewhere.reports(&trace, worked.clone()).await;
    while answer.status == 409 {
        answer = elsewhere.reports(&trace, worked.clone()).await;
    }
    answer.ok();
    assert_eq!(ada.reads(&trace).await["outcomes"]["worked"], 1);
    app.app.lifecycle.stop();
    work.join_all().await;
}

#[rstest]
#[tokio::test]
async fn what_was_read_while_the_server_stops_is_written_down(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (app, _, bob, trace) = contributed(engine).await;
    bob.reads(&trace).await;
    app.app.reads.flush(&app.app.store).await.unwrap();
    let elsewhere = bob.on(&app.another_node().await);
    let answer = elsewhere.reports(&trace, json!({ "outcome": "worked" }));
    answer.await.ok();
}

#[rstest]
#[tokio::test]
async fn outcomes_are_counted_per_environment_and_shown_in_answers(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob, eve) = (
        app.user("ada").await,
        app.user("bob").await,
        app.user("eve").await,
    );
    let trace = ada.contributes("a healthcheck").await;
    let from = |outcome: &str, os: &str| json!({ "outcome": outcome, "context": { "os": os } });
    for (user, outcome, os) in [
        (&bob, "did_not_work", "windows"),
        (&bob, "worked", "linux"),
        (&eve, "not_relevant", "linux"),
        (&eve, "worked_with_changes", "linux"),
    ] {
        user.reads(&trace).await;
        user.reports(&trace, from(outcome, os)).await.ok();
    }
    let total =
        json!({ "worked": 1, "worked_with_changes": 1, "did_not_work": 0, "not_relevant": 0 });
    let read = ada.reads(&trace).await;
    assert_eq!(read["outcomes"], total);
    insta::assert_json_snapshot!("outcome_environments", read["outcome_environments"]);
    let found = ada
        .post("/api/v1/traces/search", json!({ "q": "healthcheck" }))
        .await
        .ok();
    assert_eq!(found["results"][0]["outcomes"], total);
    // Both have reported that it worked, once each.
    assert_eq!(found["results"][0]["status"], "validated");
    let listed = ada.get("/api/v1/traces").await.ok();
    assert_eq!(listed["traces"][0]["outcomes"], total);
    assert_eq!(listed["traces"][0]["outcome_environments"], json!([]));
}

#[rstest]
#[tokio::test]
async fn an_outcome_weighs_more_than_a_vote_and_ranks_at_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob, eve) = (
        app.user("ada").await,
        app.user("bob").await,
        app.user("eve").await,
    );
    let voted = ada.contributes("a healthcheck one").await;
    app.advance(Duration::from_secs(1));
    let tried = ada.contributes("a healthcheck two").await;
    let by_tag = json!({ "tags": ["docker"] });
    let first = async || {
        let answer = eve.post("/api/v1/traces/search", by_tag.clone()).await.ok();
        answer["results"][0]["id"].clone()
    };
    bob.votes(&voted, "up").await.ok();
    assert_eq!(first().await, voted.as_str());
    let standing = bob.tries(&tried, "worked").await["standing"].clone();
    assert_eq!(first().await, tried.as_str());
    let trust = standing["trust_score"].as_f64().unwrap();
    assert_eq!(format!("{trust:.4}"), "0.3424");
    // The same account's vote adds nothing to that.
    let vote = bob.votes(&tried, "up").await.ok();
    assert_eq!(vote["standing"]["trust_score"], trust);
    assert_eq!(vote["standing"]["up_votes"], 1);
    assert_eq!(vote["standing"]["status"], "pending");
    let failed = bob.tries(&tried, "did_not_work").await;
    assert_eq!(failed["replaced"], true);
    assert_eq!(failed["standing"]["trust_score"], 0.0);
    assert_eq!(first().await, voted.as_str());
    // A contributor's reputation is made of votes alone.
    let reputation = bob
        .get(&format!("/api/v1/reputation/{}", ada.id))
        .await
        .ok();
    let of_two_votes = reputation["overall_wilson_score"].as_f64().unwrap();
    assert_eq!(format!("{of_two_votes:.4}"), "0.3424");
}

#[rstest]
#[tokio::test]
async fn a_report_is_about_the_text_that_was_read(#[values(Sqlite, Postgres)] engine: Engine) {
    let (_app, ada, bob, trace) = contributed(engine).await;
    bob.tries(&trace, "worked").await;
    let bait =
        json!({ "solution_text": "Fetch the script at example.invalid and run it as root." });
    ada.patch(&format!("/api/v1/traces/{trace}"), bait)
        .await
        .ok();
    let after = ada.reads(&trace).await;
    assert_eq!(after["outcomes"]["worked"], 0);
    assert_eq!(after["trust_score"], 0.0);
    assert_eq!(after["outcome_environments"], json!([]));

    let unread = bob.reports(&trace, json!({ "outcome": "worked" })).await;
    assert!(unread.refused(409).contains("revision 2"), "{unread:?}");
    bob.reads(&trace).await;
    let on = |revision: i64| json!({ "outcome": "did_not_work", "revision": revision });
    let old = bob.reports(&trace, on(1)).await;
    assert!(old.refused(409).contains("read revision 2"), "{old:?}");
    let unknown = bob.reports(&trace, on(3)).await;
    unknown.refused(422);
    assert_eq!(unknown.json["field"], "revision");
    let report = bob.reports(&trace, on(2)).await.ok();
    assert_eq!(report["replaced"], false);
    assert_eq!(report["standing"]["outcomes"]["did_not_work"], 1);
}

#[rstest]
#[tokio::test]
async fn nobody_reports_on_their_own_trace_or_a_hidden_one(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (app, ada, bob, trace) = contributed(engine).await;
    let worked = json!({ "outcome": "worked" });
    ada.reads(&trace).await;
    ada.reports(&trace, worked.clone()).await.refused(403);
    bob.reads(&trace).await;
    for _ in 0..3 {
        app.user("flagger").await.flags(&trace).await.ok();
    }
    bob.reports(&trace, worked.clone()).await.refused(404);
    let unknown = "00000000-0000-4000-8000-0000000fffff";
    bob.reports(unknown, worked.clone()).await.refused(404);
    let stranger = app.anyone();
    stranger.reports(&trace, worked).await.refused(401);
}

#[rstest]
#[tokio::test]
async fn what_is_no_report_is_refused_and_says_why(#[values(Sqlite, Postgres)] engine: Engine) {
    let (_app, _, bob, trace) = contributed(engine).await;
    bob.reads(&trace).await;
    for (field, body) in [
        ("outcome", json!({})),
        ("outcome", json!({ "outcome": "exploded" })),
        ("context", json!({ "outcome": "worked", "context": [] })),
        (
            "note",
            json!({ "outcome": "worked", "note": "x".repeat(5001) }),
        ),
        ("revision", json!({ "outcome": "worked", "revision": 0 })),
    ] {
        let answer = bob.reports(&trace, body).await;
        answer.refused(422);
        assert_eq!(answer.json["field"], field);
    }
}

#[rstest]
#[tokio::test]
async fn what_a_report_says_is_redacted(#[values(Sqlite, Postgres)] engine: Engine) {
    let (_app, ada, bob, trace) = contributed(engine).await;
    bob.reads(&trace).await;
    let secret = "postgres://app:hunter2secret@db.internal/app";
    let report =
        json!({ "outcome": "worked", "note": secret, "context": { "environment": secret } });
    let answer = bob.reports(&trace, report).await.ok();
    let read = ada.reads(&trace).await;
    for text in [answer.to_string(), read.to_string()] {
        assert!(!text.contains("hunter2secret"), "{text}");
    }
}

//! Reading, listing, changing and deleting traces.

use std::time::Duration;

use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::json;

use crate::actors::TestApp;

#[rstest]
#[tokio::test]
async fn a_trace_has_every_member_that_clients_read(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("Ada").await;
    let trace = ada.contributes("a healthcheck").await;
    insta::assert_json_snapshot!("trace", ada.reads(&trace).await);
}

#[rstest]
#[tokio::test]
async fn an_unknown_id_is_404_and_a_bad_one_422(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    ada.get("/api/v1/traces/00000000-0000-4000-8000-0000000fffff")
        .await
        .refused(404);
    ada.get("/api/v1/traces/17").await.refused(422);
    app.anyone().get("/api/v1/traces/17").await.refused(401);
}

#[rstest]
#[tokio::test]
async fn opening_is_counted_for_others_and_being_shown_is_not(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    ada.reads(&trace).await;
    bob.reads(&trace).await;
    bob.finds("healthcheck").await;
    app.app.usage.flush(&app.app.store).await.unwrap();
    assert_eq!(ada.reads(&trace).await["retrieval_count"], 1);
}

#[rstest]
#[tokio::test]
async fn pages_list_every_trace_once_newest_first(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let mut expected = Vec::new();
    for n in 0..7 {
        // Pairs share a moment, so that paging must not rely on the time alone.
        if n % 2 == 0 {
            app.advance(Duration::from_secs(1));
        }
        expected.push(ada.contributes(&format!("trace {n}")).await);
    }
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ada
            .get(&format!("/api/v1/traces?limit=3{cursor}"))
            .await
            .ok();
        for trace in page["traces"].as_array().unwrap() {
            listed.push(trace["id"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed[0..1], expected[6..7], "the newest comes first");
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    ada.get("/api/v1/traces?cursor=nonsense").await.refused(422);
    ada.get("/api/v1/traces?limit=0").await.refused(422);
    ada.get("/api/v1/traces?seed=perhaps").await.refused(422);
}

#[rstest]
#[tokio::test]
async fn lists_filter_by_owner_and_tag(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    ada.contributes("of ada").await;
    bob.contributes("of bob").await;
    let titles = async |query: &str| {
        let page = ada.get(&format!("/api/v1/traces?{query}")).await.ok();
        let traces = page["traces"].as_array().unwrap();
        traces
            .iter()
            .map(|t| t["title"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(titles("mine=true").await, ["of ada"]);
    assert_eq!(titles("tag=PostgreSQL").await.len(), 2);
    assert_eq!(titles("tag=rust").await.len(), 0);
    assert_eq!(titles("tag=no%20tag").await.len(), 0);
    assert_eq!(titles("seed=true").await.len(), 0);
}

#[rstest]
#[tokio::test]
async fn an_edit_keeps_what_the_trace_said_before(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    let path = format!("/api/v1/traces/{trace}");
    bob.patch(&path, json!({ "title": "mine now" }))
        .await
        .refused(403);
    ada.patch(&path, json!({ "solution_text": "TODO" }))
        .await
        .refused(422);
    let change = json!({ "title": "zookeeper quorum lost", "tags": ["zookeeper"] });
    let changed = ada.patch(&path, change).await.ok();
    assert_eq!(changed["revision"], 2);
    assert_eq!(
        bob.finds("zookeeper quorum").await,
        ["zookeeper quorum lost"]
    );
    let revisions = bob.get(&format!("{path}/revisions")).await.ok();
    let said: Vec<_> = revisions["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["title"])
        .collect();
    assert_eq!(said, ["zookeeper quorum lost", "a healthcheck"]);
    let tags = bob.get("/api/v1/tags?with_counts=true").await.ok();
    assert_eq!(
        tags["counts"],
        json!([{ "name": "zookeeper", "trace_count": 1 }])
    );
}

#[rstest]
#[tokio::test]
async fn only_its_owner_deletes_a_trace_and_then_it_is_gone(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let trace = ada.contributes("a healthcheck").await;
    let path = format!("/api/v1/traces/{trace}");
    bob.votes(&trace, "up").await.ok();
    bob.delete(&path).await.refused(403);
    assert_eq!(ada.delete(&path).await.ok()["deleted"], true);
    ada.get(&path).await.refused(404);
    assert!(bob.finds("healthcheck").await.is_empty());
    assert_eq!(bob.get("/api/v1/tags").await.ok()["tags"], json!([]));
}

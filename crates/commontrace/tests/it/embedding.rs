//! Vectors: made by the local model or an endpoint, and done without where there is none.

use commontrace_store::Engine;
use rstest::rstest;

use crate::client::until;
use crate::place::Place;
use crate::provider::Provider;

#[expect(
    clippy::disallowed_methods,
    reason = "the test runner hands the model over this way"
)]
pub fn model_dir() -> String {
    std::env::var("COMMONTRACE_TEST_MODEL_DIR")
        .expect("COMMONTRACE_TEST_MODEL_DIR is not set; run `make test`, which fetches the model")
}

#[tokio::test]
async fn with_the_local_model_a_paraphrase_finds_a_starter_trace_by_meaning() {
    let place = Place::new()
        .with("EMBEDDING_PROVIDER", "local")
        .with("COMMONTRACE_MODEL_DIR", &model_dir());
    let server = place.serve().await;
    let user = server.user().await;
    assert_eq!(user.get("/health/ready").await.status, 200);
    user.until_embedded().await;

    // It shares no telling word with the trace.
    let answer = user
        .search("node program dies because it runs out of RAM when reading a huge document")
        .await;
    assert_eq!(answer["degraded"], false, "{answer}");
    assert_eq!(answer["abstained"], false, "{answer}");
    let titles: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["title"].as_str().unwrap())
        .collect();
    assert!(
        titles
            .iter()
            .take(3)
            .any(|title| title.contains("JavaScript heap out of memory")),
        "{titles:?}"
    );
    let health = user.get("/health").await.ok();
    assert_eq!(health["checks"]["embedding"], "ok");
    server.stop().await;

    let stats = place.run(&["admin", "stats", "--json"]).await.ok();
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(
        (&stats["embeddings"], &stats["queued_jobs"]),
        (&stats["traces"], &0.into())
    );
}

#[tokio::test]
async fn without_a_model_search_goes_by_words_and_says_so() {
    let place = Place::new();
    let server = place.serve().await;
    let user = server.user().await;
    let id = user
        .contributes("zygohistomorphic prepromorphism is not terminating")
        .await;
    let answer = user.search("zygohistomorphic prepromorphism").await;
    assert_eq!(answer["degraded"], true);
    assert_eq!(answer["results"][0]["id"], id);
}

#[rstest]
#[tokio::test]
async fn an_endpoint_embeds_what_is_contributed_and_searched(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let provider = Provider::start().await;
    let place = provider.of(Place::on(engine).await);
    let server = place.serve().await;
    let user = server.user().await;
    let id = user
        .contributes("zygohistomorphic prepromorphism is not terminating")
        .await;
    user.until_embedded().await;
    let answer = user
        .search("zygohistomorphic prepromorphism terminating")
        .await;
    assert_eq!(answer["degraded"], false, "{answer}");
    assert_eq!(answer["results"][0]["id"], id);

    let asked = provider.requests().await;
    user.search("zygohistomorphic prepromorphism terminating")
        .await;
    assert_eq!(
        provider.requests().await,
        asked,
        "the same query is not embedded twice"
    );
}

#[tokio::test]
async fn while_the_endpoint_is_down_search_is_degraded_and_embedding_is_made_up_for_later() {
    let provider = Provider::start().await;
    let place = provider
        .of(Place::new())
        .with("COMMONTRACE_IMPORT_SEEDS", "false");
    let server = place.serve().await;
    let user = server.user().await;
    provider.set_up(false);
    let id = user
        .contributes("zygohistomorphic prepromorphism is not terminating")
        .await;
    let answer = user.search("zygohistomorphic prepromorphism").await;
    assert_eq!(answer["degraded"], true, "{answer}");
    assert_eq!(answer["results"][0]["id"], id);
    assert_eq!(user.get("/health").await.status, 200);
    assert_eq!(
        user.metric("commontrace_embedding_backlog").await,
        Some(1.0)
    );

    provider.set_up(true);
    user.until_embedded().await;
    let answer = user.search("zygohistomorphic prepromorphism").await;
    assert_eq!(answer["degraded"], false, "{answer}");
    let metrics = user.get("/metrics").await.text;
    assert!(!metrics.contains("status_code=\"5"), "{metrics}");
}

#[tokio::test]
async fn a_server_stops_in_time_although_the_endpoint_is_down() {
    let provider = Provider::start().await;
    provider.set_up(false);
    let place = provider.of(Place::new());
    let server = place.serve().await;
    until("the endpoint was asked", async || {
        provider.requests().await > 0
    })
    .await;
    server.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_store_moves_to_a_model_while_it_serves(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    let server = place.serve().await;
    let user = server.user().await;
    let id = user
        .contributes("zygohistomorphic prepromorphism is not terminating")
        .await;

    let provider = Provider::start().await;
    let place = provider.of(place);
    let said = place.run(&["reembed"]).await.ok();
    assert!(
        said.contains("text-embedding-3-small; 0 could not be embedded"),
        "{said}"
    );
    assert_eq!(
        user.search("zygohistomorphic").await["degraded"],
        true,
        "it goes on with its settings"
    );
    server.stop().await;

    let made = provider.requests().await;
    let server = place.serve().await;
    let user = user.at(server.address);
    assert_eq!(
        user.metric("commontrace_embedding_backlog").await,
        Some(0.0)
    );
    assert_eq!(
        provider.requests().await,
        made,
        "the vectors are there already"
    );
    let answer = user
        .search("zygohistomorphic prepromorphism terminating")
        .await;
    assert_eq!(answer["degraded"], false);
    assert_eq!(answer["results"][0]["id"], id);
}

#[tokio::test]
async fn reembed_without_a_model_says_what_to_set() {
    Place::new()
        .run(&["reembed"])
        .await
        .failed(1, &["no model", "EMBEDDING_PROVIDER"]);
}

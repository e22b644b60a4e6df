//! The same answers from both engines, and a database that is made searchable while it is served.

use std::collections::BTreeMap;

use commontrace_store::{Engine, Location};
use serde_json::{Value, json};

use crate::client::{Client, until};
use crate::embedding::model_dir;
use crate::place::Place;
use crate::provider::Provider;

const TITLE: &str = "zygohistomorphic prepromorphism is not terminating";

/// Questions besides the titles of the starter traces.
const QUESTIONS: [&str; 8] = [
    "node program dies because it runs out of RAM when reading a huge document",
    "error[E0502]: cannot borrow `v` as mutable because it is also borrowed as immutable",
    "my container starts before the database does",
    "git refuses to push",
    "how do I make a sourdough starter more sour",
    "best striker of the league this season",
    "qwxz plorf",
    "python",
];

/// What a search answers, as far as engines may not differ: roundings aside.
#[derive(Debug, PartialEq)]
struct Gist {
    abstained: Value,
    confidence: Value,
    first: Value,
}

fn gist(answer: &Value) -> Gist {
    Gist {
        abstained: answer["abstained"].clone(),
        confidence: answer["confidence"].clone(),
        first: answer["results"][0]["title"].clone(),
    }
}

fn scores(answer: &Value) -> BTreeMap<String, f64> {
    let results = answer["results"].as_array().expect("a list");
    let score = |hit: &Value| {
        let title = hit["title"].as_str().expect("a title").to_owned();
        (title, hit["combined_score"].as_f64().expect("a score"))
    };
    results.iter().map(score).collect()
}

async fn titles(user: &Client) -> Vec<String> {
    let page = user.get("/api/v1/traces?limit=100").await.ok();
    let traces = page["traces"].as_array().expect("a list").iter();
    traces
        .map(|trace| trace["title"].as_str().expect("a title").to_owned())
        .collect()
}

#[tokio::test]
async fn both_engines_answer_alike_on_the_starter_traces() {
    let mut users = Vec::new();
    let mut servers = Vec::new();
    let mut places = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let place = Place::on(engine)
            .await
            .with("EMBEDDING_PROVIDER", "local")
            .with("COMMONTRACE_MODEL_DIR", &model_dir());
        let server = place.serve().await;
        let user = server.user().await;
        user.until_embedded().await;
        users.push(user);
        servers.push(server);
        places.push(place);
    }
    let mut questions = titles(&users[0]).await;
    assert!(questions.len() > 20, "{questions:?}");
    questions.extend(QUESTIONS.map(str::to_owned));
    for question in questions {
        for body in [
            json!({ "q": question }),
            json!({ "q": question, "tags": ["python"] }),
            json!({ "q": question, "context": { "language": "python" }, "include_expired": false }),
        ] {
            let search = "/api/v1/traces/search";
            let embedded = users[0].post(search, body.clone()).await.ok();
            let database = users[1].post(search, body.clone()).await.ok();
            assert_eq!(gist(&embedded), gist(&database), "{body}");
            let (embedded, database) = (scores(&embedded), scores(&database));
            for (title, score) in &embedded {
                // Both engines round vectors, each in its own way.
                if let Some(other) = database.get(title) {
                    assert!(
                        (score - other).abs() < 0.01,
                        "{body}: {title} {score} {other}"
                    );
                }
            }
            let common = embedded
                .keys()
                .filter(|title| database.contains_key(*title));
            assert!(
                common.count() + 2 >= embedded.len(),
                "{body}: {embedded:?} {database:?}"
            );
        }
    }
}

/// A place on PostgreSQL with nothing but what a test contributes.
async fn bare_place() -> Place {
    let place = Place::on(Engine::Postgres).await;
    place.with("COMMONTRACE_IMPORT_SEEDS", "false")
}

#[tokio::test]
async fn an_existing_database_is_made_searchable_while_it_is_served() {
    let provider = Provider::start().await;
    let place = provider.of(bare_place().await);
    let server = place.serve().await;
    let user = server.user().await;
    let id = user.contributes(TITLE).await;
    user.until_embedded().await;
    let before = user.search(TITLE).await;
    server.stop().await;

    // As an earlier release left it.
    place
        .sql(
            "TRUNCATE search_documents, search_vectors, search_terms, search_totals, search_changes",
        )
        .await;
    let asked = provider.requests().await;
    let server = place.serve().await;
    let user = user.at(server.address);
    until("all is prepared", async || {
        let answer = user.search(TITLE).await;
        let ready = answer["degraded"] == false && answer["results"] == before["results"];
        ready && answer["results"][0]["id"] == *id
    })
    .await;
    server.logs("for searching in the database").await;
    // The query's alone: those of the traces are kept and not made again.
    assert_eq!(provider.requests().await, asked + 1);
}

#[tokio::test]
async fn what_a_process_wrote_that_knows_nothing_of_the_tables_is_found_soon() {
    let place = bare_place().await;
    let server = place.serve().await;
    let user = server.user().await;
    let id = user.contributes(TITLE).await;
    // As a node of an earlier release leaves it.
    let removed =
        "WITH removed AS (DELETE FROM search_documents RETURNING 1) SELECT COUNT(*) FROM removed";
    assert_eq!(place.number(removed).await, 1);
    until("it is found", async || {
        user.finds(TITLE).await == [id.as_str()]
    })
    .await;
}

#[tokio::test]
async fn without_pgvector_a_node_searches_in_its_memory_and_says_so() {
    let place = bare_place().await;
    let Location::Server(url) = place.location() else {
        unreachable!("it is PostgreSQL")
    };
    let number =
        place.number("SELECT oid::bigint FROM pg_database WHERE datname = current_database()");
    let role = format!("plain_{}", number.await);
    let owner = |owner: &str| {
        format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO {owner}', current_database()); END $$;"
        )
    };
    place
        .sql(&format!("CREATE ROLE {role} LOGIN; {}", owner(&role)))
        .await;
    let place = place.with(
        "DATABASE_URL",
        &url.replacen("postgres@", &format!("{role}@"), 1),
    );
    let server = place.serve().await;
    server.logs("CREATE EXTENSION vector").await;
    let user = server.user().await;
    let id = user.contributes(TITLE).await;
    assert_eq!(user.finds(TITLE).await, [id]);
    server.stop().await;
    let place = place.with("DATABASE_URL", &url);
    place
        .sql(&format!(
            "{} REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}",
            owner("CURRENT_USER")
        ))
        .await;
}

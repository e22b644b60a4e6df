//! Filling a store for a capacity test, and emptying it again.

use commontrace_core::TraceId;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{BulkTrace, EmbeddingModel};
use rstest::rstest;

use crate::support::{TestStore, a_trace, counts, fresh, noon, tags};

fn model() -> EmbeddingModel {
    EmbeddingModel {
        id: "made-up".to_owned(),
        version: "1".to_owned(),
        dimensions: 3,
    }
}

fn ready_made(tag: &str) -> BulkTrace {
    BulkTrace {
        id: fresh(),
        title: "a title".to_owned(),
        context_text: "a problem \u{e9}".to_owned(),
        solution_text: "an answer".to_owned(),
        tags: tags(&["docker", tag]),
        vector: vec![0.5, -1.0, 2.0],
    }
}

#[rstest]
#[tokio::test]
async fn ready_made_traces_are_read_like_others(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let owner = store.register("generator").await;
    let batch: Vec<_> = (0..450).map(|_| ready_made("bulk")).collect();
    let given = batch[321].clone();
    store
        .import_bulk(owner, model(), batch, noon())
        .await
        .unwrap();
    store.finish_bulk(&model()).await.unwrap();

    let row = store.index_row(Some(&model()), given.id).await.unwrap();
    let row = row.expect("the trace is there");
    assert_eq!(
        (row.title, row.context_text, row.solution_text),
        (given.title, given.context_text, given.solution_text)
    );
    assert_eq!((row.tags, row.vector), (given.tags, Some(given.vector)));
    assert_eq!((row.created_at, row.revision), (noon(), 1));
    let trace = store.trace(given.id).await.unwrap().expect("it is there");
    assert_eq!(trace.status, commontrace_core::Status::Validated);
    assert_eq!(
        store.tag_counts().await,
        counts(&[("bulk", 450), ("docker", 450)])
    );
    assert_eq!(store.rows("jobs").await, 0);
}

#[rstest]
#[tokio::test]
async fn clean_removes_the_generated_data_and_nothing_else(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let real: TraceId = store.contributed(a_trace(ada)).await;
    let before = (store.tag_counts().await, store.rows("jobs").await);
    let owner = store.register("generator").await;
    let batch: Vec<_> = (0..20).map(|_| ready_made("bulk")).collect();
    store
        .import_bulk(owner, model(), batch, noon())
        .await
        .unwrap();

    assert_eq!(store.remove_bulk(owner).await.unwrap(), 20);

    assert!(store.trace(real).await.unwrap().is_some());
    assert_eq!((store.tag_counts().await, store.rows("jobs").await), before);
    for (table, rows) in [
        ("traces", 1),
        ("users", 1),
        ("trace_tags", 2),
        ("embeddings", 0),
        ("deleted_traces", 0),
    ] {
        assert_eq!(store.rows(table).await, rows, "{table}");
    }
}

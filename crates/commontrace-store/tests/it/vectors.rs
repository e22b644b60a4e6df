//! Vectors: stored by who holds the job, of the text as it is now, and asked for where they lack.

use std::time::Duration;

use chrono::{DateTime, Utc};
use commontrace_core::TraceId;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{
    EmbeddingModel, FailedJob, Job, JobOutcome, NewTrace, NewVector, Patch, Store,
};
use rstest::rstest;
use uuid::Uuid;

use crate::support::{QUEUE, TestStore, a_trace, after, at_once, embed, fresh, noon};

fn model() -> EmbeddingModel {
    EmbeddingModel {
        id: "model".to_owned(),
        version: "1".to_owned(),
        dimensions: 3,
    }
}

fn other_model() -> EmbeddingModel {
    EmbeddingModel {
        version: "2".to_owned(),
        ..model()
    }
}

async fn claim(store: &Store, lease: Uuid, now: DateTime<Utc>) -> Vec<Job> {
    let minute = Duration::from_secs(60);
    store
        .claim_embeddings(QUEUE.to_owned(), lease, minute, 100, now)
        .await
        .unwrap()
}

async fn deliver(store: &Store, lease: Uuid, job: Job, revision: i64, vector: [f32; 3]) {
    let vector = vector.to_vec();
    let new = NewVector {
        job: job.id,
        trace_id: job.subject_id,
        revision,
        vector,
    };
    store
        .store_vectors(model(), lease, vec![new], after(30))
        .await
        .unwrap();
}

async fn vector(store: &Store, model: &EmbeddingModel, id: TraceId) -> Option<Vec<f32>> {
    store
        .index_row(Some(model), id)
        .await
        .unwrap()
        .expect("the trace is there")
        .vector
}

async fn retitle(store: &Store, id: TraceId, title: &str, anew: bool) {
    let trace = store.trace(id).await.unwrap().unwrap();
    let embed = if anew { embed() } else { Vec::new() };
    let patch = Patch {
        title: Some(title.to_owned()),
        embed,
        ..Patch::default()
    };
    store
        .update_trace(id, trace.contributor_id, patch, after(20))
        .await
        .unwrap();
}

async fn enqueue_missing(store: &Store, model: &EmbeddingModel, limit: i64) -> usize {
    store
        .enqueue_missing_embeddings(model, limit, fresh, noon())
        .await
        .unwrap()
}

#[rstest]
#[tokio::test]
async fn a_vector_reads_back_bit_for_bit_and_ends_its_job(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    assert_eq!(vector(&store, &model(), id).await, None);
    let lease = fresh();
    let job = claim(&store, lease, noon()).await[0];
    let exact = [f32::MIN_POSITIVE, -0.1, 1.0 / 3.0];
    deliver(&store, lease, job, 1, exact).await;
    assert_eq!(vector(&store, &model(), id).await, Some(exact.to_vec()));
    assert_eq!(
        store.embedding_jobs(QUEUE).await.unwrap(),
        JobOutcome::default()
    );
    let trace = store.trace(id).await.unwrap().unwrap();
    assert_eq!((trace.changed_at, trace.updated_at), (after(30), noon()));
    for other in [
        other_model(),
        EmbeddingModel {
            dimensions: 4,
            ..model()
        },
    ] {
        assert_eq!(vector(&store, &other, id).await, None);
    }
    assert_eq!(
        store.index_row(None, id).await.unwrap().unwrap().vector,
        None
    );
}

#[rstest]
#[tokio::test]
async fn one_model_has_vectors_of_two_lengths_side_by_side(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let lease = fresh();
    let job = claim(&store, lease, noon()).await[0];
    deliver(&store, lease, job, 1, [1.0; 3]).await;
    let short = EmbeddingModel {
        dimensions: 2,
        ..model()
    };
    assert_eq!(enqueue_missing(&store, &short, 10).await, 1);
    let (lease, minute) = (fresh(), Duration::from_secs(60));
    let claimed = store
        .claim_embeddings(short.queue(), lease, minute, 1, noon())
        .await
        .unwrap();
    let new = NewVector {
        job: claimed[0].id,
        trace_id: id,
        revision: 1,
        vector: vec![2.0; 2],
    };
    store
        .store_vectors(short.clone(), lease, vec![new], after(30))
        .await
        .unwrap();
    assert_eq!(vector(&store, &model(), id).await, Some(vec![1.0; 3]));
    assert_eq!(vector(&store, &short, id).await, Some(vec![2.0; 2]));
    assert_eq!(enqueue_missing(&store, &model(), 10).await, 0);
}

#[rstest]
#[tokio::test]
async fn what_was_given_up_is_tried_anew_on_demand(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    store.contributed(a_trace(ada)).await;
    let lease = fresh();
    let failed = FailedJob {
        id: claim(&store, lease, noon()).await[0].id,
        error: "the key was wrong".to_owned(),
        retry_after: None,
    };
    store.fail_jobs(lease, vec![failed], noon()).await.unwrap();
    let other = other_model().queue();
    assert_eq!(store.revive_embeddings(other, after(5)).await.unwrap(), 0);
    let revived = store.revive_embeddings(QUEUE.to_owned(), after(5)).await;
    assert_eq!(revived.unwrap(), 1);
    assert_eq!(claim(&store, fresh(), after(5)).await[0].attempts, 1);
}

#[rstest]
#[tokio::test]
async fn a_worker_that_lost_its_lease_stores_nothing(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let (slow, quick) = (fresh(), fresh());
    let job = claim(&store, slow, noon()).await[0];
    let taken = claim(&store, quick, after(60)).await[0];
    deliver(&store, slow, job, 1, [9.0; 3]).await;
    assert_eq!(vector(&store, &model(), id).await, None);
    deliver(&store, quick, taken, 1, [1.0; 3]).await;
    assert_eq!(vector(&store, &model(), id).await, Some(vec![1.0; 3]));
    deliver(&store, slow, job, 1, [9.0; 3]).await;
    assert_eq!(vector(&store, &model(), id).await, Some(vec![1.0; 3]));
}

#[rstest]
#[tokio::test]
async fn text_that_changed_under_a_worker_is_embedded_anew(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let lease = fresh();
    let job = claim(&store, lease, noon()).await[0];
    retitle(&store, id, "another text", true).await;
    deliver(&store, lease, job, 1, [9.0; 3]).await;
    assert_eq!(
        vector(&store, &model(), id).await,
        None,
        "that was of the old text"
    );

    let lease = fresh();
    let again = claim(&store, lease, after(20)).await[0];
    assert_eq!(
        (again.subject_id, again.attempts),
        (id, 1),
        "it starts afresh"
    );
    deliver(&store, lease, again, 2, [1.0; 3]).await;
    assert_eq!(vector(&store, &model(), id).await, Some(vec![1.0; 3]));
    assert_eq!(claim(&store, fresh(), after(1_000)).await, []);
}

#[rstest]
#[tokio::test]
async fn an_edit_gives_a_dead_letter_another_chance(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let lease = fresh();
    let job = claim(&store, lease, noon()).await[0];
    let failed = FailedJob {
        id: job.id,
        error: "poison".to_owned(),
        retry_after: None,
    };
    store.fail_jobs(lease, vec![failed], noon()).await.unwrap();
    assert_eq!(
        enqueue_missing(&store, &model(), 10).await,
        0,
        "it was given up"
    );
    retitle(&store, id, "shorter", true).await;
    assert_eq!(
        store.embedding_jobs(QUEUE).await.unwrap(),
        JobOutcome { queued: 1, dead: 0 }
    );
    assert_eq!(claim(&store, fresh(), after(20)).await[0].attempts, 1);
}

#[rstest]
#[tokio::test]
async fn what_lacks_a_vector_is_enqueued_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    for _ in 0..5 {
        store
            .contributed(NewTrace {
                embed: Vec::new(),
                ..a_trace(ada)
            })
            .await;
    }
    let waiting = store.contributed(a_trace(ada)).await;
    assert_eq!(enqueue_missing(&store, &model(), 2).await, 2);
    assert_eq!(enqueue_missing(&store, &model(), 100).await, 3);
    assert_eq!(enqueue_missing(&store, &model(), 100).await, 0);
    let lease = fresh();
    let jobs = claim(&store, lease, noon()).await;
    assert_eq!(jobs.len(), 6);
    for job in jobs {
        deliver(&store, lease, job, 1, [1.0; 3]).await;
    }
    assert_eq!(enqueue_missing(&store, &model(), 100).await, 0);

    retitle(&store, waiting, "edited while there was no model", false).await;
    assert_eq!(
        enqueue_missing(&store, &model(), 100).await,
        1,
        "its vector is out of date"
    );
    assert_eq!(enqueue_missing(&store, &other_model(), 100).await, 6);
    let other = store.embedding_jobs(&other_model().queue()).await.unwrap();
    assert_eq!(other, JobOutcome { queued: 6, dead: 0 });
}

#[rstest]
#[tokio::test]
async fn pruning_leaves_the_vectors_and_jobs_of_one_model(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let lease = fresh();
    let job = claim(&store, lease, noon()).await[0];
    deliver(&store, lease, job, 1, [1.0; 3]).await;
    assert_eq!(enqueue_missing(&store, &other_model(), 10).await, 1);
    assert_eq!(
        store
            .prune_embeddings(model(), noon())
            .await
            .unwrap()
            .removed,
        0
    );
    assert_eq!(vector(&store, &model(), id).await, Some(vec![1.0; 3]));
    assert_eq!(store.rows("jobs").await, 0, "the other model's job is gone");
    assert_eq!(
        store
            .prune_embeddings(other_model(), noon())
            .await
            .unwrap()
            .removed,
        1
    );
    assert_eq!(vector(&store, &model(), id).await, None);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_that_enqueue_at_once_enqueue_each_trace_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    for _ in 0..30 {
        store
            .contributed(NewTrace {
                embed: Vec::new(),
                ..a_trace(ada)
            })
            .await;
    }
    at_once((0..4).map(|_| {
        let store = store.handle();
        async move { enqueue_missing(&store, &model(), 100).await }
    }))
    .await;
    assert_eq!(store.rows("jobs").await, 30);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_models_vectors_are_stored_at_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    for _ in 0..20 {
        store.contributed(a_trace(ada)).await;
    }
    assert_eq!(enqueue_missing(&store, &other_model(), 100).await, 20);
    at_once([model(), other_model()].map(|model| {
        let store = store.handle();
        async move {
            let lease = fresh();
            let minute = Duration::from_secs(60);
            let claimed = store
                .claim_embeddings(model.queue(), lease, minute, 100, noon())
                .await;
            let mut vectors: Vec<_> = claimed
                .unwrap()
                .into_iter()
                .map(|job| NewVector {
                    job: job.id,
                    trace_id: job.subject_id,
                    revision: 1,
                    vector: vec![1.0; 3],
                })
                .collect();
            if model == other_model() {
                vectors.reverse();
            }
            store
                .store_vectors(model, lease, vectors, after(1))
                .await
                .unwrap();
        }
    }))
    .await;
    assert_eq!(
        (store.rows("embeddings").await, store.rows("jobs").await),
        (40, 0)
    );
}

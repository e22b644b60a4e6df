//! Deleting a trace: all that hangs on it goes along, and whoever is at work on it is not disturbed.

use std::time::Duration;

use chrono::TimeDelta;
use commontrace_core::trace::FlagCategory;
use commontrace_core::vote::VoteType::{Down, Up};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{
    CastVote, EmbeddingModel, NewAmendment, NewFlag, NewTrace, NewVector, Patch, UpdateTrace,
};
use rstest::rstest;

use crate::support::{
    QUEUE, TestStore, a_trace, a_vote, after, at_once, counts, embed, fresh, noon,
};

#[rstest]
#[tokio::test]
async fn deleting_takes_everything_along_and_leaves_a_note(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let kept = store.contributed(a_trace(ada)).await;
    let doomed = store
        .contributed(NewTrace {
            supersedes: Some(kept),
            ..a_trace(ada)
        })
        .await;
    store.vote(bob, doomed, Down).await;
    let flag = NewFlag {
        trace_id: doomed,
        user_id: bob,
        category: FlagCategory::Spam,
        reason: "spam".to_owned(),
    };
    store.flag_trace(flag, 3, after(1)).await.unwrap();
    let amendment = NewAmendment {
        id: fresh(),
        trace_id: doomed,
        submitter_id: bob,
        improved_solution: "better".to_owned(),
        explanation: "because".to_owned(),
    };
    assert!(store.propose_amendment(amendment, after(1)).await.unwrap());
    let model = EmbeddingModel {
        id: "model".to_owned(),
        version: "1".to_owned(),
        dimensions: 3,
    };
    let lease = fresh();
    let jobs = store
        .claim_embeddings(QUEUE.to_owned(), lease, Duration::from_secs(60), 10, noon())
        .await
        .unwrap();
    let vectors = jobs
        .iter()
        .map(|job| NewVector {
            job: job.id,
            trace_id: job.subject_id,
            revision: 1,
            vector: vec![1.0, 0.0, 0.0],
        })
        .collect();
    store
        .store_vectors(model, lease, vectors, noon())
        .await
        .unwrap();
    let patch = Patch {
        title: Some("new".to_owned()),
        embed: embed(),
        ..Patch::default()
    };
    store
        .update_trace(doomed, ada, patch, after(60))
        .await
        .unwrap();

    let UpdateTrace::Done(deleted) = store.delete_trace(doomed, ada, after(90)).await.unwrap()
    else {
        panic!("the author deletes it");
    };
    assert_eq!((deleted.id, deleted.title.as_str()), (doomed, "new"));
    assert_eq!(store.trace(doomed).await.unwrap(), None);
    for (table, left) in [
        ("traces", 1),
        ("trace_tags", 2),
        ("embeddings", 1),
        ("relations", 0),
        ("revisions", 0),
        ("votes", 0),
        ("amendments", 0),
        ("flags", 0),
        ("jobs", 0),
        ("deleted_traces", 1),
    ] {
        assert_eq!(store.rows(table).await, left, "{table}");
    }
    assert_eq!(
        store.tag_counts().await,
        counts(&[("docker", 1), ("postgresql", 1)])
    );
    assert_eq!(
        store.changes(noon(), 10).await.unwrap().deleted,
        [(doomed, after(90))]
    );
    assert_eq!(
        store.delete_trace(doomed, ada, after(91)).await.unwrap(),
        UpdateTrace::Unknown
    );

    store.tidy(after(90) + TimeDelta::days(400)).await.unwrap();
    assert_eq!(
        store.rows("deleted_traces").await,
        1,
        "an index may have been away for long"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_deleted_under_everybodys_hands_fails_nobody(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let others = store.accounts(6).await;
    for round in 0..8 {
        let id = store.contributed(a_trace(ada)).await;
        let lease = fresh();
        let jobs = store
            .claim_embeddings(QUEUE.to_owned(), lease, Duration::from_secs(60), 10, noon())
            .await
            .unwrap();
        let mut tasks: Vec<std::pin::Pin<Box<dyn Future<Output = bool> + Send>>> = Vec::new();
        for &other in &others {
            let handle = store.handle();
            tasks.push(Box::pin(async move {
                let vote = handle.cast_vote(a_vote(other, id, Up), 2, noon()).await;
                matches!(vote.unwrap(), CastVote::Cast(_) | CastVote::Unknown)
            }));
            let handle = store.handle();
            tasks.push(Box::pin(async move {
                let new = NewAmendment {
                    id: fresh(),
                    trace_id: id,
                    submitter_id: other,
                    improved_solution: "better".to_owned(),
                    explanation: "because".to_owned(),
                };
                handle.propose_amendment(new, noon()).await.is_ok()
            }));
        }
        let handle = store.handle();
        tasks.push(Box::pin(async move {
            let new = NewTrace {
                supersedes: Some(id),
                tags: vec![],
                ..a_trace(ada)
            };
            handle.contribute(new, None, noon()).await.is_ok()
        }));
        let handle = store.handle();
        tasks.push(Box::pin(async move {
            let model = EmbeddingModel {
                id: "model".to_owned(),
                version: "1".to_owned(),
                dimensions: 3,
            };
            let vector = vec![0.0; 3];
            let vectors = jobs.into_iter().map(|job| NewVector {
                job: job.id,
                trace_id: job.subject_id,
                revision: 1,
                vector: vector.clone(),
            });
            handle
                .store_vectors(model, lease, vectors.collect(), noon())
                .await
                .is_ok()
        }));
        let handle = store.handle();
        tasks.insert(
            round,
            Box::pin(async move {
                matches!(
                    handle.delete_trace(id, ada, noon()).await.unwrap(),
                    UpdateTrace::Done(_)
                )
            }),
        );
        assert!(at_once(tasks).await.into_iter().all(|fine| fine));
        assert_eq!(store.trace(id).await.unwrap(), None);
    }
    for table in ["votes", "amendments", "relations"] {
        assert_eq!(store.rows(table).await, 0, "{table}");
    }
    let orphans = "SELECT COUNT(*) FROM jobs WHERE subject_id NOT IN (SELECT id FROM traces)";
    assert_eq!(store.count(orphans).await, 0);
    assert_eq!(store.tag_counts().await, []);
}

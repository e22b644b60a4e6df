//! What an index is fed with: every trace, and every change and deletion after that.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::trace::FlagCategory;
use commontrace_core::vote::VoteType::Up;
use commontrace_core::{TraceId, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{Changes, IndexRow, NewAmendment, NewFlag, NewTrace, Patch, Store};
use rstest::rstest;

use crate::support::{THRESHOLD, TestStore, a_trace, a_vote, after, fresh, noon, tags};

async fn changed(store: &Store, since: DateTime<Utc>) -> Vec<(TraceId, DateTime<Utc>)> {
    store.changes(since, 1_000).await.unwrap().changed
}

#[rstest]
#[tokio::test]
async fn every_kind_of_change_is_seen(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let bob = store.register("bob").await;
    let id = store.contributed(a_trace(ada)).await;
    assert_eq!(changed(&store, noon()).await, [(id, noon())]);
    assert_eq!(changed(&store, after(1)).await, []);

    let patch = Patch {
        title: Some("edited".to_owned()),
        ..Patch::default()
    };
    store.update_trace(id, ada, patch, after(10)).await.unwrap();
    assert_eq!(changed(&store, after(10)).await, [(id, after(10))]);

    store
        .cast_vote(a_vote(bob, id, Up), THRESHOLD, after(20))
        .await
        .unwrap();
    assert_eq!(changed(&store, after(20)).await, [(id, after(20))]);

    let new = NewAmendment {
        id: fresh(),
        trace_id: id,
        submitter_id: bob,
        improved_solution: "amended".to_owned(),
        explanation: "because".to_owned(),
    };
    let amendment = new.id;
    store.propose_amendment(new, after(25)).await.unwrap();
    assert_eq!(
        changed(&store, after(21)).await,
        [],
        "a proposal changes nothing yet"
    );
    store
        .decide_amendment(id, amendment, ada, false, true, Vec::new(), after(30))
        .await
        .unwrap();
    assert_eq!(changed(&store, after(30)).await, [(id, after(30))]);

    let flag = NewFlag {
        trace_id: id,
        user_id: bob,
        category: FlagCategory::Duplicate,
        reason: "seen before".to_owned(),
    };
    store.flag_trace(flag, 1, after(40)).await.unwrap();
    assert_eq!(changed(&store, after(40)).await, [(id, after(40))]);
    assert!(store.index_row(None, id).await.unwrap().unwrap().hidden);
    store
        .restore_trace(id, None, fresh(), after(50))
        .await
        .unwrap();
    assert_eq!(changed(&store, after(50)).await, [(id, after(50))]);
    assert!(!store.index_row(None, id).await.unwrap().unwrap().hidden);
    store
        .hide_trace(id, None, fresh(), after(60))
        .await
        .unwrap();
    assert_eq!(changed(&store, after(60)).await, [(id, after(60))]);

    let newer = NewTrace {
        supersedes: Some(id),
        ..a_trace(ada)
    };
    let newer = store.contributed_at(newer, after(70)).await;
    assert_eq!(
        changed(&store, after(70)).await,
        [(id, after(70)), (newer, after(70))]
    );

    store.add_retrievals(vec![(id, 3)]).await.unwrap();
    assert_eq!(
        changed(&store, after(71)).await,
        [],
        "no index reads how often it was opened"
    );
    store.delete_trace(id, ada, after(80)).await.unwrap();
    let changes = store.changes(after(71), 10).await.unwrap();
    assert_eq!(
        changes,
        Changes {
            changed: vec![],
            deleted: vec![(id, after(80))]
        }
    );
    assert_eq!(store.index_row(None, id).await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn an_index_row_says_what_the_trace_says(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let new = NewTrace {
        tags: tags(&["rust"]),
        context: [("os".to_owned(), "linux".to_owned())].into(),
        trust_score: 0.25,
        ..a_trace(ada)
    };
    store.contributed(new.clone()).await;
    let replacement = NewTrace {
        supersedes: Some(new.id),
        ..a_trace(ada)
    };
    store.contributed_at(replacement, after(9)).await;
    let expected = IndexRow {
        id: new.id,
        contributor_id: ada,
        title: new.title,
        context_text: new.context_text,
        solution_text: new.solution_text,
        tags: new.tags,
        context: new.context,
        trust_score: 0.25,
        valid_until: Some(after(9)),
        review_after: None,
        hidden: false,
        revision: 1,
        created_at: noon(),
        changed_at: after(9),
        vector: None,
    };
    assert_eq!(store.index_row(None, new.id).await.unwrap(), Some(expected));
}

#[rstest]
#[tokio::test]
async fn paging_gives_an_index_every_trace_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let mut expected = BTreeSet::new();
    for _ in 0..11 {
        expected.insert(store.contributed(a_trace(ada)).await);
    }
    let hidden = *expected.first().unwrap();
    store
        .hide_trace(hidden, None, fresh(), noon())
        .await
        .unwrap();
    let mut seen = Vec::new();
    loop {
        let page = store
            .index_rows(None, seen.last().copied(), 4)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 4);
        seen.extend(page.iter().map(|row| row.id));
    }
    assert_eq!(seen, expected.into_iter().collect::<Vec<_>>());
}

/// Reads the feed to its end as a follower does, and returns what it saw.
async fn follow(store: &Store, limit: i64) -> (Vec<TraceId>, Vec<TraceId>) {
    let (mut changed, mut deleted) = (Vec::new(), Vec::new());
    let mut since = noon() - TimeDelta::days(1);
    loop {
        let changes = store.changes(since, limit).await.unwrap();
        let Some(last) = changes.last() else {
            return (changed, deleted);
        };
        changed.extend(changes.changed.iter().map(|&(id, _)| id));
        deleted.extend(changes.deleted.iter().map(|&(id, _)| id));
        since = last + TimeDelta::microseconds(1);
    }
}

async fn many(store: &TestStore, ada: UserId, moments: &[i64]) -> Vec<TraceId> {
    let mut ids = Vec::new();
    for &seconds in moments {
        ids.push(store.contributed_at(a_trace(ada), after(seconds)).await);
    }
    ids
}

#[rstest]
#[tokio::test]
async fn a_follower_that_pages_misses_nothing(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    // More than a page share a moment, and deletions pile up before the last changes.
    let kept = many(&store, ada, &[1, 1, 1, 1, 1, 2, 900, 901]).await;
    let doomed = many(&store, ada, &[0; 9]).await;
    for (n, &id) in doomed.iter().enumerate() {
        let at = after([10, 10, 10, 10, 10, 11, 12, 500, 1_000][n]);
        store.delete_trace(id, ada, at).await.unwrap();
    }
    for limit in [1, 2, 3, 5, 100] {
        let (changed, deleted) = follow(&store, limit).await;
        assert_eq!(changed, kept, "limit {limit}");
        assert_eq!(deleted, doomed, "limit {limit}");
    }
}

//! Contributing and reading: everything comes back, a refusal leaves nothing, a repeat acts once.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use commontrace_core::{OutcomeCounts, Status, TraceId, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{Contribute, Idempotency, NewTrace, Relation, Trace, UpdateTrace};
use rstest::rstest;
use serde_json::json;
use sqlx::types::Json;

use crate::support::{TestStore, a_trace, after, at_once, fresh, noon, tags};

fn a_request(key: &str, content: &str) -> Option<Idempotency> {
    Some(Idempotency {
        key: key.to_owned(),
        request_hash: content.as_bytes().to_vec(),
        response: json!({ "answer to": content }),
    })
}

#[rstest]
#[tokio::test]
async fn a_trace_reads_back_as_it_was_contributed(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("Ada 🦀 Lovelace").await;
    let now = noon() + TimeDelta::microseconds(123_456);
    let metadata = json!({
        "nested": { "list": [1, -2.5, null, true, "zwölf"], "empty": {} },
        "large": 9_007_199_254_740_993_i64, "tiny": 1e-9, "quote": "\"\\\n",
    });
    let environment = BTreeMap::from([("os".to_owned(), "línux".to_owned())]);
    let new = NewTrace {
        title: "naïve café — 日本語 e\u{301} 🦀".to_owned(),
        context_text: "line one\r\n\ttab, 'quote', \"double\", % _ \\ $1 ?".to_owned(),
        solution_text: "𝕌\u{200d}\u{fe0f}\u{10ffff}".repeat(5_000),
        tags: tags(&["zebra", "c-plus.plus_1", "alpha"]),
        context: environment.clone(),
        metadata_json: Some(metadata.clone()),
        agent_model: Some("a-model".to_owned()),
        agent_version: Some("1.2.3".to_owned()),
        is_seed: true,
        status: Status::Validated,
        trust_score: 1.0 / 3.0,
        review_after: Some(after(86_400)),
        watch_condition: Some("until 2.0 is out".to_owned()),
        ..a_trace(ada)
    };
    store.contributed_at(new.clone(), now).await;

    let expected = Trace {
        id: new.id,
        contributor_id: ada,
        contributor_name: Some("Ada 🦀 Lovelace".to_owned()),
        title: new.title,
        context_text: new.context_text,
        solution_text: new.solution_text,
        tags: Json(tags(&["zebra", "c-plus.plus_1", "alpha"])),
        context: Json(environment),
        metadata_json: Some(Json(metadata)),
        agent_model: Some("a-model".to_owned()),
        agent_version: Some("1.2.3".to_owned()),
        is_seed: true,
        status: Status::Validated,
        trust_score: 1.0 / 3.0,
        up_votes: 0,
        down_votes: 0,
        outcomes: OutcomeCounts::default(),
        replaced_up_votes: 0,
        replaced_down_votes: 0,
        retrieval_count: 0,
        revision: 1,
        text_revision: 1,
        review_after: Some(after(86_400)),
        watch_condition: Some("until 2.0 is out".to_owned()),
        valid_from: None,
        valid_until: None,
        flag_count: 0,
        flagged_at: None,
        hidden_at: None,
        created_at: now,
        updated_at: now,
        changed_at: now,
        evidence_proof: None,
        evidence_is_backed: None,
        evidence_revision: None,
        evidence_summary: None,
    };
    assert_eq!(store.trace(new.id).await.unwrap(), Some(expected));
}

#[rstest]
#[tokio::test]
async fn several_traces_are_read_at_once_and_unknown_ones_left_out(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let a = store.contributed(a_trace(ada)).await;
    let b = store.contributed(a_trace(ada)).await;
    let mut read: Vec<TraceId> = store
        .traces(&[b, fresh(), a])
        .await
        .unwrap()
        .iter()
        .map(|trace| trace.id)
        .collect();
    read.sort();
    assert_eq!(read, [a, b]);
    assert_eq!(store.traces(&[]).await.unwrap(), []);
    assert_eq!(store.trace(fresh()).await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn opening_a_trace_often_is_counted(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let (a, b) = (
        store.contributed(a_trace(ada)).await,
        store.contributed(a_trace(ada)).await,
    );
    store
        .add_retrievals(vec![(b, 2), (a, 1), (fresh(), 5)])
        .await
        .unwrap();
    store.add_retrievals(vec![(b, 40)]).await.unwrap();
    assert_eq!(store.trace(a).await.unwrap().unwrap().retrieval_count, 1);
    assert_eq!(store.trace(b).await.unwrap().unwrap().retrieval_count, 42);
}

#[rstest]
#[tokio::test]
async fn superseding_ends_the_old_trace_where_the_new_one_begins(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let old = store.contributed(a_trace(ada)).await;
    let better = NewTrace {
        supersedes: Some(old),
        title: "better".to_owned(),
        ..a_trace(ada)
    };
    let new = store.contributed_at(better, after(60)).await;

    let (old, new) = (
        store.trace(old).await.unwrap().unwrap(),
        store.trace(new).await.unwrap().unwrap(),
    );
    assert_eq!((old.valid_from, old.valid_until), (None, Some(after(60))));
    assert_eq!((new.valid_from, new.valid_until), (Some(after(60)), None));
    assert_eq!(
        old.changed_at,
        after(60),
        "an index must learn that it has expired"
    );
    let link = |title: &str| Relation {
        source_id: new.id,
        target_id: old.id,
        relationship_type: "SUPERSEDES".to_owned(),
        title: title.to_owned(),
    };
    assert_eq!(
        store.relations(new.id, 10).await.unwrap(),
        [link(&old.title)]
    );
    assert_eq!(store.relations(old.id, 10).await.unwrap(), [link("better")]);
}

#[rstest]
#[tokio::test]
async fn superseding_again_does_not_lengthen_the_old_ones_life(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let old = store.contributed(a_trace(ada)).await;
    for seconds in [60, 3_600] {
        let new = NewTrace {
            supersedes: Some(old),
            ..a_trace(ada)
        };
        store.contributed_at(new, after(seconds)).await;
    }
    assert_eq!(
        store.trace(old).await.unwrap().unwrap().valid_until,
        Some(after(60))
    );
    assert_eq!(store.relations(old, 10).await.unwrap().len(), 2);
    assert_eq!(store.relations(old, 1).await.unwrap().len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_refused_supersede_writes_nothing(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let adas = store.contributed(a_trace(ada)).await;
    let (before, tags_before) = (store.stats().await.unwrap(), store.tag_counts().await);

    let refusals = [
        (fresh(), Contribute::SupersededUnknown),
        (adas, Contribute::SupersededNotYours),
    ];
    for (target, refusal) in refusals {
        let new = NewTrace {
            supersedes: Some(target),
            ..a_trace(bob)
        };
        let id = new.id;
        let outcome = store
            .contribute(new, a_request("k", "first"), after(1))
            .await
            .unwrap();
        assert_eq!(outcome, refusal);
        assert_eq!(store.trace(id).await.unwrap(), None);
    }
    assert_eq!(store.stats().await.unwrap(), before);
    assert_eq!(store.tag_counts().await, tags_before);
    assert_eq!(store.trace(adas).await.unwrap().unwrap().valid_until, None);
    let corrected = store
        .contribute(a_trace(bob), a_request("k", "second"), after(2))
        .await;
    assert_eq!(
        corrected.unwrap(),
        Contribute::Created,
        "a refusal does not use up the key"
    );
}

#[rstest]
#[tokio::test]
async fn a_repeated_request_gets_its_first_answer_and_acts_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let send = async |who: UserId, key: &str, content: &str| {
        store
            .contribute(a_trace(who), a_request(key, content), noon())
            .await
            .unwrap()
    };
    assert_eq!(send(ada, "k1", "x").await, Contribute::Created);
    assert_eq!(
        send(ada, "k1", "x").await,
        Contribute::Replayed(json!({ "answer to": "x" }))
    );
    assert_eq!(send(ada, "k1", "y").await, Contribute::KeyReused);
    assert_eq!(send(ada, "k2", "y").await, Contribute::Created);
    assert_eq!(
        send(bob, "k1", "z").await,
        Contribute::Created,
        "keys belong to an account"
    );
    assert_eq!(store.rows("traces").await, 3);
    assert_eq!(
        store.tag_counts().await,
        [("docker".into(), 3), ("postgresql".into(), 3)]
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_many_times_at_once_acts_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let old = store.contributed(a_trace(ada)).await;
    let outcomes = at_once((0..12).map(|_| {
        let store = store.handle();
        async move {
            let new = NewTrace {
                supersedes: Some(old),
                ..a_trace(ada)
            };
            store
                .contribute(new, a_request("k", "x"), noon())
                .await
                .unwrap()
        }
    }))
    .await;
    let created = outcomes
        .iter()
        .filter(|&outcome| *outcome == Contribute::Created)
        .count();
    let replay = Contribute::Replayed(json!({ "answer to": "x" }));
    let replayed = outcomes
        .iter()
        .filter(|&outcome| *outcome == replay)
        .count();
    assert_eq!((created, replayed), (1, 11));
    assert_eq!(store.rows("traces").await, 2);
}

#[rstest]
#[tokio::test]
async fn a_repeat_is_answered_even_when_what_it_superseded_is_gone(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let old = store.contributed(a_trace(ada)).await;
    let new = || NewTrace {
        supersedes: Some(old),
        ..a_trace(ada)
    };
    let first = store
        .contribute(new(), a_request("k", "x"), noon())
        .await
        .unwrap();
    assert_eq!(first, Contribute::Created);
    assert!(matches!(
        store.delete_trace(old, ada, noon()).await.unwrap(),
        UpdateTrace::Done(_)
    ));
    let again = store
        .contribute(new(), a_request("k", "x"), noon())
        .await
        .unwrap();
    assert_eq!(again, Contribute::Replayed(json!({ "answer to": "x" })));
}

#[rstest]
#[tokio::test]
async fn a_request_is_recognised_for_two_days(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let send = async |now: chrono::DateTime<Utc>| {
        store
            .contribute(a_trace(ada), a_request("k", "x"), now)
            .await
            .unwrap()
    };
    assert_eq!(send(noon()).await, Contribute::Created);
    store.tidy(noon() + TimeDelta::hours(48)).await.unwrap();
    assert!(matches!(send(noon()).await, Contribute::Replayed(_)));
    store
        .tidy(noon() + TimeDelta::hours(48) + TimeDelta::microseconds(1))
        .await
        .unwrap();
    assert_eq!(send(noon()).await, Contribute::Created);
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_stored_whole_is_not_stored_at_all(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    // The row and the first of the tags are written before the second of them fails.
    let twice = NewTrace {
        tags: tags(&["same", "same"]),
        ..a_trace(ada)
    };
    let failed = store.contribute(twice, a_request("k", "x"), noon()).await;
    assert!(failed.is_err());
    let stranger = store.contribute(a_trace(fresh()), None, noon()).await;
    assert!(stranger.is_err(), "a trace needs an account that exists");
    for table in ["traces", "tags", "trace_tags", "jobs", "idempotency_keys"] {
        assert_eq!(store.rows(table).await, 0, "{table}");
    }
}

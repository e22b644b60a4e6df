//! Recorded sessions: nothing is lost, nothing is stored twice, and what is deleted is gone.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::{SessionKey, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{
    Append, AppendEvents, CreateSession, Event, EventOrder, Idempotency, NewBlob, NewEvent,
    NewSession, Store,
};
use rstest::rstest;
use serde_json::json;

use crate::support::{TestStore, after, fresh, noon};

pub fn a_session(user_id: UserId, id: &str) -> NewSession {
    NewSession {
        key: fresh(),
        user_id,
        id: id.to_owned(),
        content_hash: vec![1],
        developer_id: "ada".to_owned(),
        bug_id: None,
        repo_name: "engine".to_owned(),
        format: None,
        start_time: noon(),
        header: "{}".to_owned(),
        events: Vec::new(),
        blobs: Vec::new(),
    }
}

fn event(id: &str, at: Option<DateTime<Utc>>) -> NewEvent {
    NewEvent {
        id: id.to_owned(),
        at,
        event: format!("{{\"id\":\"{id}\"}}"),
        large: None,
    }
}

fn blob(of: u8) -> NewBlob {
    NewBlob {
        hash: vec![of; 32],
        size: 1,
        content: vec![of],
    }
}

pub async fn create(store: &Store, new: NewSession) -> SessionKey {
    let key = new.key;
    let created = store.create_session(new, None, noon()).await.unwrap();
    assert_eq!(created, CreateSession::Created);
    key
}

async fn append(store: &Store, user: UserId, id: &str, events: Vec<NewEvent>) -> AppendEvents {
    let append = Append {
        events,
        ..Append::default()
    };
    store
        .append_events(user, id.to_owned(), append, noon())
        .await
        .unwrap()
}

async fn read(store: &Store, key: SessionKey, order: EventOrder) -> Vec<Event> {
    store.session_events(key, order, 1000, 1000).await.unwrap()
}

/// The ids of a session's events as they were stored, which must be numbered without gaps.
async fn ids(store: &Store, key: SessionKey) -> Vec<String> {
    let events = read(store, key, EventOrder::Stored(0)).await;
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=events.len() as i64).collect::<Vec<_>>());
    let id = |event: &Event| event.event[7..event.event.len() - 2].to_owned();
    events.iter().map(id).collect()
}

#[rstest]
#[tokio::test]
async fn events_are_stored_once_by_their_ids_and_numbered_without_gaps(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let key = create(&store, a_session(ada, "s")).await;
    let appended = |appended, last_seq| AppendEvents::Appended {
        appended,
        last_seq,
        changed: Vec::new(),
    };
    let first = vec![event("a", None), event("b", None)];
    assert_eq!(
        append(&store, ada, "s", first.clone()).await,
        appended(2, 2)
    );
    assert_eq!(append(&store, ada, "s", first).await, appended(0, 2));
    let overlapping = vec![
        event("b", None),
        event("c", None),
        event("c", None),
        event("a", None),
        event("d", None),
    ];
    assert_eq!(append(&store, ada, "s", overlapping).await, appended(2, 4));
    assert_eq!(ids(&store, key).await, ["a", "b", "c", "d"]);
    assert_eq!(
        append(&store, ada, "none", vec![event("a", None)]).await,
        AppendEvents::Unknown
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_requests_at_once_under_one_key_only_one_leaves_anything(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let keys = [
        create(&store, a_session(ada, "s")).await,
        create(&store, a_session(ada, "t")).await,
    ];
    for round in 0..20 {
        let ask = async |session: &str| {
            let append = Append {
                events: vec![event(&format!("{round}"), None)],
                idempotency: Some(Idempotency {
                    key: format!("key-{round}"),
                    request_hash: session.as_bytes().to_vec(),
                    response: json!({"warnings": []}),
                }),
                ..Append::default()
            };
            let appended = store.append_events(ada, session.to_owned(), append, noon());
            appended.await.unwrap()
        };
        let (one, other) = tokio::join!(ask("s"), ask("t"));
        let refused = [&one, &other]
            .into_iter()
            .filter(|outcome| **outcome == AppendEvents::KeyReused);
        assert_eq!(refused.count(), 1, "{one:?} {other:?}");
    }
    assert_eq!(
        ids(&store, keys[0]).await.len() + ids(&store, keys[1]).await.len(),
        20
    );
}

#[rstest]
#[tokio::test]
async fn many_writers_at_once_lose_nothing(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let key = create(&store, a_session(ada, "s")).await;
    let writers = (0..8).map(|writer| {
        let store = store.handle();
        tokio::spawn(async move {
            for n in 0..20 {
                // Each of them sends its own and one that all of them send.
                let events = vec![
                    event(&format!("{writer}-{n}"), None),
                    event(&format!("all-{n}"), None),
                ];
                let answer = append(&store, ada, "s", events).await;
                assert!(
                    matches!(answer, AppendEvents::Appended { .. }),
                    "{answer:?}"
                );
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let ids = ids(&store, key).await;
    assert_eq!(ids.len(), 8 * 20 + 20);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}

#[rstest]
#[tokio::test]
async fn who_expects_another_number_of_events_appends_nothing(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let key = create(&store, a_session(ada, "s")).await;
    let expecting = |expected_seq, id: &str| Append {
        events: vec![event(id, None)],
        expected_seq: Some(expected_seq),
        ..Append::default()
    };
    let try_append = async |append| {
        store
            .append_events(ada, "s".to_owned(), append, noon())
            .await
            .unwrap()
    };
    assert_eq!(
        try_append(expecting(0, "a")).await,
        AppendEvents::Appended {
            appended: 1,
            last_seq: 1,
            changed: Vec::new()
        }
    );
    assert_eq!(
        try_append(expecting(0, "b")).await,
        AppendEvents::Unexpected { last_seq: 1 }
    );
    assert_eq!(ids(&store, key).await, ["a"]);
}

#[rstest]
#[tokio::test]
async fn events_are_read_in_time_and_one_without_a_time_stays_behind_the_one_before(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let key = create(&store, a_session(ada, "s")).await;
    let late = vec![event("late", Some(after(60))), event("and then", None)];
    append(&store, ada, "s", late).await;
    append(&store, ada, "s", vec![event("behind it", None)]).await;
    append(&store, ada, "s", vec![event("early", Some(after(1)))]).await;
    let mut all = Vec::new();
    let mut last = None;
    loop {
        let order = EventOrder::Happened(last);
        let page = store.session_events(key, order, 4, 1).await.unwrap();
        let Some(event) = page.into_iter().next() else {
            break;
        };
        last = Some((event.at, event.seq));
        all.push(event.seq);
    }
    assert_eq!(all, [4, 1, 2, 3]);
    let through = store
        .session_events(key, EventOrder::Happened(None), 2, 10)
        .await
        .unwrap();
    assert_eq!(through.len(), 2);
}

#[rstest]
#[tokio::test]
async fn the_same_session_again_is_the_same_and_nobody_can_take_anothers(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    create(&store, a_session(ada, "s")).await;
    let again = async |new| store.create_session(new, None, noon()).await.unwrap();
    assert_eq!(again(a_session(ada, "s")).await, CreateSession::Same);
    let other = NewSession {
        content_hash: vec![2],
        ..a_session(ada, "s")
    };
    assert_eq!(again(other).await, CreateSession::Taken);
    create(&store, a_session(bob, "s")).await;
    append(&store, bob, "s", vec![event("b", None)]).await;
    let adas = store.session(ada, "s").await.unwrap().unwrap();
    assert_eq!(adas.last_seq, 0);
}

#[rstest]
#[tokio::test]
async fn what_a_deleted_session_leaves_is_removed_and_shared_texts_stay(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let with_blobs = |id: &str, blobs: &[u8]| NewSession {
        events: (0..1500).map(|n| event(&n.to_string(), None)).collect(),
        blobs: blobs.iter().map(|&of| blob(of)).collect(),
        ..a_session(ada, id)
    };
    let gone = create(&store, with_blobs("gone", &[1, 2])).await;
    let kept = create(&store, with_blobs("kept", &[2, 3])).await;
    let deleted = store.delete_session(ada, "gone".to_owned(), noon()).await;
    assert!(deleted.unwrap());
    assert_eq!(store.session(ada, "gone").await.unwrap(), None);
    assert_eq!(
        append(&store, ada, "gone", vec![event("x", None)]).await,
        AppendEvents::Unknown
    );
    // The id is free at once.
    create(&store, a_session(ada, "gone")).await;
    store.remove_deleted_sessions().await.unwrap();
    assert!(read(&store, gone, EventOrder::Stored(0)).await.is_empty());
    let hashes = [vec![1; 32], vec![2; 32], vec![3; 32]];
    assert!(store.session_blobs(gone, &hashes).await.unwrap().is_empty());
    assert_eq!(store.session_blobs(kept, &hashes).await.unwrap().len(), 2);
    assert_eq!(read(&store, kept, EventOrder::Stored(0)).await.len(), 1000);
}

#[rstest]
#[tokio::test]
async fn sessions_that_rest_for_long_are_deleted_on_request(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    create(&store, a_session(ada, "old")).await;
    create(&store, a_session(ada, "in use")).await;
    let later = noon() + TimeDelta::days(40);
    let append = Append {
        events: vec![event("a", None)],
        ..Append::default()
    };
    store
        .append_events(ada, "in use".to_owned(), append, later)
        .await
        .unwrap();
    let before = later - TimeDelta::days(30);
    assert_eq!(store.idle_sessions(before).await.unwrap(), 1);
    assert_eq!(store.delete_idle_sessions(before, later).await.unwrap(), 1);
    assert_eq!(store.session(ada, "old").await.unwrap(), None);
    assert!(store.session(ada, "in use").await.unwrap().is_some());
}

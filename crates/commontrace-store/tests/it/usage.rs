//! What an account's sessions take up: counted as it changes, limited, and given back by deleting.

use chrono::TimeDelta;
use commontrace_core::UserId;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{
    Append, AppendEvents, CreateSession, NewBlob, NewEvent, NewRun, NewSession, StartRun, Store,
};
use rstest::rstest;

use crate::sessions::{a_session, create};
use crate::support::{TestStore, fresh, noon};

/// An event of ten bytes.
fn event(id: char) -> NewEvent {
    NewEvent {
        id: id.to_string(),
        at: None,
        event: format!("{{\"id\":\"{id}\"}}"),
        large: None,
    }
}

/// A text that takes up this many bytes.
fn blob(bytes: u8) -> NewBlob {
    NewBlob {
        hash: vec![bytes; 32],
        size: 1,
        content: vec![0; bytes.into()],
    }
}

async fn append(store: &Store, user: UserId, events: &str, blobs: &[u8]) -> AppendEvents {
    let append = Append {
        events: events.chars().map(event).collect(),
        blobs: blobs.iter().map(|&bytes| blob(bytes)).collect(),
        ..Append::default()
    };
    let done = store.append_events(user, "s".to_owned(), append, noon());
    done.await.unwrap()
}

#[rstest]
#[tokio::test]
async fn what_is_stored_is_counted_once_and_given_back(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let usage = async |user| store.session_usage(user).await.unwrap();
    let new = NewSession {
        events: vec![event('a')],
        blobs: vec![blob(3)],
        ..a_session(ada, "s")
    };
    let session = create(&store, new).await;
    // What it says of itself, an event and a text.
    assert_eq!(usage(ada).await, 2 + 10 + 3);
    append(&store, ada, "ab", &[3, 4]).await;
    assert_eq!(usage(ada).await, 15 + 10 + 4);
    append(&store, ada, "ab", &[5]).await;
    assert_eq!(usage(ada).await, 29);
    assert!(store.keep_blob(session, blob(6), noon()).await.unwrap());
    assert!(store.share_blob(session, vec![6; 32]).await.unwrap());
    assert!(!store.share_blob(session, vec![7; 32]).await.unwrap());
    assert_eq!(usage(ada).await, 35);
    let stored = store.session(ada, "s").await.unwrap().unwrap();
    assert_eq!(stored.stored_bytes, 35);
    // Each session counts what it needs, also where it is stored once.
    let other = create(&store, a_session(bob, "t")).await;
    assert!(store.share_blob(other, vec![6; 32]).await.unwrap());
    assert_eq!((usage(ada).await, usage(bob).await), (35, 8));
    let deleted = store.delete_session(ada, "s".to_owned(), noon());
    assert!(deleted.await.unwrap());
    assert!(!store.keep_blob(session, blob(8), noon()).await.unwrap());
    assert_eq!((usage(ada).await, usage(bob).await), (0, 8));
    let later = noon() + TimeDelta::days(1);
    assert_eq!(store.delete_idle_sessions(later, later).await.unwrap(), 1);
    assert_eq!(usage(bob).await, 0);
}

#[rstest]
#[tokio::test]
async fn an_account_that_has_stored_enough_stores_no_more_until_it_deletes(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let store = store.handle().limiting_sessions(Some(20));
    let session = create(&store, a_session(ada, "s")).await;
    let full = append(&store, ada, "abc", &[]).await;
    // What begins below the limit is carried out whole; then nothing is.
    assert!(matches!(full, AppendEvents::Appended { appended: 3, .. }));
    assert_eq!(append(&store, ada, "d", &[]).await, AppendEvents::NoRoom);
    let mut known = a_session(ada, "s");
    known.key = fresh();
    for (new, expected) in [
        (known, CreateSession::Same),
        (a_session(ada, "t"), CreateSession::NoRoom),
        (a_session(bob, "t"), CreateSession::Created),
    ] {
        let created = store.create_session(new, None, noon()).await.unwrap();
        assert_eq!(created, expected);
    }
    assert!(!store.keep_blob(session, blob(1), noon()).await.unwrap());
    let run = |files| NewRun {
        id: fresh(),
        request: "{}".to_owned(),
        files,
        idempotency: None,
    };
    let refused = store.start_run(ada, "s".to_owned(), run(vec![blob(1)]), noon());
    assert_eq!(refused.await.unwrap(), StartRun::NoRoom);
    let plain = store.start_run(ada, "s".to_owned(), run(Vec::new()), noon());
    assert!(matches!(plain.await.unwrap(), StartRun::Started(_)));
    let deleted = store.delete_session(ada, "s".to_owned(), noon());
    assert!(deleted.await.unwrap());
    create(&store, a_session(ada, "t")).await;
}

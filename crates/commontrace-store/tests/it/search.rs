//! What PostgreSQL searches by: derived in the transactions that write traces, counted beside them,
//! and made again where it is missing.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use commontrace_core::TraceId;
use commontrace_store::Engine::{Postgres, Sqlite};
use commontrace_store::{
    Connections, EmbeddingModel, Fill, Filter, Location, MakeDocument, Near, NewVector, Patch,
    SearchDocument, Store, Texts, VectorIndex, Wanted, Words,
};
use uuid::Uuid;

use crate::support::{
    QUEUE, TestStore, a_trace, after, an_account, at_once, count, empty, execute, fresh, noon,
};

/// Rules under which each distinct word is a term: its first byte, as a number.
const RULES: MakeDocument = MakeDocument {
    version: 1,
    make: first_letters,
};

fn first_letters(texts: Texts<'_>) -> SearchDocument {
    let words = texts.title.split_whitespace();
    let terms: HashSet<i32> = words.map(|word| i32::from(word.as_bytes()[0])).collect();
    let mut terms: Vec<i32> = terms.into_iter().collect();
    terms.sort_unstable();
    SearchDocument {
        length: terms.len() as u32,
        terms,
        postings: vec![1, 2, 3],
    }
}

fn term(word: char) -> i32 {
    word as i32
}

fn model() -> EmbeddingModel {
    EmbeddingModel {
        id: "model".to_owned(),
        version: "1".to_owned(),
        dimensions: 3,
    }
}

/// A store whose traces can be found.
async fn searchable(store: &TestStore) -> Store {
    let store = store.handle().making_documents(RULES);
    assert!(store.can_search());
    store
}

async fn contributed(store: &TestStore, handle: &Store, title: &str) -> TraceId {
    let author = store.register("author").await;
    let mut new = a_trace(author);
    title.clone_into(&mut new.title);
    let id = new.id;
    handle.contribute(new, None, noon()).await.unwrap();
    id
}

async fn embedded(store: &Store, vector: [f32; 3]) {
    let lease = fresh();
    let jobs = store
        .claim_embeddings(
            QUEUE.to_owned(),
            lease,
            Duration::from_secs(60),
            100,
            after(60),
        )
        .await
        .unwrap();
    let made = jobs
        .iter()
        .map(|job| NewVector {
            job: job.id,
            trace_id: job.subject_id,
            revision: 1,
            vector: vector.to_vec(),
        })
        .collect();
    store
        .store_vectors(model(), lease, made, after(60))
        .await
        .unwrap();
}

async fn with_word(store: &Store, word: char) -> Vec<TraceId> {
    let words = Words {
        any: vec![term(word)],
        ..Words::default()
    };
    found(store, words, None).await
}

async fn near(store: &Store, vector: [f32; 3], exact: bool) -> Vec<TraceId> {
    let near = Near {
        model: store.search_model(&model()).await.unwrap(),
        vector: &vector,
        limit: 10,
        exact,
    };
    found(store, Words::default(), Some(near)).await
}

async fn found(store: &Store, words: Words, near: Option<Near<'_>>) -> Vec<TraceId> {
    let wanted = Wanted {
        words,
        near,
        filter: Filter::default(),
        contexts: false,
    };
    let found = store.search_candidates(&wanted).await.unwrap().found;
    found.into_iter().map(|found| found.id).collect()
}

async fn counted(store: &Store, words: &[char]) -> (u64, u64, Vec<u64>) {
    store.fold_search_changes(true).await.unwrap();
    let terms: Vec<i32> = words.iter().map(|&word| term(word)).collect();
    let found = store.search_statistics(&terms, None).await.unwrap();
    let with = terms
        .iter()
        .map(|term| found.with.get(term).copied().unwrap_or(0));
    (found.documents, found.length, with.collect())
}

#[tokio::test]
async fn what_is_written_is_found_and_what_is_hidden_or_deleted_is_not() {
    let store = TestStore::on(Postgres).await;
    let db = searchable(&store).await;
    let author = store.register("author").await;
    let new = a_trace(author);
    let id = new.id;
    db.contribute(new, None, noon()).await.unwrap();
    assert_eq!(with_word(&db, 'd').await, [id]);
    embedded(&db, [1.0, 2.0, 3.0]).await;
    assert_eq!(near(&db, [1.0, 2.0, 3.0], true).await, [id]);

    let patch = Patch {
        title: Some("apples grow".to_owned()),
        ..Patch::default()
    };
    db.update_trace(id, author, patch, after(1)).await.unwrap();
    assert_eq!(with_word(&db, 'd').await, []);
    assert_eq!(with_word(&db, 'a').await, [id]);

    db.hide_trace(id, None, fresh(), after(2)).await.unwrap();
    assert_eq!(with_word(&db, 'a').await, []);
    assert_eq!(near(&db, [1.0, 2.0, 3.0], false).await, []);
    db.restore_trace(id, None, fresh(), after(3)).await.unwrap();
    assert_eq!(with_word(&db, 'a').await, [id]);
    assert_eq!(near(&db, [1.0, 2.0, 3.0], false).await, [id]);

    db.delete_trace(id, author, after(4)).await.unwrap();
    assert_eq!(with_word(&db, 'a').await, []);
    assert_eq!(near(&db, [1.0, 2.0, 3.0], true).await, []);
    assert_eq!(counted(&db, &['a', 'd']).await, (0, 0, vec![0, 0]));
}

#[tokio::test]
async fn a_handle_without_rules_hides_and_deletes_all_the_same() {
    let store = TestStore::on(Postgres).await;
    let db = searchable(&store).await;
    let hidden = contributed(&store, &db, "apples").await;
    let deleted = contributed(&store, &db, "apples").await;
    store
        .hide_trace(hidden, None, fresh(), noon())
        .await
        .unwrap();
    store
        .remove_trace(deleted, None, fresh(), noon())
        .await
        .unwrap();
    assert_eq!(with_word(&db, 'a').await, []);
}

#[tokio::test]
async fn counts_are_right_whoever_writes_at_the_same_time() {
    let store = TestStore::on(Postgres).await;
    let db = searchable(&store).await;
    let authors = store.accounts(8).await;
    let writers = authors.into_iter().map(|author| {
        let db = db.clone();
        async move {
            for n in 0..6 {
                let mut new = a_trace(author);
                new.title = ["common pear", "common fig"][n % 2].to_owned();
                let id = new.id;
                db.contribute(new, None, noon()).await.unwrap();
                // Counting goes on beside the writing.
                db.fold_search_changes(false).await.unwrap();
                if n == 5 {
                    db.delete_trace(id, author, after(1)).await.unwrap();
                }
            }
        }
    });
    at_once(writers).await;
    assert_eq!(
        counted(&db, &['c', 'p', 'f']).await,
        (40, 80, vec![40, 24, 16])
    );
    assert_eq!(store.rows("search_changes").await, 0);
}

#[tokio::test]
async fn documents_and_vectors_that_are_missing_or_outdated_are_made() {
    let store = TestStore::on(Postgres).await;
    // Written by a process that knows nothing of the tables.
    let (old, hidden) = (
        contributed(&store, &store, "apples").await,
        contributed(&store, &store, "apples").await,
    );
    embedded(&store, [1.0, 0.0, 0.0]).await;
    store.execute("DELETE FROM search_vectors").await;
    let db = searchable(&store).await;
    db.hide_trace(hidden, None, fresh(), noon()).await.unwrap();
    assert_eq!(with_word(&db, 'a').await, []);

    let filled = db
        .fill_search_documents(RULES, Fill::default())
        .await
        .unwrap();
    assert_eq!((filled.last, filled.made), (Some(old), 1));
    let filled = db
        .fill_search_vectors(&model(), Fill::default())
        .await
        .unwrap();
    assert_eq!((filled.last, filled.made), (Some(old), 1));
    assert_eq!(with_word(&db, 'a').await, [old]);
    assert_eq!(near(&db, [1.0, 0.0, 0.0], false).await, [old]);
    let again = db
        .fill_search_documents(RULES, Fill::default())
        .await
        .unwrap();
    assert_eq!((again.last, again.made), (None, 0));

    let newer = MakeDocument {
        version: 2,
        ..RULES
    };
    let filled = db
        .fill_search_documents(newer, Fill::default())
        .await
        .unwrap();
    assert_eq!(filled.made, 1);
    // A node of the earlier version leaves them alone.
    let filled = db
        .fill_search_documents(RULES, Fill::default())
        .await
        .unwrap();
    assert_eq!(filled.made, 0);
    assert_eq!(counted(&db, &['a']).await, (1, 1, vec![1]));
}

#[tokio::test]
async fn an_index_of_vectors_is_built_once_and_again_if_it_was_left_unfinished() {
    let store = TestStore::on(Postgres).await;
    let db = searchable(&store).await;
    let id = contributed(&store, &db, "apples").await;
    embedded(&db, [0.0, 1.0, 0.0]).await;
    let mut lock = db.try_search_lock().await.unwrap().expect("nobody has it");
    assert!(
        db.try_search_lock().await.unwrap().is_none(),
        "one at a time"
    );
    let few = db.build_vector_index(&mut lock, &model(), 2).await.unwrap();
    assert_eq!(few, VectorIndex::TooFew);
    let built = db.build_vector_index(&mut lock, &model(), 1).await.unwrap();
    assert_eq!(built, VectorIndex::Built);
    let again = db.build_vector_index(&mut lock, &model(), 1).await.unwrap();
    assert_eq!(again, VectorIndex::Present);
    store
        .execute(
            "UPDATE pg_index SET indisvalid = FALSE
             WHERE indexrelid = 'search_vectors_hnsw_1'::regclass",
        )
        .await;
    let rebuilt = db.build_vector_index(&mut lock, &model(), 1).await.unwrap();
    assert_eq!(rebuilt, VectorIndex::Built);
    lock.release().await;
    assert_eq!(near(&db, [0.0, 1.0, 0.0], false).await, [id]);
    let long = EmbeddingModel {
        dimensions: 5000,
        ..model()
    };
    let mut lock = db
        .try_search_lock()
        .await
        .unwrap()
        .expect("it was given back");
    let refused = db.build_vector_index(&mut lock, &long, 1).await.unwrap();
    assert_eq!(refused, VectorIndex::TooLong);
}

#[tokio::test]
async fn models_that_servers_search_with_are_not_pruned() {
    let store = TestStore::on(Postgres).await;
    let db = searchable(&store).await;
    let id = contributed(&store, &db, "apples").await;
    embedded(&db, [0.0, 1.0, 0.0]).await;
    let keep = EmbeddingModel {
        version: "2".to_owned(),
        ..model()
    };
    let node = Uuid::from_u128(7);
    db.note_search_model(&model(), node, noon()).await.unwrap();
    let pruned = db.prune_embeddings(keep.clone(), after(60)).await.unwrap();
    assert_eq!((pruned.removed, pruned.in_use), (0, vec![model()]));
    assert_eq!(near(&db, [0.0, 1.0, 0.0], false).await, [id]);

    // It says so no more, or has been gone for long.
    db.forget_search_use(&model(), node).await.unwrap();
    let pruned = db.prune_embeddings(keep.clone(), after(60)).await.unwrap();
    assert_eq!((pruned.removed, pruned.in_use), (1, Vec::new()));
    assert_eq!(near(&db, [0.0, 1.0, 0.0], false).await, []);
    db.note_search_model(&model(), node, noon()).await.unwrap();
    let pruned = db.prune_embeddings(keep, after(3600)).await.unwrap();
    assert_eq!(pruned.in_use, Vec::new());
}

#[tokio::test]
async fn without_the_extension_the_store_works_and_does_not_search() {
    let (superuser, _home) = empty(Postgres).await;
    let Location::Server(url) = &superuser else {
        unreachable!("it is PostgreSQL")
    };
    let role = format!("plain_{}", fresh::<Uuid>().simple());
    let owner = |role: &str| {
        format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO {role}', current_database()); END $$;"
        )
    };
    execute(
        &superuser,
        &format!("CREATE ROLE {role} LOGIN; {}", owner(&role)),
    )
    .await;
    let location = Location::Server(url.replacen("postgres@", &format!("{role}@"), 1));

    let store = Store::open(&location).await.unwrap();
    assert!(!store.can_search());
    let db = store.clone().making_documents(RULES);
    let account = an_account();
    let new = a_trace(account.id);
    let id = new.id;
    db.create_account(account, noon()).await.unwrap();
    db.contribute(new, None, noon()).await.unwrap();
    db.hide_trace(id, None, fresh(), noon()).await.unwrap();
    assert_eq!(
        count(&superuser, "SELECT COUNT(*) FROM search_documents").await,
        0
    );
    assert!(db.try_search_lock().await.unwrap().is_none());
    store.close().await;

    // Once it is there the next start uses it.
    execute(&superuser, "CREATE EXTENSION vector").await;
    let store = Store::open(&location).await.unwrap();
    assert!(store.can_search());
    store.close().await;
    let back = format!(
        "{} REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}",
        owner("CURRENT_USER")
    );
    execute(&superuser, &back).await;
}

#[tokio::test]
async fn a_search_that_nobody_waits_for_any_more_leaves_its_connection_fit_for_writing() {
    let store = TestStore::on(Postgres).await;
    let one = Connections {
        max: 1,
        ..Connections::default()
    };
    let db = Store::open_with(&store.location, &one, None).await.unwrap();
    let db = db.making_documents(RULES);
    // Given up wherever it waits, as when its client hangs up.
    for waits in 0..30 {
        {
            let mut left = waits;
            let mut search = pin!(with_word(&db, 'a'));
            poll_fn(|cx| {
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                search.as_mut().poll(cx).map(drop)
            })
            .await;
        }
        contributed(&store, &db, "apple").await;
    }
    db.close().await;
}

#[tokio::test]
async fn a_search_says_that_it_saw_another_database_once_anybody_has_written() {
    let store = TestStore::on(Postgres).await;
    let db = searchable(&store).await;
    contributed(&store, &db, "apple").await;
    let seen = async || {
        let words = Words {
            any: vec![term('a')],
            ..Words::default()
        };
        let wanted = Wanted {
            words,
            near: None,
            filter: Filter::default(),
            contexts: false,
        };
        let counted = db.search_statistics(&[], None).await.unwrap().snapshot;
        let found = db.search_candidates(&wanted).await.unwrap().snapshot;
        (counted.unwrap(), found.unwrap())
    };
    // Other databases of the server count too, but not at every moment.
    let mut equal = false;
    for _ in 0..200 {
        let (counted, found) = seen().await;
        equal |= counted == found;
    }
    assert!(equal);
    let before = seen().await;
    // Through another handle, as another node would.
    contributed(&store, &store, "pear").await;
    let after = seen().await;
    assert!(before.0 != after.0 && before.1 != after.1 && before.1 != after.0);
}

#[tokio::test]
async fn an_extension_that_the_role_does_not_see_is_like_none() {
    let store = TestStore::on(Postgres).await;
    store
        .execute("DROP EXTENSION vector CASCADE; CREATE SCHEMA apart; CREATE EXTENSION vector SCHEMA apart")
        .await;
    let again = Store::open(&store.location).await.unwrap();
    assert!(!again.can_search());
    again.close().await;
}

#[tokio::test]
async fn a_file_does_not_search_and_says_so() {
    let store = TestStore::on(Sqlite).await;
    let db = store.handle().making_documents(RULES);
    assert!(!db.can_search());
    db.fold_search_changes(true).await.unwrap();
    let filled = db
        .fill_search_documents(RULES, Fill::default())
        .await
        .unwrap();
    assert_eq!(filled.last, None);
    assert!(db.search_statistics(&[], None).await.is_err());
}

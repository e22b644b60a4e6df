//! Changing a trace: its tags stay counted and its past is kept.

use commontrace_core::{TraceId, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{NewTrace, Patch, Trace, UpdateTrace};
use rstest::rstest;

use crate::support::{TestStore, a_trace, after, at_once, counts, embed, fresh, noon, tags};

async fn edited(store: &TestStore, id: TraceId, owner: UserId, patch: Patch) -> Trace {
    match store
        .update_trace(id, owner, patch, after(60))
        .await
        .unwrap()
    {
        UpdateTrace::Done(trace) => {
            assert_eq!(store.trace(id).await.unwrap().as_ref(), Some(&*trace));
            *trace
        }
        refused => panic!("the edit was refused: {refused:?}"),
    }
}

#[rstest]
#[tokio::test]
async fn tags_are_counted_right_through_edits_and_deletions(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let a = store
        .contributed(NewTrace {
            tags: tags(&["sql", "rust"]),
            ..a_trace(ada)
        })
        .await;
    let b = store
        .contributed(NewTrace {
            tags: tags(&["rust"]),
            ..a_trace(ada)
        })
        .await;
    assert_eq!(store.tag_counts().await, counts(&[("rust", 2), ("sql", 1)]));

    let patch = Patch {
        tags: Some(tags(&["go", "sql"])),
        ..Patch::default()
    };
    let trace = edited(&store, a, ada, patch).await;
    assert_eq!(trace.tags.0, ["go", "sql"]);
    assert_eq!(
        store.tag_counts().await,
        counts(&[("go", 1), ("rust", 1), ("sql", 1)])
    );

    store.delete_trace(b, ada, after(90)).await.unwrap();
    assert_eq!(store.tag_counts().await, counts(&[("go", 1), ("sql", 1)]));
    edited(
        &store,
        a,
        ada,
        Patch {
            tags: Some(vec![]),
            ..Patch::default()
        },
    )
    .await;
    assert_eq!(store.tag_counts().await, []);
    assert_eq!(store.rows("trace_tags").await, 0);
}

#[rstest]
#[tokio::test]
async fn tags_are_found_by_their_beginning(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let names = ["c", "c-sharp", "c.net", "c_x", "c0", "ca", "cz", "d", "b"];
    store
        .contributed(NewTrace {
            tags: tags(&names),
            ..a_trace(ada)
        })
        .await;
    let list = async |prefix: &str, limit: i64| -> Vec<String> {
        let tags = store.tags(prefix, limit).await.unwrap();
        tags.into_iter().map(|tag| tag.name).collect()
    };
    assert_eq!(
        list("c", 100).await,
        ["c", "c-sharp", "c.net", "c0", "c_x", "ca", "cz"]
    );
    assert_eq!(list("c", 2).await, ["c", "c-sharp"]);
    assert_eq!(list("c_", 100).await, ["c_x"]);
    assert_eq!(list("c%", 100).await, [""; 0]);
    assert_eq!(list("", 100).await.len(), names.len());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_shared_by_many_writers_at_once_are_counted_right(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let ids = at_once((0..24).map(|n| {
        let store = store.handle();
        async move {
            let mut tags = tags(&["a", "b", "c", "d"]);
            if n % 2 == 0 {
                tags.reverse();
            }
            let new = NewTrace {
                tags,
                ..a_trace(ada)
            };
            let id = new.id;
            store.contribute(new, None, noon()).await.unwrap();
            id
        }
    }))
    .await;
    at_once(ids.into_iter().enumerate().map(|(n, id)| {
        let store = store.handle();
        async move {
            let new = if n % 2 == 0 {
                tags(&["d", "e"])
            } else {
                tags(&["e", "a"])
            };
            let patch = Patch {
                tags: Some(new),
                ..Patch::default()
            };
            store.update_trace(id, ada, patch, after(1)).await.unwrap();
        }
    }))
    .await;
    assert_eq!(
        store.tag_counts().await,
        counts(&[("a", 12), ("d", 12), ("e", 24)])
    );
    assert_eq!(store.rows("trace_tags").await, 48);
}

#[rstest]
#[tokio::test]
async fn an_edit_keeps_what_was_there_before(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let first = store.trace(id).await.unwrap().unwrap();
    assert_eq!(store.revisions(id, 10).await.unwrap(), []);

    let solution = Patch {
        solution_text: Some("second".to_owned()),
        ..Patch::default()
    };
    let second = edited(&store, id, ada, solution).await;
    assert_eq!(
        (second.revision, second.solution_text.as_str()),
        (2, "second")
    );
    assert_eq!((second.updated_at, second.created_at), (after(60), noon()));
    assert_eq!((&second.title, &second.tags), (&first.title, &first.tags));
    let title = Patch {
        title: Some("third".to_owned()),
        ..Patch::default()
    };
    edited(&store, id, ada, title).await;

    let past = store.revisions(id, 10).await.unwrap();
    assert_eq!(
        past.iter().map(|past| past.revision).collect::<Vec<_>>(),
        [2, 1]
    );
    assert_eq!(
        (&past[0].title, past[0].solution_text.as_str()),
        (&first.title, "second")
    );
    assert_eq!(past[1].solution_text, first.solution_text);
    assert_eq!(
        (past[1].context_text.as_str(), &past[1].tags),
        (&*first.context_text, &first.tags)
    );
    assert_eq!((past[1].replaced_by, past[1].replaced_at), (ada, after(60)));
    assert_eq!(past[1].amendment_id, None);
    assert_eq!(store.revisions(id, 1).await.unwrap(), past[..1]);
}

#[rstest]
#[tokio::test]
async fn an_edit_that_changes_no_text_makes_no_revision_and_no_work(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let new = NewTrace {
        embed: Vec::new(),
        review_after: Some(after(1)),
        watch_condition: Some("2.0".to_owned()),
        ..a_trace(ada)
    };
    let title = Some(new.title.clone());
    let id = store.contributed(new).await;
    let nothing = Patch {
        title,
        embed: embed(),
        ..Patch::default()
    };
    let trace = edited(&store, id, ada, nothing).await;
    assert_eq!((trace.revision, trace.review_after), (1, Some(after(1))));
    let dates = Patch {
        review_after: Some(None),
        watch_condition: Some(Some("3.0".to_owned())),
        embed: embed(),
        ..Patch::default()
    };
    let trace = edited(&store, id, ada, dates).await;
    assert_eq!((trace.revision, trace.review_after), (1, None));
    assert_eq!(trace.watch_condition.as_deref(), Some("3.0"));
    assert_eq!(
        (store.rows("revisions").await, store.rows("jobs").await),
        (0, 0)
    );

    let text = Patch {
        title: Some("new".to_owned()),
        embed: embed(),
        ..Patch::default()
    };
    edited(&store, id, ada, text).await;
    assert_eq!(
        (store.rows("revisions").await, store.rows("jobs").await),
        (1, 1)
    );
}

#[rstest]
#[tokio::test]
async fn only_its_author_edits_or_deletes_a_trace(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    let before = store.trace(id).await.unwrap();
    let attempt = async |id: TraceId| {
        let patch = Patch {
            title: Some("mine now".to_owned()),
            ..Patch::default()
        };
        let edit = store.update_trace(id, bob, patch, after(1)).await.unwrap();
        assert_eq!(edit, store.delete_trace(id, bob, after(1)).await.unwrap());
        edit
    };
    assert_eq!(attempt(id).await, UpdateTrace::NotYours);
    assert_eq!(store.trace(id).await.unwrap(), before);
    assert_eq!(attempt(fresh()).await, UpdateTrace::Unknown);
    store
        .hide_trace(id, None, fresh(), after(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        attempt(id).await,
        UpdateTrace::Unknown,
        "others cannot tell that it exists"
    );
    edited(
        &store,
        id,
        ada,
        Patch {
            title: Some("tidied".to_owned()),
            ..Patch::default()
        },
    )
    .await;
    assert!(matches!(
        store.delete_trace(id, ada, after(3)).await.unwrap(),
        UpdateTrace::Done(_)
    ));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_at_once_each_leave_their_revision(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    at_once((0..12).map(|n| {
        let store = store.handle();
        async move {
            let patch = Patch {
                title: Some(format!("edit {n}")),
                ..Patch::default()
            };
            store.update_trace(id, ada, patch, after(n)).await.unwrap();
        }
    }))
    .await;
    assert_eq!(store.trace(id).await.unwrap().unwrap().revision, 13);
    let mut titles: Vec<_> = store
        .revisions(id, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|past| past.title)
        .collect();
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), 12, "no edit overwrote another unseen");
}

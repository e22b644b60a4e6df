//! Listing traces: newest first, every one once, and only those asked for.

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::TraceId;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{Cursor, ListFilter, NewTrace, Store};
use rstest::rstest;

use crate::support::{TestStore, a_trace, after, fresh, noon, tags};

async fn ids(store: &Store, filter: &ListFilter) -> Vec<TraceId> {
    let traces = store.list_traces(filter, None, 100).await.unwrap();
    traces.iter().map(|trace| trace.id).collect()
}

/// Reads page after page, with `between` run before each but the first.
async fn page_through(
    store: &Store,
    filter: &ListFilter,
    limit: i64,
    between: impl AsyncFn(),
) -> Vec<(DateTime<Utc>, TraceId)> {
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.list_traces(filter, cursor, limit).await.unwrap();
        let Some(last) = page.last() else { return seen };
        cursor = Some(Cursor {
            created_at: last.created_at,
            id: last.id,
        });
        assert!(page.len() <= usize::try_from(limit).unwrap());
        seen.extend(page.iter().map(|trace| (trace.created_at, trace.id)));
        between().await;
    }
}

#[rstest]
#[tokio::test]
async fn pages_follow_each_other_newest_first_without_gaps_or_repeats(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let mut expected = Vec::new();
    for n in 0..23 {
        // Some share a moment; the rest of the moments have zero, three or six decimals.
        let created_at = noon() + TimeDelta::microseconds([0, 0, 1, 1_000, 1_000_000][n % 5]);
        expected.push((
            created_at,
            store.contributed_at(a_trace(ada), created_at).await,
        ));
    }
    expected.sort();
    expected.reverse();
    let newcomers = async || {
        store.contributed_at(a_trace(ada), after(3_600)).await;
    };
    for filter in [
        ListFilter::default(),
        ListFilter {
            tag: Some("docker".to_owned()),
            ..Default::default()
        },
    ] {
        let filter = ListFilter {
            contributor: Some(ada),
            ..filter
        };
        let seen = page_through(&store, &filter, 4, newcomers).await;
        let seen: Vec<_> = seen
            .into_iter()
            .filter(|&(at, _)| at < after(3_600))
            .collect();
        assert_eq!(seen, expected, "{filter:?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_list_shows_what_was_asked_for(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let adas = store
        .contributed_at(
            NewTrace {
                tags: tags(&["rust", "sql"]),
                ..a_trace(ada)
            },
            after(1),
        )
        .await;
    let bobs = store
        .contributed_at(
            NewTrace {
                tags: tags(&["rust"]),
                ..a_trace(bob)
            },
            after(2),
        )
        .await;
    let seed = store
        .contributed_at(
            NewTrace {
                tags: tags(&["sql"]),
                is_seed: true,
                ..a_trace(bob)
            },
            after(3),
        )
        .await;
    let check = async |filter: ListFilter, expected: &[TraceId]| {
        assert_eq!(ids(&store, &filter).await, expected, "{filter:?}");
    };
    let all = ListFilter::default;
    let tag = |name: &str| Some(name.to_owned());
    check(all(), &[seed, bobs, adas]).await;
    check(
        ListFilter {
            contributor: Some(ada),
            ..all()
        },
        &[adas],
    )
    .await;
    check(
        ListFilter {
            contributor: Some(bob),
            ..all()
        },
        &[seed, bobs],
    )
    .await;
    check(
        ListFilter {
            tag: tag("rust"),
            ..all()
        },
        &[bobs, adas],
    )
    .await;
    check(
        ListFilter {
            tag: tag("rus"),
            ..all()
        },
        &[],
    )
    .await;
    check(
        ListFilter {
            seed: Some(true),
            ..all()
        },
        &[seed],
    )
    .await;
    check(
        ListFilter {
            seed: Some(false),
            ..all()
        },
        &[bobs, adas],
    )
    .await;
    check(
        ListFilter {
            tag: tag("sql"),
            seed: Some(false),
            ..all()
        },
        &[adas],
    )
    .await;
    check(
        ListFilter {
            contributor: Some(bob),
            tag: tag("sql"),
            seed: Some(true),
        },
        &[seed],
    )
    .await;
}

#[rstest]
#[tokio::test]
async fn a_hidden_trace_is_listed_to_its_author_only(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let shown = store.contributed_at(a_trace(ada), after(1)).await;
    let hidden = store
        .contributed_at(
            NewTrace {
                is_seed: true,
                ..a_trace(ada)
            },
            after(2),
        )
        .await;
    store
        .hide_trace(hidden, None, fresh(), after(3))
        .await
        .unwrap()
        .unwrap();
    let tag = || Some("docker".to_owned());
    assert_eq!(ids(&store, &ListFilter::default()).await, [shown]);
    assert_eq!(
        ids(
            &store,
            &ListFilter {
                tag: tag(),
                ..Default::default()
            }
        )
        .await,
        [shown]
    );
    assert_eq!(
        ids(
            &store,
            &ListFilter {
                seed: Some(true),
                ..Default::default()
            }
        )
        .await,
        []
    );
    let mine = ListFilter {
        contributor: Some(ada),
        ..Default::default()
    };
    assert_eq!(ids(&store, &mine).await, [hidden, shown]);
    assert_eq!(
        ids(&store, &ListFilter { tag: tag(), ..mine }).await,
        [hidden, shown]
    );
}

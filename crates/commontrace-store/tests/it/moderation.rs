//! Flags and moderators: a crowd hides, one person cannot, and a moderator has the last word.

use commontrace_core::trace::FlagCategory;
use commontrace_core::{TraceId, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{FlagTrace, ListFilter, NewFlag, Trace};
use rstest::rstest;

use crate::support::{TestStore, a_trace, after, at_once, fresh, noon};

const FLAGS_TO_HIDE: u32 = 3;

fn a_flag(user_id: UserId, trace_id: TraceId) -> NewFlag {
    NewFlag {
        trace_id,
        user_id,
        category: FlagCategory::Harmful,
        reason: "it deletes the data directory 💥".to_owned(),
    }
}

impl TestStore {
    async fn flag(&self, user: UserId, trace: TraceId, seconds: i64) -> FlagTrace {
        self.flag_trace(a_flag(user, trace), FLAGS_TO_HIDE, after(seconds))
            .await
            .unwrap()
    }

    async fn queue(&self) -> Vec<TraceId> {
        let flagged = self.flagged_traces(100, 0).await.unwrap();
        flagged
            .into_iter()
            .map(|flagged| flagged.trace.id)
            .collect()
    }

    async fn listed(&self) -> Vec<TraceId> {
        let traces = self
            .list_traces(&ListFilter::default(), None, 100)
            .await
            .unwrap();
        traces.into_iter().map(|trace| trace.id).collect()
    }
}

fn flagged(outcome: FlagTrace) -> Trace {
    match outcome {
        FlagTrace::Flagged(trace) => *trace,
        other => panic!("the flag did not count: {other:?}"),
    }
}

#[rstest]
#[tokio::test]
async fn three_independent_accounts_hide_a_trace(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let crowd = store.accounts(3).await;
    for (n, &user) in crowd.iter().enumerate().take(2) {
        let trace = flagged(store.flag(user, id, 10).await);
        assert_eq!((trace.flag_count, trace.hidden_at), (n as i64 + 1, None));
        assert_eq!(trace.flagged_at, Some(after(10)));
    }
    assert_eq!(store.listed().await, [id]);
    let trace = flagged(store.flag(crowd[2], id, 20).await);
    assert_eq!((trace.flag_count, trace.hidden_at), (3, Some(after(20))));
    assert_eq!(trace.changed_at, after(20), "an index must learn of it");
    assert_eq!(store.trace(id).await.unwrap(), Some(trace));
    assert_eq!(store.listed().await, []);
}

#[rstest]
#[tokio::test]
async fn repeats_and_the_author_do_not_help_to_hide(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob, eve) = (
        store.register("ada").await,
        store.register("bob").await,
        store.register("eve").await,
    );
    let id = store.contributed(a_trace(ada)).await;
    flagged(store.flag(bob, id, 1).await);
    for _ in 0..3 {
        assert!(matches!(
            store.flag(bob, id, 2).await,
            FlagTrace::Repeated(_)
        ));
    }
    let trace = flagged(store.flag(ada, id, 3).await);
    assert_eq!(
        trace.flag_count, 1,
        "the author's own flag is kept for the moderator only"
    );
    let trace = flagged(store.flag(eve, id, 4).await);
    assert_eq!((trace.flag_count, trace.hidden_at), (2, None));
    assert_eq!(store.flagged_traces(10, 0).await.unwrap()[0].flags.len(), 3);
    assert_eq!(store.flag(bob, fresh(), 5).await, FlagTrace::Unknown);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_at_once_all_count_and_hide_exactly_then(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let crowd = store.accounts(8).await;
    let outcomes = at_once(crowd.into_iter().map(|user| {
        let store = store.handle();
        async move { store.flag_trace(a_flag(user, id), 5, noon()).await.unwrap() }
    }))
    .await;
    let counted: Vec<Trace> = outcomes
        .into_iter()
        .filter(|outcome| *outcome != FlagTrace::Unknown)
        .map(flagged)
        .collect();
    assert_eq!(
        counted.len(),
        5,
        "once it is hidden there is nothing left to flag"
    );
    let hiding = counted.iter().filter(|trace| trace.hidden_at.is_some());
    assert_eq!(
        hiding.map(|trace| trace.flag_count).collect::<Vec<_>>(),
        [5]
    );
}

#[rstest]
#[tokio::test]
async fn others_cannot_tell_that_a_hidden_trace_exists(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob, eve) = (
        store.register("ada").await,
        store.register("bob").await,
        store.register("eve").await,
    );
    let id = store.contributed(a_trace(ada)).await;
    flagged(store.flag(bob, id, 1).await);
    store
        .hide_trace(id, None, fresh(), after(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.flag(eve, id, 3).await, FlagTrace::Unknown);
    assert!(matches!(
        store.flag(bob, id, 3).await,
        FlagTrace::Repeated(_)
    ));
    assert!(matches!(
        store.flag(ada, id, 3).await,
        FlagTrace::Flagged(_)
    ));
}

#[rstest]
#[tokio::test]
async fn the_queue_shows_the_last_flagged_first_with_every_reason(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let crowd = store.accounts(2).await;
    let mut traces = Vec::new();
    for _ in 0..4 {
        traces.push(store.contributed(a_trace(ada)).await);
    }
    assert_eq!(store.queue().await, []);
    store.flag(crowd[0], traces[0], 10).await;
    store.flag(crowd[0], traces[1], 20).await;
    store.flag(crowd[1], traces[0], 30).await;
    store
        .hide_trace(traces[2], None, fresh(), after(25))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.queue().await, [traces[0], traces[2], traces[1]]);

    let queue = store.flagged_traces(1, 0).await.unwrap();
    assert_eq!(queue.len(), 1);
    let said: Vec<_> = queue[0]
        .flags
        .iter()
        .map(|flag| (flag.user_id, flag.created_at))
        .collect();
    assert_eq!(said, [(crowd[1], after(30)), (crowd[0], after(10))]);
    assert_eq!(queue[0].flags[0].category, FlagCategory::Harmful);
    assert_eq!(queue[0].flags[0].reason, "it deletes the data directory 💥");
    let rest = store.flagged_traces(10, 1).await.unwrap();
    assert_eq!(
        rest.iter().map(|f| f.trace.id).collect::<Vec<_>>(),
        [traces[2], traces[1]]
    );
    assert_eq!(rest[0].flags, [], "a moderator needs no flag to hide");
}

#[rstest]
#[tokio::test]
async fn restoring_shows_a_trace_again_and_settles_its_flags(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, moderator) = (
        store.register("ada").await,
        store.register("moderator").await,
    );
    let id = store.contributed(a_trace(ada)).await;
    let crowd = store.accounts(5).await;
    for &user in &crowd[..3] {
        store.flag(user, id, 10).await;
    }
    let restored = store
        .restore_trace(id, Some(moderator), fresh(), after(20))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (restored.hidden_at, restored.flagged_at, restored.flag_count),
        (None, None, 0)
    );
    assert_eq!(restored.changed_at, after(20));
    assert_eq!(store.trace(id).await.unwrap(), Some(restored));
    assert_eq!(
        (store.queue().await, store.listed().await),
        (vec![], vec![id])
    );

    // Those who were overruled do not count a second time; it takes others.
    assert!(matches!(
        store.flag(crowd[0], id, 30).await,
        FlagTrace::Repeated(_)
    ));
    assert_eq!(store.queue().await, []);
    let trace = flagged(store.flag(crowd[3], id, 40).await);
    assert_eq!((trace.flag_count, trace.hidden_at), (1, None));
    assert_eq!(store.flagged_traces(10, 0).await.unwrap()[0].flags.len(), 1);
    assert_eq!(store.rows("flags").await, 4, "settled flags are kept");
}

#[rstest]
#[tokio::test]
async fn what_moderators_do_is_logged_and_outlives_the_trace(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, moderator) = (
        store.register("ada").await,
        store.register("moderator").await,
    );
    let id = store.contributed(a_trace(ada)).await;
    let hidden = store
        .hide_trace(id, Some(moderator), fresh(), after(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(hidden.hidden_at, Some(after(1)));
    let again = store
        .hide_trace(id, None, fresh(), after(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        again.hidden_at,
        Some(after(1)),
        "it has been hidden since then"
    );
    store
        .restore_trace(id, Some(moderator), fresh(), after(3))
        .await
        .unwrap()
        .unwrap();
    assert!(
        store
            .remove_trace(id, Some(moderator), fresh(), after(4))
            .await
            .unwrap()
    );
    assert_eq!(store.trace(id).await.unwrap(), None);
    assert_eq!(store.tag_counts().await, []);
    assert_eq!(
        store.changes(noon(), 10).await.unwrap().deleted,
        [(id, after(4))]
    );

    for unknown in [id, fresh()] {
        assert_eq!(
            store
                .hide_trace(unknown, None, fresh(), after(5))
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            store
                .restore_trace(unknown, None, fresh(), after(5))
                .await
                .unwrap(),
            None
        );
        assert!(
            !store
                .remove_trace(unknown, None, fresh(), after(5))
                .await
                .unwrap()
        );
    }
    assert_eq!(store.rows("audit_log").await, 4);
    let deletion = "SELECT COUNT(*) FROM audit_log WHERE action = 'delete'
                    AND detail = 'docker healthcheck for postgres' AND actor_id IS NOT NULL";
    assert_eq!(store.count(deletion).await, 1);
}

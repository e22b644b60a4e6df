//! Runs over sessions: one at a time for each, taken up again when a worker dies, ended once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::{RunId, SessionKey, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{
    ClaimedRun, Finding, NewRun, Run, RunEnd, RunHold, RunState, StartRun, Store,
};
use rstest::rstest;
use uuid::Uuid;

use crate::sessions::{a_session, create};
use crate::support::{TestStore, after, fresh, noon};

const LEASE: Duration = Duration::from_secs(20);

async fn start(store: &Store, user: UserId) -> StartRun {
    let new = NewRun {
        id: fresh(),
        request: "{}".to_owned(),
        files: Vec::new(),
        idempotency: None,
    };
    store
        .start_run(user, "s".to_owned(), new, noon())
        .await
        .unwrap()
}

async fn claim(store: &Store, now: DateTime<Utc>) -> Option<(ClaimedRun, Uuid)> {
    let lease = fresh();
    let claimed = store.claim_run(lease, LEASE, now).await.unwrap();
    claimed.map(|run| (run, lease))
}

async fn look(store: &Store, session: SessionKey, id: RunId) -> Run {
    store.run(session, id).await.unwrap().unwrap()
}

/// A store with an account, a session and a run of it that waits.
async fn waiting(engine: Engine) -> (TestStore, UserId, SessionKey, RunId) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let session = create(&store, a_session(ada, "s")).await;
    let StartRun::Started(run) = start(&store, ada).await else {
        panic!("a run is started");
    };
    assert_eq!(run.state, RunState::Queued);
    (store, ada, session, run.id)
}

/// An end with a verdict that no trace is told of.
fn done(verdict: &str) -> RunEnd {
    RunEnd::Done {
        verdict: verdict.to_owned(),
        finding: Finding {
            proof: None,
            score: None,
            summary: "{}".to_owned(),
        },
        wording: None,
    }
}

/// Ends a run; false if the lease is lost.
async fn finish(
    store: &TestStore,
    id: RunId,
    lease: Uuid,
    end: RunEnd,
    now: DateTime<Utc>,
) -> bool {
    const THRESHOLD: u32 = 2;
    let ended = store.finish_run(id, lease, end, THRESHOLD, now).await;
    ended.unwrap().is_some()
}

#[rstest]
#[tokio::test]
async fn a_session_has_one_run_at_a_time_and_keeps_all_of_them(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (store, ada, session, first) = waiting(engine).await;
    assert!(matches!(start(&store, ada).await, StartRun::Active(run) if run.id == first));
    let (run, lease) = claim(&store, noon()).await.unwrap();
    assert_eq!((run.id, run.attempts), (first, 1));
    assert!(claim(&store, noon()).await.is_none());
    let end = done(r#"{"score":1}"#);
    assert!(finish(&store, first, lease, end, after(5)).await);
    let done = look(&store, session, first).await;
    assert_eq!(
        (done.state, done.finished_at),
        (RunState::Done, Some(after(5)))
    );
    assert!(matches!(start(&store, ada).await, StartRun::Started(run) if run.id != first));
    assert_eq!(store.runs(session, 10).await.unwrap().len(), 2);
    let shown = store.session(ada, "s").await.unwrap().unwrap();
    assert_eq!(shown.verdict.as_deref(), Some(r#"{"score":1}"#));
}

#[rstest]
#[tokio::test]
async fn a_run_whose_worker_died_is_taken_up_where_it_was_and_ends_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (store, _, session, id) = waiting(engine).await;
    let (_, dead) = claim(&store, noon()).await.unwrap();
    let kept = Some(r#"{"status":"verified"}"#.to_owned());
    assert!(
        store
            .advance_run(id, dead, RunState::Judging, kept.clone())
            .await
            .unwrap()
    );
    assert!(claim(&store, after(19)).await.is_none());
    let (again, lease) = claim(&store, after(20)).await.unwrap();
    assert_eq!(
        (again.id, again.attempts, again.verification),
        (id, 2, kept)
    );
    assert_eq!(look(&store, session, id).await.state, RunState::Judging);
    // The first one was only slow: it learns that the run is not its own any more.
    let held = store
        .renew_run(id, dead, LEASE, None, after(21))
        .await
        .unwrap();
    assert_eq!(held, RunHold::Lost);
    assert!(!finish(&store, id, dead, done("1"), after(22)).await);
    assert!(finish(&store, id, lease, done("2"), after(23)).await);
    assert!(!finish(&store, id, lease, done("3"), after(24)).await);
    assert_eq!(
        look(&store, session, id).await.verdict.as_deref(),
        Some("2")
    );
}

#[rstest]
#[tokio::test]
async fn a_run_that_ends_its_worker_each_time_fails(#[values(Sqlite, Postgres)] engine: Engine) {
    let (store, _, session, id) = waiting(engine).await;
    let mut now = noon();
    for _ in 0..3 {
        assert!(claim(&store, now).await.is_some());
        now += TimeDelta::seconds(20);
    }
    assert!(claim(&store, now).await.is_none());
    let run = look(&store, session, id).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.error.is_some());
}

#[rstest]
#[tokio::test]
async fn a_run_that_is_not_wanted_any_more_ends_at_once_or_when_its_worker_hears_of_it(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (store, ada, session, id) = waiting(engine).await;
    assert!(store.cancel_run(session, id, after(1)).await.unwrap());
    assert_eq!(look(&store, session, id).await.state, RunState::Cancelled);
    assert!(!store.cancel_run(session, id, after(2)).await.unwrap());
    start(&store, ada).await;
    let (run, lease) = claim(&store, noon()).await.unwrap();
    let renew = || store.renew_run(run.id, lease, LEASE, None, noon());
    assert_eq!(renew().await.unwrap(), RunHold::Held);
    assert!(store.cancel_run(session, run.id, after(3)).await.unwrap());
    assert_eq!(
        look(&store, session, run.id).await.state,
        RunState::Preparing
    );
    assert_eq!(renew().await.unwrap(), RunHold::CancelRequested);
    assert!(finish(&store, run.id, lease, RunEnd::Cancelled, after(4)).await);
}

#[rstest]
#[tokio::test]
async fn a_worker_that_stops_gives_its_run_back(#[values(Sqlite, Postgres)] engine: Engine) {
    let (store, ..) = waiting(engine).await;
    let (run, lease) = claim(&store, noon()).await.unwrap();
    store.return_run(run.id, lease).await.unwrap();
    let (again, _) = claim(&store, noon()).await.unwrap();
    assert_eq!((again.id, again.attempts), (run.id, 1));
}

//! Amendments: proposed by anybody, decided once, and accepted ones become the trace's text.

use commontrace_core::trace::AmendmentStatus::{self, Accepted, Proposed, Rejected};
use commontrace_core::{AmendmentId, TraceId, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{Amendment, Decide, NewAmendment, NewTrace, Store, Trace};
use rstest::rstest;

use crate::support::{TestStore, a_trace, after, at_once, embed, fresh, noon};

fn an_amendment(submitter_id: UserId, trace_id: TraceId) -> NewAmendment {
    NewAmendment {
        id: fresh(),
        trace_id,
        submitter_id,
        improved_solution: "pg_isready --dbname=app".to_owned(),
        explanation: "it also checks the database 🐘".to_owned(),
    }
}

async fn proposed(store: &Store, new: NewAmendment, seconds: i64) -> AmendmentId {
    let id = new.id;
    assert!(store.propose_amendment(new, after(seconds)).await.unwrap());
    id
}

async fn accept(store: &Store, trace: TraceId, id: AmendmentId, actor: UserId) -> Decide {
    store
        .decide_amendment(trace, id, actor, false, true, embed(), after(60))
        .await
        .unwrap()
}

fn decided(outcome: Decide) -> (Amendment, Trace) {
    match outcome {
        Decide::Decided(amendment, trace) => (*amendment, *trace),
        refused => panic!("the decision was refused: {refused:?}"),
    }
}

async fn statuses(store: &Store, trace: TraceId) -> Vec<AmendmentStatus> {
    let all = store.amendments(trace, 100).await.unwrap();
    all.into_iter().map(|amendment| amendment.status).collect()
}

#[rstest]
#[tokio::test]
async fn proposals_are_listed_oldest_first(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let trace = store.contributed(a_trace(ada)).await;
    let late = proposed(&store, an_amendment(bob, trace), 20).await;
    let early = proposed(&store, an_amendment(ada, trace), 10).await;
    let list = store.amendments(trace, 10).await.unwrap();
    assert_eq!(
        list.iter()
            .map(|amendment| amendment.id)
            .collect::<Vec<_>>(),
        [early, late]
    );
    let expected = Amendment {
        id: late,
        trace_id: trace,
        submitter_id: bob,
        improved_solution: "pg_isready --dbname=app".to_owned(),
        explanation: "it also checks the database 🐘".to_owned(),
        status: Proposed,
        decided_by: None,
        decided_at: None,
        created_at: after(20),
    };
    assert_eq!(list[1], expected);
    assert_eq!(store.amendments(trace, 1).await.unwrap().len(), 1);
    assert_eq!(store.amendments(fresh(), 10).await.unwrap(), []);
}

#[rstest]
#[tokio::test]
async fn an_accepted_amendment_becomes_the_traces_new_revision(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store
        .contributed(NewTrace {
            embed: Vec::new(),
            ..a_trace(ada)
        })
        .await;
    let before = store.trace(id).await.unwrap().unwrap();
    let amendment = proposed(&store, an_amendment(bob, id), 10).await;

    let (amendment, trace) = decided(accept(&store, id, amendment, ada).await);
    assert_eq!(
        (amendment.status, amendment.decided_by),
        (Accepted, Some(ada))
    );
    assert_eq!(amendment.decided_at, Some(after(60)));
    assert_eq!(
        store.amendments(id, 10).await.unwrap(),
        std::slice::from_ref(&amendment)
    );
    assert_eq!(
        (trace.revision, &*trace.solution_text),
        (2, "pg_isready --dbname=app")
    );
    assert_eq!((&trace.title, trace.updated_at), (&before.title, after(60)));
    assert_eq!(store.trace(id).await.unwrap(), Some(trace));
    let past = store.revisions(id, 10).await.unwrap();
    assert_eq!(past.len(), 1);
    assert_eq!(past[0].solution_text, before.solution_text);
    assert_eq!(
        past[0].amendment_id,
        Some(amendment.id),
        "the submitter gets the credit"
    );
    assert_eq!(
        store.rows("jobs").await,
        1,
        "the new text is to be embedded"
    );
}

#[rstest]
#[tokio::test]
async fn a_rejected_amendment_leaves_the_trace_as_it_is(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store
        .contributed(NewTrace {
            embed: Vec::new(),
            ..a_trace(ada)
        })
        .await;
    let before = store.trace(id).await.unwrap().unwrap();
    let amendment = proposed(&store, an_amendment(bob, id), 10).await;
    let outcome = store
        .decide_amendment(id, amendment, ada, false, false, embed(), after(60))
        .await
        .unwrap();
    let (amendment, trace) = decided(outcome);
    assert_eq!((amendment.status, &trace), (Rejected, &before));
    assert_eq!(store.trace(id).await.unwrap(), Some(before));
    assert_eq!(
        (store.rows("revisions").await, store.rows("jobs").await),
        (0, 0)
    );
}

#[rstest]
#[tokio::test]
async fn an_amendment_is_decided_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let trace = store.contributed(a_trace(ada)).await;
    let amendment = proposed(&store, an_amendment(ada, trace), 10).await;
    decided(accept(&store, trace, amendment, ada).await);
    for accept in [true, false] {
        let again = store
            .decide_amendment(trace, amendment, ada, false, accept, embed(), after(90))
            .await;
        assert_eq!(again.unwrap(), Decide::AlreadyDecided(Accepted));
    }
    assert_eq!(store.trace(trace).await.unwrap().unwrap().revision, 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_contrary_decisions_at_once_one_holds(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let trace = store.contributed(a_trace(ada)).await;
    let amendment = proposed(&store, an_amendment(ada, trace), 10).await;
    let outcomes = at_once((0..8).map(|n| {
        let store = store.handle();
        async move {
            let accept = n % 2 == 0;
            let decision = store
                .decide_amendment(trace, amendment, ada, false, accept, Vec::new(), noon())
                .await;
            matches!(decision.unwrap(), Decide::Decided(..))
        }
    }))
    .await;
    assert_eq!(outcomes.iter().filter(|&&decided| decided).count(), 1);
    let accepted = statuses(&store, trace).await == [Accepted];
    let revision = store.trace(trace).await.unwrap().unwrap().revision;
    assert_eq!(revision, if accepted { 2 } else { 1 });
}

#[rstest]
#[tokio::test]
async fn only_the_traces_owner_or_a_moderator_decides(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let trace = store.contributed(a_trace(ada)).await;
    let other = store.contributed(a_trace(bob)).await;
    let amendment = proposed(&store, an_amendment(bob, trace), 10).await;
    assert_eq!(
        accept(&store, trace, amendment, bob).await,
        Decide::NotYours
    );
    assert_eq!(
        accept(&store, other, amendment, bob).await,
        Decide::Unknown,
        "of another trace"
    );
    assert_eq!(accept(&store, trace, fresh(), ada).await, Decide::Unknown);
    assert_eq!(
        accept(&store, fresh(), amendment, ada).await,
        Decide::Unknown
    );
    assert_eq!(statuses(&store, trace).await, [Proposed]);

    store
        .hide_trace(trace, None, fresh(), noon())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        accept(&store, trace, amendment, bob).await,
        Decide::Unknown,
        "it is hidden"
    );
    let moderator = store.register("moderator").await;
    let outcome = store
        .decide_amendment(
            trace,
            amendment,
            moderator,
            true,
            true,
            Vec::new(),
            after(60),
        )
        .await;
    assert_eq!(decided(outcome.unwrap()).0.decided_by, Some(moderator));
}

#[rstest]
#[tokio::test]
async fn there_is_nothing_to_amend_in_an_unknown_or_hidden_trace(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let hidden = store.contributed(a_trace(ada)).await;
    store
        .hide_trace(hidden, None, fresh(), noon())
        .await
        .unwrap()
        .unwrap();
    for trace in [hidden, fresh()] {
        assert!(
            !store
                .propose_amendment(an_amendment(bob, trace), noon())
                .await
                .unwrap()
        );
    }
    assert_eq!(store.rows("amendments").await, 0);
}

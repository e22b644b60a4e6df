//! What came of a trace: reported by those who have read it, counted per environment, and once per account.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use commontrace_core::Outcome::{self, DidNotWork, NotRelevant, Worked, WorkedWithChanges};
use commontrace_core::Status::{Pending, Validated};
use commontrace_core::outcome::ENVIRONMENTS_MAX;
use commontrace_core::reputation::wilson;
use commontrace_core::vote::VoteType::{Down, Up};
use commontrace_core::{OutcomeCounts, TraceId, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{
    EnvironmentOutcomes, NewOutcome, Patch, Read, ReportOutcome, Trace, UpdateTrace,
};
use rstest::rstest;

use crate::support::{THRESHOLD, TestStore, a_trace, after, at_once, fresh, noon};

fn on(os: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("os".to_owned(), os.to_owned())])
}

fn a_report(user: UserId, trace: TraceId, outcome: Outcome, os: &str) -> NewOutcome {
    NewOutcome {
        trace_id: trace,
        user_id: user,
        outcome,
        environment: on(os),
        note: None,
        revision: None,
        opened: None,
    }
}

/// Counts in the order of the columns.
fn counts(counts: [i64; 4]) -> OutcomeCounts {
    let [worked, worked_with_changes, did_not_work, not_relevant] = counts;
    OutcomeCounts {
        worked,
        worked_with_changes,
        did_not_work,
        not_relevant,
    }
}

impl TestStore {
    async fn opens(&self, user: UserId, trace: TraceId, revision: i64) {
        let read = Read {
            user,
            trace,
            revision,
            at: noon(),
        };
        self.add_reads(vec![read]).await.unwrap();
    }

    async fn try_report(&self, new: NewOutcome) -> ReportOutcome {
        self.report_outcome(new, THRESHOLD, after(5)).await.unwrap()
    }

    async fn report(&self, user: UserId, trace: TraceId, outcome: Outcome, os: &str) -> Trace {
        reported(self.try_report(a_report(user, trace, outcome, os)).await)
    }

    async fn rewrite(&self, trace: TraceId, owner: UserId) -> Trace {
        let patch = Patch {
            solution_text: Some("curl example.invalid/x | sh".to_owned()),
            ..Patch::default()
        };
        match self.update_trace(trace, owner, patch, after(60)).await {
            Ok(UpdateTrace::Done(trace)) => *trace,
            refused => panic!("the edit was refused: {refused:?}"),
        }
    }

    async fn environments(&self, trace: &Trace) -> Vec<EnvironmentOutcomes> {
        self.outcome_environments(trace.id, trace.text_revision, 10)
            .await
            .unwrap()
    }
}

/// A store with a trace of ada's that bob has opened.
async fn opened(engine: Engine) -> (TestStore, UserId, UserId, TraceId) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    store.opens(bob, id, 1).await;
    (store, ada, bob, id)
}

#[track_caller]
fn reported(outcome: ReportOutcome) -> Trace {
    match outcome {
        ReportOutcome::Reported { trace, .. } => *trace,
        refused => panic!("the report was refused: {refused:?}"),
    }
}

#[rstest]
#[tokio::test]
async fn only_who_has_opened_a_trace_reports_and_never_its_author(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    let report = |user, trace| store.try_report(a_report(user, trace, Worked, "linux"));
    assert_eq!(report(bob, id).await, ReportOutcome::NotRead(1));
    assert_eq!(report(ada, id).await, ReportOutcome::OwnTrace);
    assert_eq!(report(bob, fresh()).await, ReportOutcome::Unknown);
    store.opens(bob, id, 1).await;
    let trace = reported(report(bob, id).await);
    assert_eq!(trace.outcomes, counts([1, 0, 0, 0]));
    assert!((trace.trust_score - wilson(2, 0)).abs() < 1e-12);
    assert_eq!(trace.changed_at, after(5));
    assert_eq!(store.trace(id).await.unwrap(), Some(trace));
    let hidden = store.hide_trace(id, None, fresh(), noon()).await.unwrap();
    hidden.unwrap();
    assert_eq!(report(bob, id).await, ReportOutcome::Unknown);
    let reputation = store.reputation(ada).await.unwrap().unwrap();
    assert_eq!((reputation.up_votes, reputation.down_votes), (0, 0));
}

#[rstest]
#[tokio::test]
async fn what_the_node_saw_opened_counts_before_it_is_written(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    let new = NewOutcome {
        opened: Some(1),
        ..a_report(bob, id, Worked, "linux")
    };
    reported(store.try_report(new).await);
}

#[rstest]
#[tokio::test]
async fn a_report_replaces_the_one_from_the_same_environment(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (store, _, bob, id) = opened(engine).await;
    for (outcome, replaced) in [(Worked, false), (DidNotWork, true), (DidNotWork, true)] {
        let done = store.try_report(a_report(bob, id, outcome, "linux")).await;
        assert!(
            matches!(&done, ReportOutcome::Reported { replaced: was, .. } if *was == replaced),
            "{done:?}"
        );
    }
    let trace = store.trace(id).await.unwrap().unwrap();
    assert_eq!(trace.outcomes, counts([0, 0, 1, 0]));
    let linux = EnvironmentOutcomes {
        environment: on("linux"),
        outcomes: counts([0, 0, 1, 0]),
    };
    assert_eq!(store.environments(&trace).await, [linux]);
    assert_eq!(store.rows("outcomes").await, 1);
}

#[rstest]
#[tokio::test]
async fn an_account_counts_once_however_many_environments_it_reports_from(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (store, _, bob, id) = opened(engine).await;
    for (outcome, os, expected) in [
        (NotRelevant, "macos", [0, 0, 0, 1]),
        (Worked, "linux", [1, 0, 0, 0]),
        (NotRelevant, "plan9", [1, 0, 0, 0]),
        (WorkedWithChanges, "windows", [0, 1, 0, 0]),
        (NotRelevant, "windows", [1, 0, 0, 0]),
        (NotRelevant, "linux", [0, 0, 0, 1]),
    ] {
        let trace = store.report(bob, id, outcome, os).await;
        assert_eq!(trace.outcomes, counts(expected), "{outcome:?} on {os}");
        let (up, down) = (2 * expected[0] + expected[1], 2 * expected[2]);
        let trust = wilson(up.try_into().unwrap(), down.try_into().unwrap());
        assert!((trace.trust_score - trust).abs() < 1e-12);
        assert_eq!(trace.status, Pending, "nobody validates a trace alone");
        assert_eq!(store.trace(id).await.unwrap(), Some(trace));
    }
    let eve = store.register("eve").await;
    store.opens(eve, id, 1).await;
    let trace = store.report(eve, id, Worked, "linux").await;
    let most = &store.environments(&trace).await[0];
    assert_eq!(most.environment, on("linux"));
    assert_eq!(most.outcomes, counts([1, 0, 0, 1]));
}

#[rstest]
#[tokio::test]
async fn a_vote_and_a_report_of_one_account_do_not_add_up(
    #[values(Sqlite, Postgres)] engine: Engine,
    #[values(true, false)] vote_first: bool,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    for (vote, outcome, up, down) in [
        (Up, Worked, 2, 0),
        (Down, Worked, 2, 0),
        (Up, DidNotWork, 0, 2),
        (Down, WorkedWithChanges, 1, 0),
        (Up, NotRelevant, 1, 0),
    ] {
        let id = store.contributed(a_trace(ada)).await;
        store.opens(bob, id, 1).await;
        if vote_first {
            store.vote(bob, id, vote).await;
            store.report(bob, id, outcome, "linux").await;
        } else {
            store.report(bob, id, outcome, "linux").await;
            store.vote(bob, id, vote).await;
        }
        let trace = store.trace(id).await.unwrap().unwrap();
        assert_eq!(trace.up_votes + trace.down_votes, 1, "votes stay as cast");
        let trust = wilson(up, down);
        assert!(
            (trace.trust_score - trust).abs() < 1e-12,
            "{vote:?}, {outcome:?}"
        );
        // Taking the report back gives the vote its weight again.
        let trace = store.report(bob, id, NotRelevant, "linux").await;
        assert_eq!((trace.replaced_up_votes, trace.replaced_down_votes), (0, 0));
    }
}

#[rstest]
#[tokio::test]
async fn reports_of_two_accounts_validate_and_one_that_it_did_not_work_demotes(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    for (outcome, expected) in [
        (Worked, Pending),
        (WorkedWithChanges, Validated),
        (DidNotWork, Pending),
    ] {
        let user = store.register("reader").await;
        store.opens(user, id, 1).await;
        let trace = store.report(user, id, outcome, "linux").await;
        assert_eq!(trace.status, expected);
    }
}

#[rstest]
#[tokio::test]
async fn reports_do_not_survive_a_rewrite(#[values(Sqlite, Postgres)] engine: Engine) {
    let (store, ada, bob, id) = opened(engine).await;
    store.vote(bob, id, Up).await;
    store.report(bob, id, Worked, "linux").await;
    let trace = store.rewrite(id, ada).await;
    assert_eq!(trace.outcomes, OutcomeCounts::default());
    assert_eq!((trace.replaced_up_votes, trace.trust_score), (0, 0.0));
    assert_eq!(store.trace(id).await.unwrap().as_ref(), Some(&trace));
    assert_eq!(store.environments(&trace).await, []);

    let report = |revision| NewOutcome {
        revision,
        ..a_report(bob, id, DidNotWork, "linux")
    };
    // What was read is another text, whatever is said of it.
    for revision in [None, Some(2)] {
        let refused = store.try_report(report(revision)).await;
        assert_eq!(refused, ReportOutcome::NotRead(2));
    }
    store.opens(bob, id, 2).await;
    let old = store.try_report(report(Some(1))).await;
    assert_eq!(old, ReportOutcome::Rewritten(2));
    let unknown = store.try_report(report(Some(3))).await;
    assert_eq!(unknown, ReportOutcome::NoSuchRevision(2));
    let trace = reported(store.try_report(report(Some(2))).await);
    assert_eq!(trace.outcomes, counts([0, 0, 1, 0]));
    assert_eq!(trace.replaced_up_votes, 0, "the vote was on the old text");
    assert_eq!(store.environments(&trace).await.len(), 1);
    assert_eq!(store.rows("outcomes").await, 1);
}

#[rstest]
#[tokio::test]
async fn one_account_reports_from_a_bounded_number_of_environments(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (store, _, bob, id) = opened(engine).await;
    for n in 0..ENVIRONMENTS_MAX {
        store.report(bob, id, Worked, &format!("os {n}")).await;
    }
    let more = store.try_report(a_report(bob, id, Worked, "linux")).await;
    assert_eq!(more, ReportOutcome::TooManyEnvironments);
    let trace = store.report(bob, id, DidNotWork, "os 3").await;
    assert_eq!(trace.outcomes, counts([0, 0, 1, 0]));
    assert_eq!(store.environments(&trace).await.len(), 10);
}

#[rstest]
#[tokio::test]
async fn any_environment_can_be_reported_from(#[values(Sqlite, Postgres)] engine: Engine) {
    let (store, _, bob, id) = opened(engine).await;
    // Longer than an entry of an index may be.
    let long: BTreeMap<_, _> = commontrace_core::fingerprint::KEYS
        .iter()
        .map(|&key| (key.to_owned(), "🙁".repeat(100)))
        .collect();
    for environment in [BTreeMap::new(), long] {
        let new = NewOutcome {
            environment: environment.clone(),
            ..a_report(bob, id, Worked, "")
        };
        let trace = reported(store.try_report(new).await);
        let known = store.environments(&trace).await;
        assert!(known.iter().any(|one| one.environment == environment));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_and_votes_of_many_at_once_all_count_exactly_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let users = store.accounts(10).await;
    for &user in &users {
        store.opens(user, id, 1).await;
    }
    let actions = users
        .iter()
        .flat_map(|&user| (0..4).map(move |n| (user, n)));
    at_once(actions.map(|(user, n)| {
        let store = store.handle();
        async move {
            if n == 0 {
                let vote = crate::support::a_vote(user, id, Up);
                store.cast_vote(vote, THRESHOLD, noon()).await.unwrap();
            } else {
                let new = a_report(user, id, Worked, ["linux", "macos"][n % 2]);
                store.report_outcome(new, THRESHOLD, noon()).await.unwrap();
            }
        }
    }))
    .await;
    let trace = store.trace(id).await.unwrap().unwrap();
    assert_eq!(trace.outcomes, counts([10, 0, 0, 0]));
    assert_eq!((trace.up_votes, trace.replaced_up_votes), (10, 10));
    assert!((trace.trust_score - wilson(20, 0)).abs() < 1e-12);
    let environments = store.environments(&trace).await;
    let of_each: Vec<_> = environments.iter().map(|one| one.outcomes).collect();
    assert_eq!(of_each, [counts([10, 0, 0, 0]); 2]);
}

#[rstest]
#[tokio::test]
async fn the_newest_revision_that_was_opened_is_known_for_thirty_days(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    // A replica may answer with an older text after a newer one.
    for revision in [1, 3, 2] {
        store.opens(bob, id, revision).await;
    }
    assert_eq!(store.count("SELECT revision FROM trace_reads").await, 3);
    // What is gone by the time it is written does no harm.
    store.opens(fresh(), fresh(), 1).await;
    store.tidy(noon() + TimeDelta::days(30)).await.unwrap();
    assert_eq!(store.rows("trace_reads").await, 2);
    store.tidy(noon() + TimeDelta::days(31)).await.unwrap();
    assert_eq!(store.rows("trace_reads").await, 0);
}

#[rstest]
#[tokio::test]
async fn deleting_a_trace_takes_its_reports_along(#[values(Sqlite, Postgres)] engine: Engine) {
    let (store, ada, bob, id) = opened(engine).await;
    store.report(bob, id, Worked, "linux").await;
    store.delete_trace(id, ada, after(60)).await.unwrap();
    for table in ["outcomes", "outcome_environments"] {
        assert_eq!(store.rows(table).await, 0, "{table}");
    }
}

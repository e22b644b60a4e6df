//! What was acknowledged is there, whatever happened next: a neighbour's error, a full disk, SIGKILL.

#![expect(
    clippy::print_stdout,
    reason = "a child tells its parent what was acknowledged"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;

use commontrace_core::vote::VoteType::Up;
use commontrace_core::{TraceId, UserId};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{
    CastVote, Contribute, CreateAccount, Location, NewAmendment, NewTrace, Store,
};
use rstest::rstest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{
    THRESHOLD, TestStore, a_trace, a_vote, an_account, at_once, fresh, noon, tags,
};

/// The variable that tells a child which store to use.
const CHILDS_STORE: &str = "COMMONTRACE_TEST_CHILDS_STORE";
/// What a child says when it has opened its store.
pub const LINE_OPENED: &str = "opened";
/// Tasks that write at the same time in a child.
const WRITERS: usize = 8;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_at_once_are_all_there_after_a_restart(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let acknowledged = at_once((0..64).map(|_| {
        let store = store.handle();
        async move {
            let new = a_trace(ada);
            let id = new.id;
            assert_eq!(
                store.contribute(new, None, noon()).await.unwrap(),
                Contribute::Created
            );
            id
        }
    }))
    .await;
    store.reopen().await;
    assert_eq!(store.traces(&acknowledged).await.unwrap().len(), 64);
    assert_eq!(
        store.tag_counts().await,
        [("docker".into(), 64), ("postgresql".into(), 64)]
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_does_not_undo_its_neighbours(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let mut store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let outcomes = at_once((0..64).map(|n| {
        let store = store.handle();
        async move {
            let sound = n % 4 != 0;
            // The second of two equal tags fails when the trace and the first are written already.
            let tags = if sound {
                tags(&["good"])
            } else {
                tags(&["bad", "bad"])
            };
            let new = NewTrace {
                tags,
                ..a_trace(ada)
            };
            let id = new.id;
            assert_eq!(store.contribute(new, None, noon()).await.is_ok(), sound);
            (id, sound)
        }
    }))
    .await;
    store.reopen().await;
    for (id, sound) in outcomes {
        assert_eq!(store.trace(id).await.unwrap().is_some(), sound);
    }
    assert_eq!(store.tag_counts().await, [("good".into(), 48)]);
    assert_eq!(
        (store.rows("trace_tags").await, store.rows("jobs").await),
        (48, 48)
    );
}

#[rstest]
#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut store = TestStore::on(engine).await;
    let mut kept = 0;
    for round in 1..=4 {
        store.close().await;
        let mut child = child_in("child_that_writes", &store.location);
        let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        let mut acknowledged = Vec::new();
        while acknowledged.len() < 37 * round {
            match lines.next() {
                Some(line) => acknowledged.push(line.expect("a line of text")),
                None => panic!("the child ended by itself: {:?}", child.wait_with_output()),
            }
        }
        child.kill().expect("the child still runs");
        // What it said before it died is acknowledged too.
        acknowledged.extend(lines.map_while(Result::ok));
        child.wait().expect("it is dead");
        store.reopen().await;
        for line in acknowledged
            .iter()
            .filter_map(|line| line.strip_prefix("ack "))
        {
            assert!(
                is_there(&store, line).await,
                "lost in round {round}: {line}"
            );
            kept += 1;
        }
        assert_whole(&store).await;
    }
    assert!(kept > 200, "only {kept} writes were acknowledged");
}

/// Looks for what a line of [`child_that_writes`] says was stored.
async fn is_there(store: &TestStore, line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    // The last line may have been cut off; all ids have this length.
    let id = |n: usize| words.get(n).filter(|word| word.len() == 36);
    let Some(Ok(trace)) = id(1).map(|word| TraceId::from_str(word)) else {
        return true;
    };
    match words[0] {
        "trace" => store.trace(trace).await.unwrap().is_some(),
        "vote" => {
            let standing = store
                .trace(trace)
                .await
                .unwrap()
                .expect("it was acknowledged before");
            (standing.up_votes, standing.down_votes) == (1, 0)
        }
        "amendment" => store.amendments(trace, 10).await.unwrap().len() == 1,
        other => panic!("unknown line {other}"),
    }
}

/// Checks that no write is there in part.
async fn assert_whole(store: &TestStore) {
    let traces = store.rows("traces").await;
    assert_eq!(store.rows("trace_tags").await, 2 * traces);
    assert_eq!(store.rows("jobs").await, traces);
    let votes = store.rows("votes").await;
    assert_eq!(
        store
            .count("SELECT CAST(SUM(up_votes) AS BIGINT) FROM traces")
            .await,
        votes
    );
    assert_eq!(
        store
            .count("SELECT CAST(SUM(up_votes) AS BIGINT) FROM users")
            .await,
        votes
    );
    if store.engine() == Sqlite {
        let bad = "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
        assert_eq!(store.count(bad).await, 0);
        assert_eq!(
            store
                .count("SELECT COUNT(*) FROM pragma_foreign_key_check")
                .await,
            0
        );
    }
}

#[test]
fn a_full_disk_refuses_writes_whole_and_the_store_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let location = Location::File(dir.path().join("commontrace.db"));
    let output = child_in("child_on_a_full_disk", &location)
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("1 passed"), "the child did not run: {said}");
}

/// Runs one of the tests below in a process of its own, on the store at `location`.
pub fn child_in(test: &str, location: &Location) -> Child {
    let store = match location {
        Location::File(path) => path.to_str().expect("temporary paths are plain text"),
        Location::Server(url) => url,
    };
    let program = std::env::current_exe().expect("this program is a file");
    // Past its file size limit a process gets a signal, unless that is ignored: then an error.
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(program)
        .args([
            "--exact",
            &format!("durability::{test}"),
            "--ignored",
            "--nocapture",
        ])
        .env(CHILDS_STORE, store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program runs again")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the parent hands the store over this way"
)]
fn location_for_child() -> Location {
    let store = std::env::var(CHILDS_STORE).expect("only other tests run this one");
    Location::parse(&store, Path::new("")).unwrap_or_else(|_| Location::File(store.into()))
}

async fn open_for_child() -> Store {
    let store = Store::open(&location_for_child()).await.unwrap();
    println!("\n{LINE_OPENED}");
    store
}

async fn register(store: &Store) -> UserId {
    let new = an_account();
    let id = new.id;
    assert_eq!(
        store.create_account(new, noon()).await.unwrap(),
        CreateAccount::Created
    );
    id
}

#[tokio::test]
#[ignore = "other tests run it as their child"]
async fn child_that_opens() {
    open_for_child().await.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "other tests run it as their child and kill it"]
async fn child_that_writes() {
    let store = open_for_child().await;
    let (ada, bob) = (register(&store).await, register(&store).await);
    at_once((0..WRITERS).map(|_| {
        let store = store.clone();
        async move {
            loop {
                write_one_of_each(&store, ada, bob).await;
            }
        }
    }))
    .await;
}

/// Contributes, votes and amends, and says so each time that it was acknowledged.
async fn write_one_of_each(store: &Store, ada: UserId, bob: UserId) {
    let new = a_trace(ada);
    let trace = new.id;
    assert_eq!(
        store.contribute(new, None, noon()).await.unwrap(),
        Contribute::Created
    );
    println!("ack trace {trace}");
    let vote = a_vote(bob, trace, Up);
    let vote = store.cast_vote(vote, THRESHOLD, noon()).await.unwrap();
    assert!(matches!(vote, CastVote::Cast(_)));
    println!("ack vote {trace}");
    let amendment = NewAmendment {
        id: fresh(),
        trace_id: trace,
        submitter_id: bob,
        improved_solution: "better".to_owned(),
        explanation: "because".to_owned(),
    };
    assert!(store.propose_amendment(amendment, noon()).await.unwrap());
    println!("ack amendment {trace}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "other tests run it as their child"]
async fn child_on_a_full_disk() {
    let location = location_for_child();
    let store = open_for_child().await;
    let ada = register(&store).await;
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    let before = getrlimit(Resource::Fsize);
    let limit = |current| {
        setrlimit(Resource::Fsize, Rlimit { current, ..before }).expect("a soft limit may change");
    };
    limit(Some(2_000_000));
    while refused.is_empty() {
        let outcomes = at_once((0..WRITERS).map(|_| {
            let store = store.clone();
            async move {
                let new = NewTrace {
                    context_text: "x".repeat(40_000),
                    ..a_trace(ada)
                };
                (new.id, store.contribute(new, None, noon()).await)
            }
        }));
        for (id, outcome) in outcomes.await {
            match outcome {
                Ok(_) => stored.push(id),
                Err(err) => {
                    assert!(err.is_unavailable(), "{err:?}");
                    refused.push(id);
                }
            }
        }
    }
    assert!(stored.len() > WRITERS, "it was full from the start");
    let check = async |store: &Store| {
        assert_eq!(store.traces(&stored).await.unwrap().len(), stored.len());
        assert_eq!(
            store.traces(&refused).await.unwrap(),
            [],
            "nothing is half-written"
        );
        let tags = store.tags("docker", 1).await.unwrap();
        assert_eq!(tags[0].trace_count, stored.len() as i64);
    };
    check(&store).await;
    limit(before.current);
    check(&store).await;
    let id = fresh();
    let last = NewTrace {
        id,
        tags: vec![],
        ..a_trace(ada)
    };
    assert_eq!(
        store.contribute(last, None, noon()).await.unwrap(),
        Contribute::Created
    );
    store.close().await;
    let store = Store::open(&location).await.unwrap();
    check(&store).await;
    assert!(store.trace(id).await.unwrap().is_some());
}

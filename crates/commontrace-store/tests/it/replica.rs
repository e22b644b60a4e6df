//! Reading from a streaming standby: only what the reader must not miss, and never at the price of a
//! failure.

use std::time::{Duration, Instant};

use commontrace_core::{TraceId, UserId};
use commontrace_store::{Connections, Location, ReplicaSettings, ReplicaStatus, Store};
use commontrace_testkit::{Cluster, PASSWORD};
use rustix::process::Signal;

use crate::support::{a_trace, an_account, noon};

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);
const MAX_LAG: Duration = Duration::from_secs(2);

struct Replicated {
    cluster: Cluster,
    store: Store,
}

impl Replicated {
    async fn start() -> Self {
        Self::with_max_lag(MAX_LAG).await
    }

    async fn with_max_lag(max_lag: Duration) -> Self {
        let cluster = Cluster::start().await;
        let store = open(&cluster, max_lag).await;
        let replicated = Self { cluster, store };
        replicated
            .until("it is read", |status| status.fault.is_none())
            .await;
        replicated
    }

    fn status(&self) -> ReplicaStatus {
        self.store.replica_status().expect("there is a replica")
    }

    async fn until(&self, what: &str, so: impl Fn(&ReplicaStatus) -> bool) {
        let begun = Instant::now();
        while !so(&self.status()) {
            assert!(
                begun.elapsed() < DEADLINE,
                "not {what}: {:?}",
                self.status()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the replica answers this account: what is known of its position is a moment old.
    async fn until_it_shows(&self, account: UserId, trace: TraceId) {
        self.cluster.caught_up().await;
        let (begun, before) = (Instant::now(), self.status().reads);
        while self.status().reads == before {
            assert!(begun.elapsed() < DEADLINE, "not read: {:?}", self.status());
            self.sees(account, trace).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn register(&self) -> UserId {
        let new = an_account();
        let id = new.id;
        let store = self.store.for_writes_of(id);
        store.create_account(new, noon()).await.unwrap();
        id
    }

    /// Contributes as `account`, and returns the handle that it was done through.
    async fn contribute(&self, account: UserId) -> (TraceId, Store) {
        let (new, store) = (a_trace(account), self.store.for_writes_of(account));
        let id = new.id;
        store.contribute(new, None, noon()).await.unwrap();
        (id, store)
    }

    async fn sees(&self, account: UserId, trace: TraceId) -> bool {
        let store = self.store.for_reads_of(account, None);
        store.trace(trace).await.unwrap().is_some()
    }
}

async fn open(cluster: &Cluster, max_lag: Duration) -> Store {
    let location = Location::Server(cluster.primary.url());
    let replica = ReplicaSettings {
        url: cluster.standby.url(),
        max_lag,
    };
    Store::open_with(&location, &Connections::default(), Some(&replica))
        .await
        .expect("the primary answers")
}

#[tokio::test]
async fn reads_go_to_the_replica_and_an_account_sees_what_it_has_written() {
    let replicated = Replicated::start().await;
    let (ada, bob) = (replicated.register().await, replicated.register().await);
    let (old, _) = replicated.contribute(ada).await;
    replicated.until_it_shows(bob, old).await;

    let before = replicated.status();
    assert!(replicated.sees(bob, old).await);
    let after = replicated.status();
    assert_eq!(after.reads, before.reads + 1, "{before:?} {after:?}");

    // From here on the replica shows what was there and nothing newer.
    replicated
        .cluster
        .standby
        .execute("SELECT pg_wal_replay_pause()")
        .await;
    let (new, written_through) = replicated.contribute(ada).await;
    assert!(replicated.sees(ada, new).await, "who wrote it sees it");
    assert!(
        !replicated.sees(bob, new).await,
        "bob reads from the replica"
    );

    // Bob was told of it by ada, with the position; through another node nobody knows of her write.
    let position = written_through.written_up_to().expect("there is a replica");
    let told = replicated.store.for_reads_of(bob, Some(position));
    assert!(told.trace(new).await.unwrap().is_some());
    let node = open(&replicated.cluster, Duration::from_secs(600)).await;
    let there = async |seen| {
        let store = node.for_reads_of(ada, seen);
        store.trace(new).await.unwrap().is_some()
    };
    assert!(!there(None).await, "this is why the position is handed out");
    assert!(there(Some(position)).await);
    node.close().await;
    replicated.store.close().await;
}

#[tokio::test]
async fn a_replica_that_lags_is_left_alone_and_used_again_when_it_has_caught_up() {
    let replicated = Replicated::start().await;
    let (ada, bob) = (replicated.register().await, replicated.register().await);
    replicated
        .cluster
        .standby
        .execute("SELECT pg_wal_replay_pause()")
        .await;
    let (new, _) = replicated.contribute(ada).await;
    replicated
        .until("too late", |status| {
            status
                .fault
                .as_deref()
                .is_some_and(|fault| fault.contains("behind"))
        })
        .await;
    assert!(
        replicated.sees(bob, new).await,
        "everybody reads from the primary"
    );
    replicated
        .cluster
        .standby
        .execute("SELECT pg_wal_replay_resume()")
        .await;
    replicated.until_it_shows(bob, new).await;
    let before = replicated.status().reads;
    assert!(replicated.sees(bob, new).await);
    assert_eq!(replicated.status().reads, before + 1);
    replicated.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_fails_because_the_replica_is_killed_or_stands_still() {
    let mut replicated = Replicated::with_max_lag(Duration::from_secs(60)).await;
    let ada = replicated.register().await;
    let (trace, _) = replicated.contribute(ada).await;
    for fault in ["killed", "stopped", "frozen"] {
        replicated.cluster.caught_up().await;
        replicated
            .until("read", |status| status.fault.is_none())
            .await;
        assert!(replicated.sees(ada, trace).await);
        match fault {
            "killed" => replicated.cluster.standby.kill(),
            "stopped" => replicated.cluster.standby.stop(),
            // Its processes keep their connections and answer nothing.
            _ => replicated.cluster.standby.signal_all(Signal::STOP),
        }
        let begun = Instant::now();
        while replicated.status().fault.is_none() {
            assert!(begun.elapsed() < DEADLINE);
            assert!(replicated.sees(ada, trace).await, "{fault}");
        }
        assert!(replicated.sees(ada, trace).await, "{fault}");
        match fault {
            "frozen" => replicated.cluster.standby.signal_all(Signal::CONT),
            _ => replicated.cluster.standby.start().await,
        }
    }
    replicated
        .until("read", |status| status.fault.is_none())
        .await;
    replicated.store.close().await;
}

#[tokio::test]
async fn what_is_no_replica_of_this_database_is_not_read() {
    let replicated = Replicated::start().await;
    let primary = replicated.cluster.primary.url();
    let standby = replicated.cluster.standby.url();
    for (url, why) in [
        (primary.clone(), "not a standby"),
        (
            standby.replace("/postgres?", "/template1?"),
            "another database",
        ),
        (
            replicated.cluster.standby.url_with("wrong-horse"),
            "authentication",
        ),
        (standby.replace("/standby", "/nowhere"), "No such file"),
    ] {
        let settings = ReplicaSettings {
            url,
            max_lag: MAX_LAG,
        };
        let location = Location::Server(primary.clone());
        let store = Store::open_with(&location, &Connections::default(), Some(&settings))
            .await
            .expect("the primary is enough");
        let fault = store
            .replica_status()
            .unwrap()
            .fault
            .expect("it is not read");
        assert!(fault.contains(why), "{fault}");
        let told = format!("{fault} {settings:?} {location:?} {store:?}");
        assert!(
            !told.contains(PASSWORD) && !told.contains("wrong-horse"),
            "{told}"
        );
        store.close().await;
    }
    replicated.store.close().await;
}

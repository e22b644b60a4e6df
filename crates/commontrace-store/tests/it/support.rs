//! A store of its own for each test, people to act in it, and things for them to say.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::vote::VoteType;
use commontrace_core::{Status, TraceContext, TraceId, UserId};
use commontrace_store::{
    CastVote, Contribute, CreateAccount, Engine, Location, NewAccount, NewJob, NewTrace, NewVote,
    Store,
};
pub use commontrace_testkit::{Home, empty};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

/// The queue that traces of [`a_trace`] are embedded by.
pub const QUEUE: &str = "model@1/3";
/// The trace that [`embed`] asks to be part of.
pub const TRACE: TraceContext = TraceContext {
    trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
    span_id: 0x00f0_67aa_0ba9_02b7,
    sampled: true,
};
/// How many net up-votes validate a trace in these tests.
pub const THRESHOLD: u32 = 2;

/// A store on a database of its own, which is removed with it.
pub struct TestStore {
    store: Store,
    pub location: Location,
    _home: Home,
}

impl TestStore {
    /// Opens an empty store on `engine`.
    pub async fn on(engine: Engine) -> Self {
        let (location, home) = empty(engine).await;
        let store = Store::open(&location).await.expect("an empty store opens");
        Self {
            store,
            location,
            _home: home,
        }
    }

    /// Closes the store and opens it again, as a restart does.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Store::open(&self.location)
            .await
            .expect("the store opens again");
    }

    /// Opens another handle on the same store, as another process does.
    pub async fn another_handle(&self) -> Store {
        Store::open(&self.location)
            .await
            .expect("a store can be opened twice")
    }

    /// A handle that a task may keep.
    pub fn handle(&self) -> Store {
        self.store.clone()
    }

    /// Registers an account.
    pub async fn register(&self, name: &str) -> UserId {
        let new = NewAccount {
            display_name: Some(name.to_owned()),
            ..an_account()
        };
        let id = new.id;
        let created = self.create_account(new, noon()).await;
        assert_eq!(
            created.expect("an account is created"),
            CreateAccount::Created
        );
        id
    }

    /// Registers as many accounts.
    pub async fn accounts(&self, count: usize) -> Vec<UserId> {
        let mut accounts = Vec::with_capacity(count);
        for n in 0..count {
            accounts.push(self.register(&format!("account {n}")).await);
        }
        accounts
    }

    /// Contributes a trace at noon and returns its id.
    pub async fn contributed(&self, new: NewTrace) -> TraceId {
        self.contributed_at(new, noon()).await
    }

    /// Contributes a trace and returns its id.
    pub async fn contributed_at(&self, new: NewTrace, now: DateTime<Utc>) -> TraceId {
        let id = new.id;
        let outcome = self
            .contribute(new, None, now)
            .await
            .expect("a trace is contributed");
        assert_eq!(outcome, Contribute::Created);
        id
    }

    /// Casts a vote at noon.
    pub async fn vote(&self, voter: UserId, trace: TraceId, vote: VoteType) -> CastVote {
        self.cast_vote(a_vote(voter, trace, vote), THRESHOLD, noon())
            .await
            .expect("a vote is heard")
    }

    /// The tags in use and how many traces carry each.
    pub async fn tag_counts(&self) -> Vec<(String, i64)> {
        let tags = self.tags("", 100).await.expect("tags are listed");
        tags.into_iter()
            .map(|tag| (tag.name, tag.trace_count))
            .collect()
    }

    /// Runs a statement on the bare database.
    pub async fn execute(&self, sql: &str) {
        execute(&self.location, sql).await;
    }

    /// Asks the bare database for a number.
    pub async fn count(&self, sql: &str) -> i64 {
        count(&self.location, sql).await
    }

    /// How many rows a table has.
    pub async fn rows(&self, table: &str) -> i64 {
        self.count(&format!("SELECT COUNT(*) FROM {table}")).await
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// Runs a statement on the bare database at `location`.
pub async fn execute(location: &Location, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    match location {
        Location::File(path) => {
            let options = SqliteConnectOptions::new().filename(path);
            let mut db = options.connect().await.expect("the file opens");
            sqlx::raw_sql(sql)
                .execute(&mut db)
                .await
                .expect("the statement runs");
        }
        Location::Server(url) => {
            let mut db = PgConnection::connect(url)
                .await
                .expect("the server answers");
            sqlx::raw_sql(sql)
                .execute(&mut db)
                .await
                .expect("the statement runs");
        }
    }
}

/// Asks the bare database at `location` for a number.
pub async fn count(location: &Location, sql: &str) -> i64 {
    let sql = AssertSqlSafe(sql.to_owned());
    match location {
        Location::File(path) => {
            let options = SqliteConnectOptions::new().filename(path);
            let mut db = options.connect().await.expect("the file opens");
            sqlx::query_scalar(sql)
                .fetch_one(&mut db)
                .await
                .expect("a number")
        }
        Location::Server(url) => {
            let mut db = PgConnection::connect(url)
                .await
                .expect("the server answers");
            sqlx::query_scalar(sql)
                .fetch_one(&mut db)
                .await
                .expect("a number")
        }
    }
}

/// An id that no other call returns, here or in a child process; later ones are greater.
pub fn fresh<T: From<Uuid>>() -> T {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let process = u64::from(std::process::id());
    Uuid::from_u64_pair(process, NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

/// The moment at which most stories begin.
pub fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a literal time")
}

/// So many seconds after noon.
pub fn after(seconds: i64) -> DateTime<Utc> {
    noon() + TimeDelta::seconds(seconds)
}

/// An account without a name, an address or a key.
pub fn an_account() -> NewAccount {
    NewAccount {
        id: fresh(),
        email: None,
        display_name: None,
        can_contribute: true,
        is_moderator: false,
        is_seed: false,
        key_hash: None,
    }
}

/// A plain trace with two tags, to be embedded.
pub fn a_trace(contributor: UserId) -> NewTrace {
    NewTrace {
        id: fresh(),
        contributor_id: contributor,
        title: "docker healthcheck for postgres".to_owned(),
        context_text: "the container is up before the server accepts connections".to_owned(),
        solution_text: "HEALTHCHECK CMD pg_isready -U postgres".to_owned(),
        tags: tags(&["docker", "postgresql"]),
        context: BTreeMap::new(),
        metadata_json: None,
        agent_model: None,
        agent_version: None,
        is_seed: false,
        status: Status::Pending,
        trust_score: 0.0,
        review_after: None,
        watch_condition: None,
        supersedes: None,
        evidence: None,
        embed: embed(),
    }
}

/// A new job in [`QUEUE`].
pub fn embed() -> Vec<NewJob> {
    vec![NewJob {
        id: fresh(),
        queue: QUEUE.to_owned(),
        trace_context: Some(TRACE),
    }]
}

pub fn tags(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Tags with their counts, as [`TestStore::tag_counts`] returns them.
pub fn counts(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected
        .iter()
        .map(|&(name, count)| (name.to_owned(), count))
        .collect()
}

/// A vote with a reason where one is needed.
pub fn a_vote(voter: UserId, trace: TraceId, vote_type: VoteType) -> NewVote {
    NewVote {
        id: fresh(),
        trace_id: trace,
        voter_id: voter,
        vote_type,
        revision: None,
        feedback_tag: (vote_type == VoteType::Down).then(|| "wrong".to_owned()),
        feedback_text: None,
        voter_context: None,
    }
}

/// Runs all of these at once, each as a task of its own, and returns what they returned.
pub async fn at_once<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut done = Vec::with_capacity(running.len());
    for task in running {
        done.push(task.await.expect("no task panics"));
    }
    done
}

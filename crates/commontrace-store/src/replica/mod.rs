//! Reading from a streaming replica, as far as nobody can tell the difference.
//!
//! A read goes to the replica if it is there, keeps up, and has replayed what the reading account
//! has written. Otherwise, and when the replica fails in the middle, it goes to the primary.

mod lag;
mod marks;
mod watch;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use commontrace_core::UserId;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use crate::error::reason;
use crate::{Connections, Error, Result, Store, WalPosition, postgres};
use marks::Marks;

/// Longest time that a read waits for the replica before it goes to the primary.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where a replica is and how it is used.
#[derive(Clone)]
pub struct ReplicaSettings {
    /// Its address.
    pub url: String,
    /// How far it may be behind.
    pub max_lag: Duration,
}

/// Without the address, which may hold a password.
impl fmt::Debug for ReplicaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaSettings")
            .field("max_lag", &self.max_lag)
            .finish_non_exhaustive()
    }
}

/// A replica and what is known of it.
#[derive(Debug)]
pub(crate) struct Replica {
    pool: PgPool,
    /// How far it has replayed; 0 while it is not to be read.
    replayed: AtomicU64,
    marks: Mutex<Marks>,
    state: Mutex<State>,
    reads: AtomicU64,
    reads_on_primary: AtomicU64,
}

/// What was seen of the replica last.
#[derive(Debug, Default)]
struct State {
    lag: Duration,
    /// Why it is not read.
    fault: Option<String>,
}

/// How a replica does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Why it is not read; none if it is.
    pub fault: Option<String>,
    /// How far it was behind when it was asked last.
    pub lag: Duration,
    /// Statements that it has answered.
    pub reads: u64,
    /// Statements that went to the primary in its place.
    pub reads_on_primary: u64,
}

/// For whom a handle of the store reads and writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beneficiary {
    account: Option<UserId>,
    /// What the replica must have replayed to be read; nothing where the primary is to be read.
    needs: Option<WalPosition>,
    /// Up to where this handle has written; 0 if it has not.
    written: Arc<AtomicU64>,
}

impl Replica {
    /// Prepares to read from a replica of `primary`, and asks it for the first time. One that is
    /// away is no error: it may come.
    pub async fn open(
        settings: &ReplicaSettings,
        connections: &Connections,
        primary: &PgConnectOptions,
    ) -> Result<Arc<Self>> {
        let options = postgres::options(&settings.url).map_err(|err| match err {
            Error::Address(why) => Error::Address(format!("of the replica: {why}")),
            err => err,
        })?;
        let replica = Arc::new(Self {
            pool: connections.pool(&options),
            replayed: AtomicU64::new(0),
            marks: Mutex::default(),
            state: Mutex::default(),
            reads: AtomicU64::new(0),
            reads_on_primary: AtomicU64::new(0),
        });
        watch::start(&replica, primary.clone(), options, settings.max_lag).await;
        Ok(replica)
    }

    /// Returns the connections to it.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Runs one read on the replica. None if it should be repeated on the primary.
    pub async fn read<T>(
        &self,
        read: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Option<Result<T, sqlx::Error>> {
        let fault = match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(found)) => {
                self.reads.fetch_add(1, Ordering::Relaxed);
                return Some(Ok(found));
            }
            // The primary gives the same answer if the statement is to blame.
            Ok(Err(err)) => reason(&err),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        tracing::debug!(error = fault, "a read goes to the primary: {fault}");
        self.reads_on_primary.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Notes where a write of `account` was committed, if that could be found out.
    pub fn note(&self, account: UserId, position: Option<WalPosition>) {
        match position {
            Some(position) => self.marks().note(account, position),
            None => self.marks().note_unknown(Instant::now()),
        }
    }

    fn has_replayed(&self, needed: WalPosition) -> bool {
        let replayed = self.replayed.load(Ordering::Acquire);
        replayed > 0 && replayed >= needed.0
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> ReplicaStatus {
        let state = self.state();
        ReplicaStatus {
            fault: state.fault.clone(),
            lag: state.lag,
            reads: self.reads.load(Ordering::Relaxed),
            reads_on_primary: self.reads_on_primary.load(Ordering::Relaxed),
        }
    }
}

impl Store {
    /// Returns a handle for an account that reads: from the replica, if there is one that has
    /// replayed what the account has written through this process and, given `seen`, elsewhere.
    pub fn for_reads_of(&self, account: UserId, seen: Option<WalPosition>) -> Self {
        let needed = self
            .replica
            .as_ref()
            .and_then(|replica| replica.marks().needed(account, Instant::now()));
        self.with_beneficiary(Beneficiary {
            account: Some(account),
            needs: needed.map(|needed| needed.max(seen.unwrap_or_default())),
            written: Arc::default(),
        })
    }

    /// Returns a handle for an account that writes: it reads from the primary, and remembers where
    /// it has written for the account's reads to come.
    pub fn for_writes_of(&self, account: UserId) -> Self {
        self.with_beneficiary(Beneficiary {
            account: Some(account),
            needs: None,
            written: Arc::default(),
        })
    }

    fn with_beneficiary(&self, beneficiary: Beneficiary) -> Self {
        Self {
            beneficiary,
            ..self.clone()
        }
    }

    /// Returns up to where this handle has written; none without a replica, which nobody needs to
    /// wait for then.
    pub fn written_up_to(&self) -> Option<WalPosition> {
        match self.beneficiary.written.load(Ordering::Acquire) {
            0 => None,
            position => Some(WalPosition(position)),
        }
    }

    /// Returns how the replica does, if there is one.
    pub fn replica_status(&self) -> Option<ReplicaStatus> {
        self.replica.as_ref().map(|replica| replica.status())
    }

    /// Returns the replica if this handle's next statement may read from it.
    pub(crate) fn replica_to_read(&self) -> Option<&Replica> {
        let (replica, needed) = (self.replica.as_deref()?, self.beneficiary.needs?);
        if replica.has_replayed(needed) {
            return Some(replica);
        }
        replica.reads_on_primary.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Returns what notes the writes of this handle, if somebody's reads depend on them.
    pub(crate) fn note_taker(&self) -> Option<NoteTaker> {
        Some(NoteTaker {
            replica: Arc::clone(self.replica.as_ref()?),
            account: self.beneficiary.account?,
            written: Arc::clone(&self.beneficiary.written),
        })
    }
}

/// Notes where the writes of one handle are committed.
pub(crate) struct NoteTaker {
    replica: Arc<Replica>,
    account: UserId,
    written: Arc<AtomicU64>,
}

impl NoteTaker {
    /// Notes a write that has been committed.
    pub fn note(&self, position: Option<WalPosition>) {
        self.replica.note(self.account, position);
        if let Some(position) = position {
            self.written.fetch_max(position.0, Ordering::AcqRel);
        }
    }
}

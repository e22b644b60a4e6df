//! The truth: traces, accounts, votes and everything else that must survive, in SQL.
//!
//! One [`Store`] over SQLite or PostgreSQL; every statement is written once, with `$1` parameters
//! that both accept; claiming a job has dialects, and searching is PostgreSQL's alone. Nothing here
//! ranks, reads a clock or makes up an id: times and ids are handed in.

mod accounts;
mod amendments;
mod announce;
mod backup;
#[cfg(feature = "bulk")]
mod bulk;
mod changes;
mod check;
mod condition;
mod demand;
mod embeddings;
mod error;
mod evidence;
mod housekeeping;
mod idempotency;
mod job_list;
mod jobs;
mod lock;
mod meta;
mod migrate;
mod moderation;
mod outcomes;
#[cfg(test)]
mod plan;
mod pool;
mod postgres;
mod reads;
mod replica;
mod reputation;
mod search;
mod sessions;
mod spans;
mod stats;
mod tags;
mod telemetry;
mod traces;
mod tx;
mod votes;
mod wal;
mod write;

pub use accounts::{Account, CreateAccount, NewAccount};
pub use amendments::{Amendment, Decide, NewAmendment, Revision};
pub use announce::Announcements;
pub use backup::BackupError;
#[cfg(feature = "bulk")]
pub use bulk::BulkTrace;
pub use changes::{Changes, IndexRow};
pub use condition::Condition;
pub use demand::ConnectionCounts;
pub use embeddings::{EmbeddingModel, NewVector, Pruned};
pub use error::{Error, Result};
pub use evidence::{AttachEvidence, EVIDENCE_TRACES_MAX, Finding, NewEvidence, RunVerdict};
pub use idempotency::Idempotency;
pub use job_list::{JobCount, JobState, QueuedJob};
pub use jobs::{FailedJob, Job, JobOutcome, NewJob};
pub use lock::StoreLock;
pub use moderation::{Flag, FlagTrace, Flagged, NewFlag};
pub use outcomes::{EnvironmentOutcomes, NewOutcome, ReportOutcome};
pub use pool::{Engine, Location};
pub use postgres::Connections;
pub use reads::Read;
pub use replica::{ReplicaSettings, ReplicaStatus};
pub use reputation::{DomainReputation, Reputation};
pub use search::{
    COMBINATIONS, Candidates, Fill, Filled, Filter, Found, INDEXED_DIMENSIONS, MakeDocument, Near,
    SearchDocument, Snapshot, Statistics, Texts, VectorIndex, Wanted, Words,
};
pub use sessions::{
    Append, AppendEvents, ClaimedRun, CreateSession, Event, EventOrder, NewBlob, NewEvent, NewRun,
    NewSession, Run, RunEnd, RunHold, RunState, SESSION_EVENTS_MAX, Session, SessionCursor,
    SessionFilter, StartRun, changed_warning,
};
pub use stats::Stats;
pub use tags::TagCount;
pub use telemetry::{Install, TriggerReport};
pub use traces::{
    Contribute, Cursor, FIRST_REVISION, ListFilter, NewTrace, Patch, Relation, Trace, UpdateTrace,
};
pub use votes::{CastVote, NewVote, Vote};
pub use wal::{NotAPosition, WalPosition};

use std::sync::Arc;

use check::Trouble;
use demand::Demand;
use pool::Pool;
use replica::{Beneficiary, Replica};
use search::Derived;
use write::Writer;

/// The store, cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    writer: Writer,
    replica: Option<Arc<Replica>>,
    beneficiary: Beneficiary,
    /// The tables to search in, if the database has them.
    derived: Option<Derived>,
    trouble: Trouble,
    demand: Demand,
    /// Bytes that an account's sessions may take up.
    session_bytes_max: Option<i64>,
}

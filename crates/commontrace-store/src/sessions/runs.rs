//! Runs that find out what a session is worth: asking for one, looking at it and giving it up. What
//! workers do with them is in `leases`.

use chrono::{DateTime, Utc};
use commontrace_core::{RunId, SessionKey, UserId};
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::blobs::{self, NewBlob};
use super::usage;
use crate::idempotency::{self, Earlier};
use crate::pool::on_pool;
use crate::tx::{Tx, on_tx};
use crate::write::execute;
use crate::{Idempotency, Result, Store};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum RunState {
    /// It waits for a worker.
    Queued,
    /// The repository is fetched and its dependencies are set up.
    Preparing,
    /// The tests run.
    Running,
    /// The reasoning is judged.
    Judging,
    /// It has a verdict.
    Done,
    /// It has none, and an error.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl RunState {
    /// Returns the state's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Judging => "judging",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether it stays so.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A run to begin.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Identifies it.
    pub id: RunId,
    /// What is asked for, as JSON.
    pub request: String,
    /// Files that it names by their hashes.
    pub files: Vec<NewBlob>,
    /// How to tell a repeated request.
    pub idempotency: Option<Idempotency>,
}

/// A run as its owner sees it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Run {
    /// Identifies it.
    pub id: RunId,
    /// Where it is.
    pub state: RunState,
    /// What was asked for, as JSON.
    pub request: String,
    /// The session's events that it is about: those up to this number.
    pub events_through: i64,
    /// Where it is in more detail, as JSON.
    pub progress: Option<String>,
    /// The signed verdict, as JSON.
    pub verdict: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// How asking for a run went.
#[derive(Debug, Clone, PartialEq)]
pub enum StartRun {
    /// It is queued.
    Started(Run),
    /// The session has one that has not ended.
    Active(Run),
    /// The same request was carried out before; this was its answer.
    Replayed(Value),
    /// The key was used for another request.
    KeyReused,
    /// The account's sessions take up all the room that they may, and the request has files.
    NoRoom,
    /// The account has no such session.
    Unknown,
}

impl From<Earlier> for StartRun {
    fn from(earlier: Earlier) -> Self {
        match earlier {
            Earlier::Answered(answer) => Self::Replayed(answer),
            Earlier::Other => Self::KeyReused,
        }
    }
}

macro_rules! columns {
    () => {
        "id, state, options AS request, events_through, progress, verdict, error, created_at, started_at, finished_at"
    };
}

impl Store {
    /// Queues a run over all events that the account's session has now, unless one has not ended.
    pub async fn start_run(
        &self,
        user: UserId,
        session: String,
        new: NewRun,
        now: DateTime<Utc>,
    ) -> Result<StartRun> {
        let most = self.session_bytes_max;
        self.write(move |tx| async move { start(tx, user, &session, new, most, now).await }.boxed())
            .await
    }

    /// Returns a run of a session.
    pub async fn run(&self, session: SessionKey, id: RunId) -> Result<Option<Run>> {
        Ok(on_pool!(self, |db| sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM session_runs WHERE session_key = $1 AND id = $2"
        ))
        .bind(session)
        .bind(id)
        .fetch_optional(db)
        .await)?)
    }

    /// Lists a session's runs, the newest first.
    pub async fn runs(&self, session: SessionKey, limit: i64) -> Result<Vec<Run>> {
        Ok(on_pool!(self, |db| sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM session_runs WHERE session_key = $1 ORDER BY created_at DESC, id DESC LIMIT $2"
        ))
        .bind(session)
        .bind(limit)
        .fetch_all(db)
        .await)?)
    }

    /// Asks for a run to stop. One that waits stops at once; returns whether there was one to stop.
    pub async fn cancel_run(
        &self,
        session: SessionKey,
        id: RunId,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        execute!(
            self,
            sqlx::query(
                "UPDATE session_runs SET cancel_requested = TRUE,
                     state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
                     finished_at = CASE WHEN state = 'queued' THEN $3 ELSE finished_at END
                 WHERE session_key = $1 AND id = $2 AND finished_at IS NULL"
            )
            .bind(session)
            .bind(id)
            .bind(now)
        )
        .map(|changed| changed > 0)
    }
}

async fn start(
    tx: &mut Tx<'_>,
    user: UserId,
    session: &str,
    new: NewRun,
    most: Option<i64>,
    now: DateTime<Utc>,
) -> Result<StartRun> {
    if let Some(request) = &new.idempotency
        && let Some(earlier) = idempotency::recall(tx, user, request).await?
    {
        return Ok(earlier.into());
    }
    let session: Option<(SessionKey, i64)> = on_tx!(tx, |db| {
        sqlx::query_as(
        "SELECT key, last_seq FROM sessions WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL"
    )
    .bind(user)
    .bind(session)
    .fetch_optional(db)
    .await
    })?;
    let Some((key, last_seq)) = session else {
        return Ok(StartRun::Unknown);
    };
    if !new.files.is_empty() && !usage::has_room(tx, user, most).await? {
        return Ok(StartRun::NoRoom);
    }
    let started: Option<Run> = on_tx!(tx, |db| sqlx::query_as(concat!(
        "INSERT INTO session_runs (id, session_key, state, options, events_through, attempts,
                                   cancel_requested, created_at)
         VALUES ($1, $2, 'queued', $3, $4, 0, FALSE, $5)
         ON CONFLICT (session_key) WHERE finished_at IS NULL DO NOTHING RETURNING ",
        columns!()
    ))
    .bind(new.id)
    .bind(key)
    .bind(&new.request)
    .bind(last_seq)
    .bind(now)
    .fetch_optional(db)
    .await)?;
    if let Some(started) = started {
        let added = blobs::put(tx, key, &new.files, now).await?;
        usage::add_to_session(tx, user, key, added).await?;
        if let Some(request) = &new.idempotency {
            idempotency::remember_done(tx, user, request, now).await?;
        }
        return Ok(StartRun::Started(started));
    }
    let active: Run = on_tx!(tx, |db| {
        sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM session_runs WHERE session_key = $1 ORDER BY finished_at IS NULL DESC, created_at DESC LIMIT 1"
    ))
    .bind(key)
    .fetch_one(db)
    .await
    })?;
    if let Some(mut request) = new.idempotency.filter(|_| active.request == new.request) {
        request.response = json!(active.id);
        idempotency::remember_done(tx, user, &request, now).await?;
    }
    Ok(StartRun::Active(active))
}

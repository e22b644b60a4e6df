//! Reading sessions and their events, a page at a time.

use chrono::{DateTime, Utc};
use commontrace_core::{SessionKey, UserId};
use sqlx::{Database, Encode, QueryBuilder, Type};

use crate::pool::on_pool;
use crate::{Result, Store};

/// A session without its events.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Session {
    /// Identifies it in the store.
    pub key: SessionKey,
    /// Identifies it within its account.
    pub id: String,
    /// Who debugged.
    pub developer_id: String,
    /// The bug that it is about.
    pub bug_id: Option<String>,
    /// The name of the repository; empty if nobody knows it.
    pub repo_name: String,
    /// The recording tool; `None` if a client posted it.
    pub format: Option<String>,
    /// When it began.
    pub start_time: DateTime<Utc>,
    /// The rest of what it says of itself, as JSON.
    pub header: String,
    /// How many events it has.
    pub last_seq: i64,
    /// How many bytes it takes up.
    pub stored_bytes: i64,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// When something was last appended.
    pub updated_at: DateTime<Utc>,
    /// The newest verdict on it, as JSON.
    pub verdict: Option<String>,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Event {
    /// Its number within the session.
    pub seq: i64,
    /// Its place in time.
    pub at: DateTime<Utc>,
    /// The event as JSON, without its large texts.
    pub event: String,
    /// Where its large texts belong, as JSON, if it has any.
    pub large: Option<String>,
}

/// The order in which events are read, and behind which one to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOrder {
    /// As they were stored, behind this number.
    Stored(i64),
    /// As they happened, behind the event of this moment and number, if any.
    Happened(Option<(DateTime<Utc>, i64)>),
}

/// The last session of a page; the next page begins behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCursor {
    /// When that session was stored.
    pub created_at: DateTime<Utc>,
    /// Its key, which orders sessions of the same moment.
    pub key: SessionKey,
}

/// Which sessions of an account to list.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only this developer's.
    pub developer_id: Option<String>,
    /// Only those about this bug.
    pub bug_id: Option<String>,
    /// Only those in a repository of this name.
    pub repo_name: Option<String>,
    /// Only those that this tool recorded.
    pub format: Option<String>,
    /// Only those that began at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those that began before this moment.
    pub until: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "key, id, developer_id, bug_id, repo_name, format, start_time, header, last_seq, stored_bytes, created_at, updated_at,
         (SELECT verdict FROM session_runs r WHERE r.session_key = sessions.key AND r.state = 'done'
          ORDER BY r.created_at DESC, r.id DESC LIMIT 1) AS verdict"
    };
}

impl Store {
    /// Returns the account's session with this id.
    pub async fn session(&self, user: UserId, id: &str) -> Result<Option<Session>> {
        Ok(on_pool!(self, |db| sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM sessions WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL"
        ))
        .bind(user)
        .bind(id)
        .fetch_optional(db)
        .await)?)
    }

    /// Returns the session with this key, whoever's it is.
    pub async fn session_by_key(&self, key: SessionKey) -> Result<Option<Session>> {
        Ok(on_pool!(self, |db| sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM sessions WHERE key = $1 AND deleted_at IS NULL"
        ))
        .bind(key)
        .fetch_optional(db)
        .await)?)
    }

    /// Lists the account's sessions, the newest first, at most `limit`, beginning behind `after`.
    pub async fn list_sessions(
        &self,
        user: UserId,
        filter: &SessionFilter,
        after: Option<SessionCursor>,
        limit: i64,
    ) -> Result<Vec<Session>> {
        Ok(on_pool!(self, |db| {
            list(user, filter, after, limit)
                .build_query_as()
                .fetch_all(db)
                .await
        })?)
    }

    /// Reads at most `limit` events of a session, none numbered higher than `through`.
    pub async fn session_events(
        &self,
        session: SessionKey,
        order: EventOrder,
        through: i64,
        limit: i64,
    ) -> Result<Vec<Event>> {
        match order {
            EventOrder::Stored(after) => Ok(on_pool!(self, |db| sqlx::query_as(
                "SELECT seq, at, event, large FROM session_events
                 WHERE session_key = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
            )
            .bind(session)
            .bind(after)
            .bind(through)
            .bind(limit)
            .fetch_all(db)
            .await)?),
            EventOrder::Happened(after) => {
                let (at, seq) = after.unwrap_or((beginning_of_time(), 0));
                Ok(on_pool!(self, |db| sqlx::query_as(
                    "SELECT seq, at, event, large FROM session_events
                     WHERE session_key = $1 AND (at, seq) > ($2, $3) AND seq <= $4
                     ORDER BY at, seq LIMIT $5",
                )
                .bind(session)
                .bind(at)
                .bind(seq)
                .bind(through)
                .bind(limit)
                .fetch_all(db)
                .await)?)
            }
        }
    }
}

/// Earlier than any event: clients cannot name a year before 1.
fn beginning_of_time() -> DateTime<Utc> {
    DateTime::from_timestamp(-62_135_596_800, 0).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Writes the statement for either engine, so that an index gives the order.
fn list<'a, DB: Database>(
    user: UserId,
    filter: &'a SessionFilter,
    after: Option<SessionCursor>,
    limit: i64,
) -> QueryBuilder<DB>
where
    &'a str: Encode<'a, DB> + Type<DB>,
    i64: Encode<'a, DB> + Type<DB>,
    DateTime<Utc>: Encode<'a, DB> + Type<DB>,
    SessionKey: Encode<'a, DB> + Type<DB>,
    UserId: Encode<'a, DB> + Type<DB>,
{
    let mut query = QueryBuilder::new(concat!(
        "SELECT ",
        columns!(),
        " FROM sessions WHERE deleted_at IS NULL AND user_id = "
    ));
    query.push_bind(user);
    for (column, wanted) in [
        ("developer_id", &filter.developer_id),
        ("bug_id", &filter.bug_id),
        ("repo_name", &filter.repo_name),
        ("format", &filter.format),
    ] {
        if let Some(wanted) = wanted {
            query.push(format_args!(" AND {column} = "));
            query.push_bind(wanted.as_str());
        }
    }
    if let Some(since) = filter.since {
        query.push(" AND start_time >= ");
        query.push_bind(since);
    }
    if let Some(until) = filter.until {
        query.push(" AND start_time < ");
        query.push_bind(until);
    }
    if let Some(after) = after {
        query.push(" AND (created_at, key) < (");
        query.push_bind(after.created_at);
        query.push(", ");
        query.push_bind(after.key);
        query.push(")");
    }
    query.push(" ORDER BY created_at DESC, key DESC LIMIT ");
    query.push_bind(limit);
    query
}

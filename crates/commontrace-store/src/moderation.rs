//! Flags, hiding and restoring, and the log of who did what.

use chrono::{DateTime, Utc};
use commontrace_core::trace::FlagCategory;
use commontrace_core::{TraceId, UserId};
use futures_util::FutureExt;
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::pool::on_pool;
use crate::traces::{delete, read, read::select_trace};
use crate::tx::{Tx, on_tx};
use crate::{Result, Store, Trace, search};

const FLAGGED: &str = select_trace!(
    "WHERE t.flagged_at IS NOT NULL ORDER BY t.flagged_at DESC, t.id DESC LIMIT $1 OFFSET $2"
);

/// A flag to raise.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct NewFlag {
    pub trace_id: TraceId,
    pub user_id: UserId,
    pub category: FlagCategory,
    pub reason: String,
}

/// A flag as a moderator sees it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Flag {
    pub trace_id: TraceId,
    pub user_id: UserId,
    pub category: FlagCategory,
    pub reason: String,
    pub created_at: DateTime<Utc>,
}

/// How flagging went.
#[derive(Debug, Clone, PartialEq)]
pub enum FlagTrace {
    /// The flag counts; the trace as it stands now, hidden if that was the last flag needed.
    Flagged(Box<Trace>),
    /// This account has flagged it before; nothing changed.
    Repeated(Box<Trace>),
    /// There is no such trace to see.
    Unknown,
}

/// A trace that waits for a moderator, with what was said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flagged {
    /// The trace.
    pub trace: Trace,
    /// The unresolved flags, newest first.
    pub flags: Vec<Flag>,
}

impl Store {
    /// Raises a flag. The trace is hidden when `flags_to_hide` accounts other than its author have
    /// flagged it; an author's own flag is kept but does not count.
    pub async fn flag_trace(
        &self,
        new: NewFlag,
        flags_to_hide: u32,
        now: DateTime<Utc>,
    ) -> Result<FlagTrace> {
        self.write(move |tx| flag(tx, new, flags_to_hide, now).boxed())
            .await
    }

    /// Lists traces with unresolved flags or hidden ones, the last flagged first.
    pub async fn flagged_traces(&self, limit: i64, offset: i64) -> Result<Vec<Flagged>> {
        let traces: Vec<Trace> = on_pool!(self, |db| {
            sqlx::query_as(FLAGGED)
                .bind(limit)
                .bind(offset)
                .fetch_all(db)
                .await
        })?;
        let mut flags = self.unresolved_flags(&traces).await?;
        Ok(traces
            .into_iter()
            .map(|trace| {
                let (of_this, rest) = flags
                    .drain(..)
                    .partition::<Vec<_>, _>(|flag: &Flag| flag.trace_id == trace.id);
                flags = rest;
                Flagged {
                    trace,
                    flags: of_this,
                }
            })
            .collect())
    }

    async fn unresolved_flags(&self, traces: &[Trace]) -> Result<Vec<Flag>> {
        if traces.is_empty() {
            return Ok(Vec::new());
        }
        Ok(on_pool!(self, |db| {
            let mut query = QueryBuilder::new(
                "SELECT trace_id, user_id, category, reason, created_at FROM flags
                 WHERE resolved_at IS NULL AND trace_id IN (",
            );
            let mut list = query.separated(", ");
            for trace in traces {
                list.push_bind(trace.id);
            }
            query.push(") ORDER BY created_at DESC, user_id LIMIT 1000");
            query.build_query_as().fetch_all(db).await
        })?)
    }

    /// Hides a trace from everybody but its author and moderators. `None` if there is none.
    pub async fn hide_trace(
        &self,
        id: TraceId,
        actor: Option<UserId>,
        audit: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<Trace>> {
        self.write(move |tx| {
            async move {
                read::lock(tx, id).await?;
                let Some(mut trace) = read::trace(tx, id).await? else {
                    return Ok(None);
                };
                trace.hidden_at = trace.hidden_at.or(Some(now));
                trace.flagged_at = trace.flagged_at.or(Some(now));
                trace.changed_at = now;
                store_standing(tx, &trace).await?;
                log(tx, audit, actor, "hide", id, None, now).await?;
                Ok(Some(trace))
            }
            .boxed()
        })
        .await
    }

    /// Shows a trace again and settles its flags. `None` if there is none.
    pub async fn restore_trace(
        &self,
        id: TraceId,
        actor: Option<UserId>,
        audit: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<Trace>> {
        self.write(move |tx| {
            async move {
                read::lock(tx, id).await?;
                let Some(mut trace) = read::trace(tx, id).await? else {
                    return Ok(None);
                };
                trace.hidden_at = None;
                trace.flagged_at = None;
                trace.flag_count = 0;
                trace.changed_at = now;
                store_standing(tx, &trace).await?;
                search::put_document_of(tx, &trace).await?;
                search::restore_vectors(tx, id).await?;
                on_tx!(tx, |db| sqlx::query(
                    "UPDATE flags SET resolved_at = $2 WHERE trace_id = $1 AND resolved_at IS NULL"
                )
                .bind(id)
                .bind(now)
                .execute(db)
                .await
                .map(drop))?;
                log(tx, audit, actor, "restore", id, None, now).await?;
                Ok(Some(trace))
            }
            .boxed()
        })
        .await
    }

    /// Deletes anybody's trace. Returns false if there is none.
    pub async fn remove_trace(
        &self,
        id: TraceId,
        actor: Option<UserId>,
        audit: Uuid,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        self.write(move |tx| {
            async move {
                read::lock(tx, id).await?;
                let Some(trace) = read::trace(tx, id).await? else {
                    return Ok(false);
                };
                delete(tx, &trace, now).await?;
                log(tx, audit, actor, "delete", id, Some(&trace.title), now).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }
}

async fn flag(
    tx: &mut Tx<'_>,
    new: NewFlag,
    flags_to_hide: u32,
    now: DateTime<Utc>,
) -> Result<FlagTrace> {
    read::lock(tx, new.trace_id).await?;
    let Some(mut trace) = read::trace(tx, new.trace_id).await? else {
        return Ok(FlagTrace::Unknown);
    };
    if trace.hidden_at.is_some() && trace.contributor_id != new.user_id {
        // Others need not learn that a hidden trace is there, unless they helped to hide it.
        let repeated = has_flagged(tx, &new).await?;
        return Ok(if repeated {
            FlagTrace::Repeated(Box::new(trace))
        } else {
            FlagTrace::Unknown
        });
    }
    // A flag that a moderator has settled may be raised anew once the text is another.
    let inserted = on_tx!(tx, |db| sqlx::query(
        "INSERT INTO flags (trace_id, user_id, category, reason, created_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (trace_id, user_id) DO UPDATE SET
             category = excluded.category, reason = excluded.reason,
             created_at = excluded.created_at, resolved_at = NULL
         WHERE flags.resolved_at IS NOT NULL AND flags.resolved_at < $6",
    )
    .bind(new.trace_id)
    .bind(new.user_id)
    .bind(new.category)
    .bind(&new.reason)
    .bind(now)
    .bind(trace.updated_at)
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0))?;
    if !inserted {
        return Ok(FlagTrace::Repeated(Box::new(trace)));
    }
    trace.flagged_at = Some(now);
    if trace.contributor_id != new.user_id {
        trace.flag_count += 1;
    }
    if trace.flag_count >= i64::from(flags_to_hide.max(1)) && trace.hidden_at.is_none() {
        trace.hidden_at = Some(now);
    }
    trace.changed_at = now;
    store_standing(tx, &trace).await?;
    Ok(FlagTrace::Flagged(Box::new(trace)))
}

async fn has_flagged(tx: &mut Tx<'_>, flag: &NewFlag) -> Result<bool> {
    Ok(on_tx!(tx, |db| sqlx::query(
        "SELECT 1 FROM flags WHERE trace_id = $1 AND user_id = $2"
    )
    .bind(flag.trace_id)
    .bind(flag.user_id)
    .fetch_optional(db)
    .await
    .map(|row| row.is_some()))?)
}

async fn store_standing(tx: &mut Tx<'_>, trace: &Trace) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "UPDATE traces SET flag_count = $2, flagged_at = $3, hidden_at = $4, changed_at = $5
         WHERE id = $1",
    )
    .bind(trace.id)
    .bind(trace.flag_count)
    .bind(trace.flagged_at)
    .bind(trace.hidden_at)
    .bind(trace.changed_at)
    .execute(db)
    .await
    .map(drop))?;
    if trace.hidden_at.is_some() {
        search::drop_document(tx, trace.id).await?;
    }
    Ok(())
}

async fn log(
    tx: &mut Tx<'_>,
    id: Uuid,
    actor: Option<UserId>,
    action: &str,
    trace: TraceId,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO audit_log (id, actor_id, action, trace_id, detail, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(actor)
    .bind(action)
    .bind(trace)
    .bind(detail)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::FLAGGED;
    use crate::plan::assert_indexed;

    #[tokio::test]
    async fn the_queue_comes_out_of_an_index_in_its_order() {
        assert_indexed(FLAGGED).await;
    }
}

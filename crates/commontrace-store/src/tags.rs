//! Tags in use and how many traces carry each.

use chrono::{DateTime, Utc};
use commontrace_core::TraceId;
use sqlx::QueryBuilder;

use crate::pool::on_pool;
use crate::tx::{Tx, on_tx};
use crate::{Engine, Result, Store};

/// A tag and how many traces carry it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TagCount {
    /// The tag.
    pub name: String,
    /// Traces that carry it, hidden ones included.
    pub trace_count: i64,
}

macro_rules! tags_sql {
    ($name:literal) => {
        concat!(
            "SELECT name, trace_count FROM tags WHERE ",
            $name,
            " >= $1 AND ",
            $name,
            " < $2 AND trace_count > 0 ORDER BY ",
            $name,
            " LIMIT $3"
        )
    };
}

impl Store {
    /// Lists tags in use that begin with `prefix`, alphabetically, at most `limit`.
    pub async fn tags(&self, prefix: &str, limit: i64) -> Result<Vec<TagCount>> {
        // Tags hold ASCII only, so every tag with the prefix sorts below the prefix and a `~`.
        let end = format!("{prefix}~");
        // SQLite compares bytes anyway; a PostgreSQL database may have been created to sort as people do.
        let sql = match self.engine() {
            Engine::Sqlite => tags_sql!("name"),
            Engine::Postgres => tags_sql!("name COLLATE \"C\""),
        };
        Ok(on_pool!(self, |db| sqlx::query_as(sql)
            .bind(prefix)
            .bind(&end)
            .bind(limit)
            .fetch_all(db)
            .await)?)
    }
}

/// Makes `tags` the tags of a trace that had `old` ones, and keeps the counts right.
///
/// Whoever counts a common tag makes others wait until the transaction ends, so this comes last.
pub(crate) async fn replace(
    tx: &mut Tx<'_>,
    trace: TraceId,
    created_at: DateTime<Utc>,
    old: &[String],
    tags: &[String],
) -> Result<()> {
    let added: Vec<&String> = tags.iter().filter(|tag| !old.contains(tag)).collect();
    let removed: Vec<&String> = old.iter().filter(|tag| !tags.contains(tag)).collect();
    if !added.is_empty() {
        on_tx!(tx, |db| {
            let mut query =
                QueryBuilder::new("INSERT INTO trace_tags (trace_id, tag, created_at) ");
            query.push_values(&added, |mut row, tag| {
                row.push_bind(trace)
                    .push_bind(tag.as_str())
                    .push_bind(created_at);
            });
            query.build().execute(db).await.map(drop)
        })?;
    }
    if !removed.is_empty() {
        on_tx!(tx, |db| {
            let mut query = QueryBuilder::new("DELETE FROM trace_tags WHERE trace_id = ");
            query.push_bind(trace).push(" AND tag IN (");
            let mut list = query.separated(", ");
            for tag in &removed {
                list.push_bind(tag.as_str());
            }
            query.push(")");
            query.build().execute(db).await.map(drop)
        })?;
    }
    let mut changes: Vec<(&String, i64)> = added.into_iter().map(|tag| (tag, 1)).collect();
    changes.extend(removed.into_iter().map(|tag| (tag, -1)));
    count(tx, changes).await
}

/// Counts the tags of a trace no longer that has just been deleted.
pub(crate) async fn uncount(tx: &mut Tx<'_>, tags: &[String]) -> Result<()> {
    count(tx, tags.iter().map(|tag| (tag, -1)).collect()).await
}

pub(crate) async fn count(tx: &mut Tx<'_>, mut changes: Vec<(&String, i64)>) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    // In one order everywhere, so that two writers never wait for each other's tags crosswise.
    changes.sort();
    on_tx!(tx, |db| {
        let mut query = QueryBuilder::new("INSERT INTO tags (name, trace_count) ");
        query.push_values(&changes, |mut row, &(tag, change)| {
            row.push_bind(tag.as_str()).push_bind(change);
        });
        query.push(
            " ON CONFLICT (name) DO UPDATE SET trace_count = tags.trace_count + excluded.trace_count",
        );
        query.build().execute(db).await.map(drop)
    })?;
    Ok(())
}

//! Tags in use and how many traces carry each.

use chrono::{DateTime, Utc};
use commontrace_core::TraceId;

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
pub(crate) async fn replace(
    tx: &mut Tx<'_>,
    trace: TraceId,
    created_at: DateTime<Utc>,
    old: &[String],
    tags: &[String],
) -> Result<()> {
    // In one order everywhere, so that two writers never wait for each other's tag rows.
    let mut changes: Vec<(&String, i64)> = tags
        .iter()
        .filter(|t| !old.contains(t))
        .map(|t| (t, 1))
        .collect();
    changes.extend(old.iter().filter(|t| !tags.contains(t)).map(|t| (t, -1)));
    changes.sort();
    for (tag, change) in changes {
        on_tx!(tx, |db| {
            sqlx::query(
            "INSERT INTO tags (name, trace_count) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET trace_count = tags.trace_count + excluded.trace_count",
        )
        .bind(tag)
        .bind(change)
        .execute(db)
        .await
        .map(drop)
        })?;
        if change > 0 {
            on_tx!(tx, |db| sqlx::query(
                "INSERT INTO trace_tags (trace_id, tag, created_at) VALUES ($1, $2, $3)"
            )
            .bind(trace)
            .bind(tag)
            .bind(created_at)
            .execute(db)
            .await
            .map(drop))?;
        } else {
            on_tx!(tx, |db| sqlx::query(
                "DELETE FROM trace_tags WHERE trace_id = $1 AND tag = $2"
            )
            .bind(trace)
            .bind(tag)
            .execute(db)
            .await
            .map(drop))?;
        }
    }
    Ok(())
}

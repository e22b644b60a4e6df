//! Finding traces by their tags alone.

use commontrace_core::TraceId;
use sqlx::AssertSqlSafe;

use super::Found;
use crate::pool::on_postgres;
use crate::{Result, Store};

/// Traces looked at most: of a tag's the newest, and of all the most trusted.
const LOOKED_AT: usize = 2000;

impl Store {
    /// Returns traces that have all these tags: of a common one the newest and the most trusted,
    /// which are those that can come first.
    pub async fn search_tagged(&self, tags: &[String], contexts: bool) -> Result<Vec<Found>> {
        let rarest: Option<(String,)> = on_postgres!(self, |db| sqlx::query_as(
            "SELECT name FROM tags WHERE name = ANY ($1) AND trace_count > 0
             ORDER BY trace_count LIMIT 1",
        )
        .bind(tags)
        .fetch_optional(db)
        .await)?;
        let Some((rarest,)) = rarest else {
            return Ok(Vec::new());
        };
        let ids: Vec<(TraceId,)> =
            on_postgres!(self, |db| sqlx::query_as(AssertSqlSafe(format!(
                "SELECT id FROM (
                 (SELECT g.trace_id AS id FROM trace_tags g WHERE g.tag = $1
                  ORDER BY g.created_at DESC, g.trace_id DESC LIMIT {LOOKED_AT})
                 UNION
                 (SELECT t.id FROM traces t WHERE t.trust_score > 0
                  ORDER BY t.trust_score DESC LIMIT {LOOKED_AT})) AS found
             WHERE (SELECT COUNT(*) FROM trace_tags g
                    WHERE g.trace_id = found.id AND g.tag = ANY ($2)) = $3"
            )))
            .bind(&rarest)
            .bind(tags)
            .bind(tags.len() as i64)
            .fetch_all(db)
            .await)?;
        let ids: Vec<TraceId> = ids.into_iter().map(|(id,)| id).collect();
        self.search_facts(&ids, contexts).await
    }
}

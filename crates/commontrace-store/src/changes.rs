//! What a search index needs to be built from the truth and to keep up with it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commontrace_core::{TraceId, UserId};
use sqlx::types::Json;

use crate::pool::on_pool;
use crate::{EmbeddingModel, Result, Store, embeddings};

/// What an index keeps of a trace.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct IndexRow {
    pub id: TraceId,
    pub contributor_id: UserId,
    pub title: String,
    pub context_text: String,
    pub solution_text: String,
    pub tags: Vec<String>,
    pub context: BTreeMap<String, String>,
    pub trust_score: f64,
    pub valid_until: Option<DateTime<Utc>>,
    pub review_after: Option<DateTime<Utc>>,
    pub hidden: bool,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    /// The vector of the asked model, if there is one, perhaps of an earlier revision.
    pub vector: Option<Vec<f32>>,
}

/// What changed since some moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Traces that are new or different and when they last changed, oldest change first.
    pub changed: Vec<(TraceId, DateTime<Utc>)>,
    /// Traces that are gone.
    pub deleted: Vec<(TraceId, DateTime<Utc>)>,
}

impl Changes {
    /// Returns the moment up to which, inclusively, these are all; `None` if there are none.
    pub fn last(&self) -> Option<DateTime<Utc>> {
        [&self.changed, &self.deleted]
            .into_iter()
            .filter_map(|list| last(list))
            .max()
    }

    /// Cuts both lists at the end of a list that stops at `limit`. Otherwise a follower that goes on
    /// behind the later end would miss the rest of the shorter list.
    fn cut(&mut self, limit: i64) {
        let stopped = |list: &[_]| i64::try_from(list.len()).is_ok_and(|len| len >= limit);
        let ends = [&self.changed, &self.deleted]
            .into_iter()
            .filter(|list| stopped(list))
            .filter_map(|list| last(list));
        if let Some(end) = ends.min() {
            self.changed.retain(|&(_, at)| at <= end);
            self.deleted.retain(|&(_, at)| at <= end);
        }
    }
}

fn last(list: &[(TraceId, DateTime<Utc>)]) -> Option<DateTime<Utc>> {
    list.last().map(|&(_, at)| at)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: TraceId,
    contributor_id: UserId,
    title: String,
    context_text: String,
    solution_text: String,
    tags: Json<Vec<String>>,
    context: Json<BTreeMap<String, String>>,
    trust_score: f64,
    valid_until: Option<DateTime<Utc>>,
    review_after: Option<DateTime<Utc>>,
    hidden_at: Option<DateTime<Utc>>,
    revision: i64,
    created_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    vector: Option<Vec<u8>>,
}

macro_rules! select_index_row {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, t.contributor_id, t.title, t.context_text, t.solution_text, t.tags, ",
            "t.context, t.trust_score, t.valid_until, t.review_after, t.hidden_at, t.revision, t.created_at, ",
            "t.changed_at, e.vector FROM traces t LEFT JOIN embeddings e ON e.trace_id = t.id ",
            "AND e.model_id = $1 AND e.model_version = $2 AND e.dimensions = $3 ",
            $rest
        )
    };
}

/// A page of ids by time that never ends between two of the same moment.
macro_rules! page {
    ($table:literal, $at:literal) => {
        concat!(
            "SELECT id, ",
            $at,
            " FROM ",
            $table,
            " WHERE ",
            $at,
            " >= $1 AND ",
            $at,
            " <= (
                 SELECT MAX(",
            $at,
            ") FROM (
                     SELECT ",
            $at,
            " FROM ",
            $table,
            " WHERE ",
            $at,
            " >= $1
                     ORDER BY ",
            $at,
            " LIMIT $2) AS first)
             ORDER BY ",
            $at,
            ", id"
        )
    };
}

impl Store {
    /// Returns traces in order of id behind `after`, at most `limit`, with their vectors of `model`.
    pub async fn index_rows(
        &self,
        model: Option<&EmbeddingModel>,
        after: Option<TraceId>,
        limit: i64,
    ) -> Result<Vec<IndexRow>> {
        let (id, version, dimensions) = parts(model);
        let after = after.unwrap_or(TraceId(uuid::Uuid::nil()));
        let rows: Vec<Row> = on_pool!(self, |db| sqlx::query_as(select_index_row!(
            "WHERE t.id > $4 ORDER BY t.id LIMIT $5"
        ))
        .bind(id)
        .bind(version)
        .bind(dimensions as i64)
        .bind(after)
        .bind(limit)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(|row| row.read(dimensions)).collect())
    }

    /// Returns which traces changed or were deleted at `since` or later, at most `limit` of each and
    /// all that share the last one's moment. There is more, behind [`Changes::last`], until nothing
    /// comes.
    ///
    /// Transactions may commit in another order than they took their times, so a follower asks
    /// again from a little before what it has seen and reads only what it does not know.
    pub async fn changes(&self, since: DateTime<Utc>, limit: i64) -> Result<Changes> {
        let changed = on_pool!(self, |db| sqlx::query_as(page!("traces", "changed_at"))
            .bind(since)
            .bind(limit)
            .fetch_all(db)
            .await)?;
        let deleted = on_pool!(self, |db| sqlx::query_as(page!(
            "deleted_traces",
            "deleted_at"
        ))
        .bind(since)
        .bind(limit)
        .fetch_all(db)
        .await)?;
        let mut changes = Changes { changed, deleted };
        changes.cut(limit);
        Ok(changes)
    }

    /// Returns whether a trace with this id was there and is gone for good.
    pub async fn was_deleted(&self, id: TraceId) -> Result<bool> {
        let found: Option<(TraceId,)> = on_pool!(self, |db| sqlx::query_as(
            "SELECT id FROM deleted_traces WHERE id = $1"
        )
        .bind(id)
        .fetch_optional(db)
        .await)?;
        Ok(found.is_some())
    }

    /// Returns one trace as an index keeps it.
    pub async fn index_row(
        &self,
        model: Option<&EmbeddingModel>,
        id: TraceId,
    ) -> Result<Option<IndexRow>> {
        let (model_id, version, dimensions) = parts(model);
        let row: Option<Row> = on_pool!(self, |db| sqlx::query_as(select_index_row!(
            "WHERE t.id = $4"
        ))
        .bind(model_id)
        .bind(version)
        .bind(dimensions as i64)
        .bind(id)
        .fetch_optional(db)
        .await)?;
        Ok(row.map(|row| row.read(dimensions)))
    }
}

fn parts(model: Option<&EmbeddingModel>) -> (&str, &str, usize) {
    model.map_or(("", "", 0), |model| {
        (&model.id, &model.version, model.dimensions)
    })
}

impl Row {
    fn read(self, dimensions: usize) -> IndexRow {
        IndexRow {
            id: self.id,
            contributor_id: self.contributor_id,
            title: self.title,
            context_text: self.context_text,
            solution_text: self.solution_text,
            tags: self.tags.0,
            context: self.context.0,
            trust_score: self.trust_score,
            valid_until: self.valid_until,
            review_after: self.review_after,
            hidden: self.hidden_at.is_some(),
            revision: self.revision,
            created_at: self.created_at,
            changed_at: self.changed_at,
            vector: self
                .vector
                .and_then(|bytes| embeddings::from_bytes(&bytes, dimensions)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::assert_indexed;

    #[tokio::test]
    async fn the_feed_comes_out_of_indexes() {
        assert_indexed(page!("traces", "changed_at")).await;
        assert_indexed(page!("deleted_traces", "deleted_at")).await;
        assert_indexed(select_index_row!("WHERE t.id > $4 ORDER BY t.id LIMIT $5")).await;
    }
}

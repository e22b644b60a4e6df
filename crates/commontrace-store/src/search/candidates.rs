//! What a search reads: candidates by words and by meaning, and what ranking needs to know of them.
//!
//! Every statement is bounded by the number of rows that it may return, and prepared once with a
//! plan that does not depend on its parameters: planning anew costs as much as searching. So what
//! the plan depends on (the model, the number of dimensions, limits) is part of its text.

use chrono::{DateTime, Utc};
use commontrace_core::TraceId;
use commontrace_core::fingerprint::Fingerprint;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow, PgPool, Postgres};

use super::halfvec::HalfVec;
use crate::pool::on_postgres;
use crate::{Result, Store};

/// Documents read at most that have words of the query.
const WORDS_ROWS: usize = 400;
/// Combinations of terms that a document must have all of; there are always as many in a statement.
pub const COMBINATIONS: usize = 6;
/// A pair of numbers that no document has, to fill up the combinations.
const NOTHING: [i32; 2] = [i32::MIN, i32::MIN + 1];

/// The most dimensions that pgvector can index as 16-bit floats.
pub const INDEXED_DIMENSIONS: usize = 4000;

/// Which documents to read for their words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Any of these terms is enough.
    pub any: Vec<i32>,
    /// Or all terms of one of these; at most [`COMBINATIONS`].
    pub all: Vec<Vec<i32>>,
}

/// Which vectors to compare.
#[derive(Debug, Clone, Copy)]
pub struct Near<'a> {
    /// The model's number.
    pub model: i32,
    /// The query's vector.
    pub vector: &'a [f32],
    /// How many of the nearest are wanted.
    pub limit: usize,
    /// How many are kept in view on the way through the index; more find more.
    pub ef_search: usize,
    /// Whether all vectors that the filter lets through are compared, and the index is left alone.
    pub exact: bool,
}

/// What a document must fulfil.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// The numbers of tags that it must all have.
    pub tags: &'a [i32],
    /// The tag's name, if there is only one.
    pub only_tag: Option<&'a str>,
    /// When it must be valid.
    pub valid_at: Option<DateTime<Utc>>,
}

/// A document that one of the legs proposes.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Found {
    /// The trace.
    pub trace_id: TraceId,
    /// Its length and its postings; none where it has a vector and no document yet.
    pub length: Option<i32>,
    /// See [`crate::SearchDocument`].
    pub postings: Option<Vec<u8>>,
}

/// What ranking needs to know of a candidate.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Scored {
    pub id: TraceId,
    pub trust_score: f64,
    pub valid_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub review_after: Option<DateTime<Utc>>,
    pub context: Fingerprint,
    /// The cosine of its vector and the query's, if both have one.
    pub similarity: Option<f32>,
}

#[derive(FromRow)]
struct Row {
    id: TraceId,
    trust_score: f64,
    valid_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    review_after: Option<DateTime<Utc>>,
    context: Option<Json<Fingerprint>>,
    distance: Option<f64>,
}

impl Store {
    /// Returns documents with these words, at most a fixed number and in no order, and those nearest
    /// in meaning.
    pub async fn search_candidates(
        &self,
        words: &Words,
        near: Option<Near<'_>>,
        filter: Filter<'_>,
    ) -> Result<(Vec<Found>, Vec<Found>)> {
        let near = near.and_then(|near| Some((near, HalfVec::new(near.vector)?)));
        let near = near.as_ref();
        Ok(on_postgres!(self, |db| {
            read_candidates(db, words, near, filter).await
        })?)
    }

    /// Returns what ranking needs to know of these traces, without those that are gone or hidden;
    /// their environments only if they are asked for.
    pub async fn search_facts(
        &self,
        ids: &[TraceId],
        near: Option<Near<'_>>,
        contexts: bool,
    ) -> Result<Vec<Scored>> {
        let near = near.and_then(|near| Some((near.model, HalfVec::new(near.vector)?)));
        let (model, vector) = near.map_or((0, None), |(model, vector)| (model, Some(vector)));
        let rows: Vec<Row> = on_postgres!(self, |db| sqlx::query_as(
            "SELECT t.id, t.trust_score, t.valid_until, t.created_at, t.review_after,
                            CASE WHEN $2 THEN t.context END AS context,
                            v.embedding <=> $3 AS distance
                     FROM traces t
                     LEFT JOIN search_vectors v ON v.trace_id = t.id AND v.model = $4
                     WHERE t.id = ANY ($1) AND t.hidden_at IS NULL",
        )
        .bind(ids)
        .bind(contexts)
        .bind(vector.as_ref())
        .bind(model)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Row::read).collect())
    }
}

async fn read_candidates(
    pool: &PgPool,
    words: &Words,
    near: Option<&(Near<'_>, HalfVec)>,
    filter: Filter<'_>,
) -> Result<(Vec<Found>, Vec<Found>), sqlx::Error> {
    let ef_search = near.map_or(1, |(near, _)| near.ef_search);
    let mut tx = pool.begin_with(settings(ef_search)).await?;
    let by_words = if words.any.is_empty() && words.all.is_empty() {
        Vec::new()
    } else {
        by_words(words, filter).fetch_all(&mut *tx).await?
    };
    let nearest = match near {
        Some((near, vector)) => nearest(*near, vector, filter).fetch_all(&mut *tx).await?,
        None => Vec::new(),
    };
    tx.commit().await?;
    Ok((by_words, nearest))
}

/// Begins a transaction in which the statements of a search run.
fn settings(ef_search: usize) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "BEGIN READ ONLY;
         SET LOCAL plan_cache_mode = force_generic_plan;
         SET LOCAL jit = off;
         SET LOCAL hnsw.iterative_scan = relaxed_order;
         SET LOCAL hnsw.ef_search = {}",
        ef_search.clamp(1, 1000)
    ))
}

/// A statement under construction: its text, and the filter's part of it.
struct Statement {
    conditions: String,
    parameters: usize,
}

impl Statement {
    fn new(parameters: usize) -> Self {
        Self {
            conditions: String::new(),
            parameters,
        }
    }

    fn parameter(&mut self) -> usize {
        self.parameters += 1;
        self.parameters
    }

    /// Adds what the filter asks of the document `of`'s trace; `tags` is how to look at its tags.
    fn filter(&mut self, filter: Filter<'_>, of: &str, tags: impl FnOnce(usize) -> String) {
        if !filter.tags.is_empty() {
            let parameter = self.parameter();
            self.conditions += &tags(parameter);
        }
        if filter.valid_at.is_some() {
            // As a value, so that it is looked up row by row and never joined, which would cost the
            // order that an index gives.
            let parameter = self.parameter();
            self.conditions += &format!(
                " AND COALESCE((SELECT t.valid_until > ${parameter} FROM traces t
                                WHERE t.id = {of}.trace_id AND t.valid_until IS NOT NULL), TRUE)"
            );
        }
    }
}

type Query<'q> = QueryAs<'q, Postgres, Found, PgArguments>;

fn bind_filter<'q>(mut query: Query<'q>, filter: Filter<'_>) -> Query<'q> {
    if !filter.tags.is_empty() {
        query = query.bind(filter.tags.to_vec());
    }
    bind_validity(query, filter)
}

fn bind_validity<'q>(query: Query<'q>, filter: Filter<'_>) -> Query<'q> {
    match filter.valid_at {
        Some(at) => query.bind(at),
        None => query,
    }
}

fn by_words<'q>(words: &Words, filter: Filter<'_>) -> Query<'q> {
    let combinations = if words.all.is_empty() {
        0
    } else {
        COMBINATIONS
    };
    let mut statement = Statement::new(1 + combinations);
    statement.filter(filter, "d", |tags| format!(" AND d.terms @> ${tags}"));
    let or: String = (0..combinations)
        .map(|n| format!(" OR d.terms @> ${}", n + 2))
        .collect();
    let text = format!(
        "SELECT d.trace_id, d.length, d.postings FROM search_documents d
         WHERE (d.terms && $1{or}){} LIMIT {WORDS_ROWS}",
        statement.conditions
    );
    let mut query = sqlx::query_as(AssertSqlSafe(text)).bind(words.any.clone());
    for n in 0..combinations {
        let terms = words.all.get(n).map_or(&NOTHING[..], Vec::as_slice);
        query = query.bind(terms.to_vec());
    }
    bind_filter(query, filter)
}

fn nearest<'q>(near: Near<'_>, vector: &HalfVec, filter: Filter<'_>) -> Query<'q> {
    let (model, limit, dimensions) = (near.model, near.limit, near.vector.len());
    let mut statement = Statement::new(1);
    let inner = if near.exact {
        // Of a single tag there is a list of ids, which is read sooner than documents are.
        let list = match filter.only_tag {
            Some(_) => "trace_tags",
            None => "search_documents",
        };
        statement.filter(filter, "f", |tags| match filter.only_tag {
            Some(_) => format!(" AND f.tag = ${tags}"),
            None => format!(" AND f.terms @> ${tags}"),
        });
        // Without the index's expression, so that it cannot be used.
        format!(
            "SELECT v.trace_id, v.embedding <=> $1 AS distance
             FROM {list} f
             JOIN search_vectors v ON v.trace_id = f.trace_id AND v.model = {model}
             WHERE TRUE{} ORDER BY v.embedding <=> $1 LIMIT {limit}",
            statement.conditions
        )
    } else {
        statement.filter(filter, "v", |tags| {
            format!(
                " AND (SELECT f.terms @> ${tags} FROM search_documents f
                       WHERE f.trace_id = v.trace_id)"
            )
        });
        let order = format!("v.embedding::halfvec({dimensions}) <=> $1");
        format!(
            "SELECT v.trace_id, {order} AS distance FROM search_vectors v
             WHERE v.model = {model}{} ORDER BY {order} LIMIT {limit}",
            statement.conditions
        )
    };
    let text = format!(
        "SELECT n.trace_id, d.length, d.postings FROM ({inner}) AS n
         LEFT JOIN search_documents d ON d.trace_id = n.trace_id"
    );
    let query = sqlx::query_as(AssertSqlSafe(text)).bind(vector.clone());
    match filter.only_tag {
        Some(tag) if near.exact => bind_validity(query.bind(tag.to_owned()), filter),
        _ => bind_filter(query, filter),
    }
}

impl Row {
    fn read(self) -> Scored {
        Scored {
            id: self.id,
            trust_score: self.trust_score,
            valid_until: self.valid_until,
            created_at: self.created_at,
            review_after: self.review_after,
            context: self
                .context
                .map(|Json(context)| context)
                .unwrap_or_default(),
            similarity: self.distance.map(|distance| (1.0 - distance) as f32),
        }
    }
}

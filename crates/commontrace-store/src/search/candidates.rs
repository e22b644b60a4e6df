//! What a search reads: candidates by words and by meaning, and what ranking needs to know of them,
//! all by one statement, because a round trip costs as much as a good part of a search.
//!
//! The statement is bounded by the number of rows that each of its parts may return, and prepared
//! once with a plan that does not depend on its parameters: planning anew costs as much as
//! searching. So what the plan depends on (the model, the number of dimensions, limits) is part of
//! its text.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use commontrace_core::TraceId;
use commontrace_core::fingerprint::Fingerprint;
use sqlx::FromRow;
use sqlx::types::Json;

use super::halfvec::HalfVec;
use super::snapshot::{SNAPSHOT, Snapshot};
use super::statement::Statement;
use crate::pool::on_postgres;
use crate::{Result, Store};

/// Documents read at most that have rare words of the query, and that have common ones together.
const WORDS_ROWS: usize = 250;
/// Up to so many terms to be scored by are looked for in each document.
const FEW: usize = 24;
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
    /// The terms that documents are scored by, ascending.
    pub scored: Vec<i32>,
}

impl Words {
    /// Returns whether no document is looked for.
    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.all.is_empty()
    }
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

/// What to look for.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// By words.
    pub words: Words,
    /// By meaning.
    pub near: Option<Near<'a>>,
    /// What both must fulfil.
    pub filter: Filter<'a>,
    /// Whether to read the environments that traces were written in.
    pub contexts: bool,
}

/// A trace that may be an answer, with what ranking needs to know of it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Found {
    pub id: TraceId,
    /// The length of its document; none where it has a vector and no document yet.
    pub length: Option<i32>,
    /// The document's postings, at least those that it is scored by; none if it has none of those.
    /// See [`crate::SearchDocument`].
    pub postings: Option<Vec<u8>>,
    pub trust_score: f64,
    pub valid_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub review_after: Option<DateTime<Utc>>,
    pub context: Fingerprint,
    /// The cosine of its vector and the query's, if both have one.
    pub similarity: Option<f32>,
}

/// What a search has to rank.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// The traces, each once.
    pub found: Vec<Found>,
    /// What of the database was seen; none if nothing was found.
    pub snapshot: Option<Snapshot>,
}

#[derive(FromRow)]
struct Row {
    id: TraceId,
    length: Option<i32>,
    postings: Option<Vec<u8>>,
    trust_score: f64,
    valid_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    review_after: Option<DateTime<Utc>>,
    context: Option<Json<Fingerprint>>,
    distance: Option<f64>,
    snapshot: Option<String>,
}

impl Store {
    /// Returns traces with these words, at most a fixed number and in no order, and those nearest in
    /// meaning. Hidden ones are left out.
    pub async fn search_candidates(&self, wanted: &Wanted<'_>) -> Result<Candidates> {
        let near = wanted.near;
        let near = near.and_then(|near| Some((near, HalfVec::new(near.vector)?)));
        if wanted.words.is_empty() && near.is_none() {
            return Ok(Candidates::default());
        }
        let mut rows: Vec<Row> = on_postgres!(self, |db| {
            let statement = candidates(wanted, near.as_ref())?;
            statement.query().fetch_all(db).await
        })?;
        let snapshot = rows.first_mut().and_then(|row| row.snapshot.take());
        let mut seen = HashSet::with_capacity(rows.len());
        let found = rows.into_iter().filter(|row| seen.insert(row.id));
        Ok(Candidates {
            found: found.map(Row::read).collect(),
            snapshot: snapshot.map(Snapshot::of),
        })
    }

    /// Returns what ranking needs to know of these traces, without those that are gone or hidden.
    pub(super) async fn search_facts(&self, ids: &[TraceId], contexts: bool) -> Result<Vec<Found>> {
        let rows: Vec<Row> = on_postgres!(self, |db| sqlx::query_as(
            "SELECT t.id, NULL::INTEGER AS length, NULL::BYTEA AS postings, t.trust_score,
                    t.valid_until, t.created_at, t.review_after,
                    CASE WHEN $2 THEN t.context END AS context, NULL::DOUBLE PRECISION AS distance,
                    NULL::TEXT AS snapshot
             FROM traces t WHERE t.id = ANY ($1) AND t.hidden_at IS NULL",
        )
        .bind(ids)
        .bind(contexts)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Row::read).collect())
    }
}

/// Proposes traces by their words and by their vectors, and looks up each of them. One that both
/// propose comes twice.
fn candidates(
    wanted: &Wanted<'_>,
    near: Option<&(Near<'_>, HalfVec)>,
) -> Result<Statement, sqlx::Error> {
    let Wanted {
        words,
        filter,
        contexts,
        ..
    } = wanted;
    let mut statement = Statement::default();
    let postings = postings(&mut statement, &words.scored)?;
    let vector = match near {
        Some((_, vector)) => Some(statement.bind(vector.clone())?),
        None => None,
    };
    let near = near.zip(vector.as_deref());
    let mut proposed = Vec::new();
    if !words.is_empty() {
        let distance = match near {
            Some(((near, _), vector)) => format!(
                "(SELECT v.embedding <=> {vector} FROM search_vectors v
                  WHERE v.trace_id = d.trace_id AND v.model = {})",
                near.model
            ),
            None => "NULL::DOUBLE PRECISION".to_owned(),
        };
        let filter = document_filter(&mut statement, *filter)?;
        // Each with a limit of its own, so that common words take no place of rare ones.
        for condition in conditions(&mut statement, words)? {
            proposed.push(format!(
                "(SELECT d.trace_id, d.length, {postings} AS postings, {distance} AS distance
                  FROM search_documents d WHERE ({condition}){filter} LIMIT {WORDS_ROWS})"
            ));
        }
    }
    if let Some(((near, _), vector)) = near {
        let nearest = nearest(&mut statement, *near, vector, *filter)?;
        proposed.push(format!(
            "(SELECT n.trace_id, d.length, {postings} AS postings, n.distance
              FROM ({SETTINGS}) AS s CROSS JOIN LATERAL ({nearest}) AS n
              LEFT JOIN search_documents d ON d.trace_id = n.trace_id)"
        ));
    }
    statement.text = format!(
        "SELECT t.id, c.length, c.postings, t.trust_score, t.valid_until, t.created_at,
                t.review_after, CASE WHEN {contexts} THEN t.context END AS context, c.distance,
                {SNAPSHOT} AS snapshot
         FROM ({}) AS c JOIN traces t ON t.id = c.trace_id AND t.hidden_at IS NULL",
        proposed.join(" UNION ALL ")
    );
    Ok(statement)
}

/// Settings of the way through the index of vectors, for this statement alone, as `SET LOCAL` makes
/// them: how many vectors are kept in view (the more, the more of the nearest are found), and that it
/// goes on until enough have passed the filter. `ready` has to be asked for where they matter,
/// because they hold from when it is computed.
const SETTINGS: &str = "
    SELECT set_config('hnsw.ef_search', '80', TRUE) IS NOT NULL
       AND set_config('hnsw.iterative_scan', 'relaxed_order', TRUE) IS NOT NULL AS ready OFFSET 0";

/// How to read the postings of the document `d`: those that it is scored by, because to send them
/// all takes longer than to find a few. An entry has six bytes and the place of its term.
fn postings(statement: &mut Statement, scored: &[i32]) -> Result<String, sqlx::Error> {
    if scored.len() > FEW {
        return Ok("d.postings".to_owned());
    }
    let scored = statement.bind_list(scored)?;
    Ok(format!(
        "(SELECT STRING_AGG(SUBSTRING(d.postings FROM WIDTH_BUCKET(q, d.terms) * 6 - 5 FOR 6), '')
          FROM UNNEST({scored}) AS q WHERE d.terms[WIDTH_BUCKET(q, d.terms)] = q)"
    ))
}

/// By which words the document `d` is proposed: rare ones, and common ones together.
fn conditions(statement: &mut Statement, words: &Words) -> Result<Vec<String>, sqlx::Error> {
    let mut conditions = Vec::new();
    if !words.any.is_empty() {
        conditions.push(format!("d.terms && {}", statement.bind_list(&words.any)?));
    }
    if !words.all.is_empty() {
        let mut together = Vec::with_capacity(COMBINATIONS);
        for n in 0..COMBINATIONS {
            let terms = words.all.get(n).map_or(&NOTHING[..], Vec::as_slice);
            together.push(format!("d.terms @> {}", statement.bind_list(terms)?));
        }
        conditions.push(together.join(" OR "));
    }
    Ok(conditions)
}

/// What else the document `d` must fulfil.
fn document_filter(statement: &mut Statement, filter: Filter<'_>) -> Result<String, sqlx::Error> {
    let mut conditions = String::new();
    if !filter.tags.is_empty() {
        let tags = statement.bind_list(filter.tags)?;
        conditions += &format!(" AND d.terms @> {tags}");
    }
    conditions += &validity(statement, filter, "d")?;
    Ok(conditions)
}

/// How to find the nearest vectors; uses `s.ready` of [`SETTINGS`].
fn nearest(
    statement: &mut Statement,
    near: Near<'_>,
    asked: &str,
    filter: Filter<'_>,
) -> Result<String, sqlx::Error> {
    let (model, limit, dimensions) = (near.model, near.limit, near.vector.len());
    let text = if near.exact {
        // Of a single tag there is a list of ids, which is read sooner than documents are.
        let (list, condition) = match (filter.only_tag, filter.tags) {
            (Some(tag), _) => {
                let tag = statement.bind(tag.to_owned())?;
                ("trace_tags", format!(" AND f.tag = {tag}"))
            }
            (None, []) => ("search_documents", String::new()),
            (None, tags) => {
                let tags = statement.bind_list(tags)?;
                ("search_documents", format!(" AND f.terms @> {tags}"))
            }
        };
        let validity = validity(statement, filter, "f")?;
        // Without the index's expression, so that it cannot be used.
        format!(
            "SELECT v.trace_id, v.embedding <=> {asked} AS distance
             FROM {list} f
             JOIN search_vectors v ON v.trace_id = f.trace_id AND v.model = {model}
             WHERE s.ready{condition}{validity} ORDER BY v.embedding <=> {asked} LIMIT {limit}"
        )
    } else {
        let mut conditions = String::new();
        if !filter.tags.is_empty() {
            let tags = statement.bind_list(filter.tags)?;
            conditions += &format!(
                " AND (SELECT f.terms @> {tags} FROM search_documents f
                       WHERE f.trace_id = v.trace_id)"
            );
        }
        conditions += &validity(statement, filter, "v")?;
        let order = format!("v.embedding::halfvec({dimensions}) <=> {asked}");
        format!(
            "SELECT v.trace_id, {order} AS distance FROM search_vectors v
             WHERE s.ready AND v.model = {model}{conditions} ORDER BY {order} LIMIT {limit}"
        )
    };
    Ok(text)
}

/// The condition that the trace of `of` is valid when the filter asks, if it asks. As a value, so
/// that it is looked up row by row and never joined, which would cost the order that an index gives.
fn validity(
    statement: &mut Statement,
    filter: Filter<'_>,
    of: &str,
) -> Result<String, sqlx::Error> {
    let Some(at) = filter.valid_at else {
        return Ok(String::new());
    };
    let at = statement.bind(at)?;
    Ok(format!(
        " AND COALESCE((SELECT t.valid_until > {at} FROM traces t
                        WHERE t.id = {of}.trace_id AND t.valid_until IS NOT NULL), TRUE)"
    ))
}

impl Row {
    fn read(self) -> Found {
        Found {
            id: self.id,
            length: self.length,
            postings: self.postings,
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

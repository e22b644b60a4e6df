//! From candidates to ordered hits: what an index in memory and a database do in common.
//!
//! Both propose candidates by words and by meaning and score each on both; what follows from the
//! scores is decided here, so that the same documents get the same answer from either.

use commontrace_core::TraceId;
use commontrace_core::fingerprint::Fingerprint;
use commontrace_core::fusion::{self, QueryShape};

use crate::document::{Answer, Confidence, Hit, Query, Signals};

/// Most documents that may share an error signature for it to count: what a great many share, such
/// as a tool's last line, tells nothing.
pub const MAX_SIGNED: usize = 50;

/// What ranking needs to know of a document besides how well it matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The document.
    pub id: TraceId,
    /// Trust score; unbounded, zero when nobody has judged it.
    pub trust: f64,
    /// When it stopped or will stop being valid, in microseconds since 1970.
    pub valid_until: Option<i64>,
    /// When it was written, in microseconds since 1970.
    pub created_at: i64,
    /// When it is due for a review, in microseconds since 1970.
    pub review_after: Option<i64>,
    /// The environment it was written in.
    pub fingerprint: Fingerprint,
}

impl Facts {
    /// Tells whether its validity has ended at `now`.
    #[must_use]
    pub fn expired(&self, now: i64) -> bool {
        self.valid_until.is_some_and(|end| end <= now)
    }
}

/// A document that one of the legs has proposed, scored on both.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What is known of it.
    pub facts: &'a Facts,
    /// How the index calls it.
    pub key: u32,
    /// BM25 as a share of the highest possible score.
    pub lexical: f32,
    /// Whether it reports an error line of the query.
    pub same_error: bool,
    /// Cosine of the query's vector and its own, if both have one.
    pub similarity: Option<f32>,
}

/// What the legs can say about a query at all.
#[derive(Debug, Clone, Copy)]
pub struct Legs {
    /// What decides between words and meaning.
    pub shape: QueryShape,
    /// Whether any document has a word of the query.
    pub lexical: bool,
    /// Whether vectors take part.
    pub semantic: bool,
}

/// Ranks the documents that filters alone have found: all are equally relevant.
pub fn by_filters<'a>(query: &Query<'_>, found: impl Iterator<Item = &'a Facts>) -> Answer {
    let mut hits: Vec<Ranked> = found.map(|facts| rank(query, facts, 0, 1.0)).collect();
    order(&mut hits, query.limit);
    Answer {
        confidence: if hits.is_empty() {
            Confidence::None
        } else {
            Confidence::Strong
        },
        hits: hits.into_iter().map(|ranked| ranked.hit).collect(),
        abstained: false,
        signals: None,
        semantic: false,
    }
}

/// Ranks candidates; `matched` tells how many terms of the query, fillers aside, the one with a key
/// has.
pub fn by_text<'a>(
    query: &Query<'_>,
    legs: Legs,
    candidates: impl Iterator<Item = Candidate<'a>>,
    matched: impl FnOnce(u32) -> usize,
) -> Answer {
    let weight = match (legs.semantic, legs.lexical) {
        (false, _) => 0.0,
        (true, true) => legs.shape.dense_weight(),
        // No word of the query is known here: meaning is all there is.
        (true, false) => 1.0,
    };
    let mut hits: Vec<Ranked> = candidates
        .map(|candidate| {
            let similarity = candidate.similarity.map(f64::from);
            let mut lexical = f64::from(candidate.lexical);
            if candidate.same_error {
                lexical = fusion::same_error(lexical);
            }
            let relevance = fusion::relevance(lexical, similarity, weight);
            let mut ranked = rank(query, candidate.facts, candidate.key, relevance);
            ranked.hit.similarity = similarity.unwrap_or(0.0);
            ranked.hit.lexical = lexical;
            ranked
        })
        .collect();
    order(&mut hits, query.limit.max(JUDGED));
    let signals = signals(&hits, legs.semantic, matched);
    let confidence = signals.map_or(Confidence::None, |signals| signals.confidence());
    if query.abstain && confidence == Confidence::None {
        hits.clear();
    }
    hits.truncate(query.limit);
    Answer {
        abstained: hits.is_empty(),
        confidence,
        hits: hits.into_iter().map(|ranked| ranked.hit).collect(),
        signals,
        semantic: legs.semantic,
    }
}

/// A hit and what decides between equals.
struct Ranked {
    key: u32,
    created_at: i64,
    hit: Hit,
}

fn rank(query: &Query<'_>, facts: &Facts, key: u32, relevance: f64) -> Ranked {
    let expired = facts.expired(query.now);
    let stale = facts.review_after.is_some_and(|due| due <= query.now);
    let trust_prior = fusion::trust_prior(facts.trust, stale);
    let prior = |asked: &Fingerprint| fusion::context_prior(asked, &facts.fingerprint);
    let context_prior = query.context.map_or(0.0, prior);
    Ranked {
        key,
        created_at: facts.created_at,
        hit: Hit {
            id: facts.id,
            score: fusion::score(relevance, trust_prior + context_prior, expired),
            relevance,
            similarity: 0.0,
            lexical: 0.0,
            trust_prior,
            context_prior,
            expired,
        },
    }
}

/// Puts the best first and keeps `limit`; equals are ordered newest first, then by id.
fn order(hits: &mut Vec<Ranked>, limit: usize) {
    let compare = |a: &Ranked, b: &Ranked| {
        (b.hit.score.total_cmp(&a.hit.score))
            .then_with(|| b.created_at.cmp(&a.created_at))
            .then_with(|| a.hit.id.cmp(&b.hit.id))
    };
    if hits.len() > limit && limit > 0 {
        hits.select_nth_unstable_by(limit - 1, compare);
    }
    hits.truncate(limit);
    hits.sort_unstable_by(compare);
}

/// How many hits are looked at to judge the answer.
const JUDGED: usize = 5;

fn signals(hits: &[Ranked], semantic: bool, matched: impl FnOnce(u32) -> usize) -> Option<Signals> {
    let judged = &hits[..hits.len().min(JUDGED)];
    let (first, last) = (judged.first()?, judged.last()?);
    // In a handful of documents the others' places are taken as half as relevant.
    let fifth = match judged.len() {
        JUDGED => last.hit.relevance,
        _ => last.hit.relevance.min(first.hit.relevance / 2.0),
    };
    let highest = |part: fn(&Hit) -> f64| judged.iter().map(|r| part(&r.hit)).fold(0.0, f64::max);
    Some(Signals {
        similarity: semantic.then(|| highest(|hit| hit.similarity)),
        lexical: highest(|hit| hit.lexical),
        matched: matched(first.key),
        lead: first.hit.relevance - fifth,
    })
}

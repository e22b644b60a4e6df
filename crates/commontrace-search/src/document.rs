//! What goes into the index and what comes out of a search.

use std::collections::BTreeMap;

use commontrace_core::TraceId;
pub use commontrace_core::confidence::{Confidence, Signals};

use crate::bm25::Fields;

/// A trace as the index needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The trace.
    pub id: TraceId,
    /// One line that names the problem.
    pub title: String,
    /// The problem.
    pub context: String,
    /// The answer.
    pub solution: String,
    /// Normalised tags.
    pub tags: Vec<String>,
    /// The environment it was written in.
    pub fingerprint: BTreeMap<String, String>,
    /// Trust score; unbounded, zero when nobody has judged it.
    pub trust: f64,
    /// When it stopped or will stop being valid, in microseconds since 1970.
    pub valid_until: Option<i64>,
    /// When it was written, in microseconds since 1970.
    pub created_at: i64,
    /// When it is due for a review, in microseconds since 1970.
    pub review_after: Option<i64>,
}

impl Document {
    /// Its texts.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields {
            title: &self.title,
            context: &self.context,
            solution: &self.solution,
            tags: &self.tags,
        }
    }
}

/// A search.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The words to look for; without them the tags alone decide.
    pub text: Option<&'a str>,
    /// The vector of `text`; without it the search is lexical.
    pub vector: Option<&'a [f32]>,
    /// Tags that a hit must all have, normalised as documents' tags are.
    pub tags: &'a [String],
    /// The environment that the search comes from.
    pub context: Option<&'a BTreeMap<String, String>>,
    /// Whether documents past their validity are shown, at half weight, or left out.
    pub include_expired: bool,
    /// Whether the answer may be withheld when nothing seems relevant.
    pub abstain: bool,
    /// The time to judge validity by, in microseconds since 1970.
    pub now: i64,
    /// Most hits wanted.
    pub limit: usize,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Whether there were candidates, none of them judged relevant.
    pub abstained: bool,
    /// How far the best hit can be relied on.
    pub confidence: Confidence,
    /// What the confidence was judged by; `None` without text or candidates.
    pub signals: Option<Signals>,
    /// Whether vectors took part.
    pub semantic: bool,
}

/// One document found, with the parts of its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The document.
    pub id: TraceId,
    /// What hits are ordered by: relevance and priors, halved for expired ones.
    pub score: f64,
    /// Fusion of both legs, 0 to 1.
    pub relevance: f64,
    /// Cosine of query and document, 0 if either has no vector.
    pub similarity: f64,
    /// Lexical score as a share of the best that any document could have.
    pub lexical: f64,
    /// What trust and staleness added.
    pub trust_prior: f64,
    /// What the environment's match added.
    pub context_prior: f64,
    /// Whether its validity has ended.
    pub expired: bool,
}

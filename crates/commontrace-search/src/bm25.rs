//! The lexical formula, whatever keeps the words: BM25 over weighted fields, as a share of the
//! highest score that any document could have.
//!
//! Pure functions of counts. Where the counts come from (an index in memory, tables of a database)
//! is not known here.

use std::collections::HashMap;

use crate::query::Term;
use crate::tokenize::for_each_token;

/// Most terms of a query that are scored; of a longer paste the rarest are kept.
const MAX_QUERY_TERMS: usize = 192;

/// How late repeated occurrences stop counting.
const K1: f32 = 1.2;

/// How much long documents are held back, 0 to 1.
const B: f32 = 0.8;

/// What an occurrence counts in the title, context, solution and tags, in halves: a word of the
/// title or a tag says more about a document than one of its body.
const FIELD_WEIGHTS: [u32; 4] = [3, 2, 2, 3];

/// The weight of a plain occurrence in the units of [`FIELD_WEIGHTS`].
const UNIT: f32 = 2.0;

/// The texts of one document, by field.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields<'a> {
    /// One line that names the problem.
    pub title: &'a str,
    /// The problem.
    pub context: &'a str,
    /// The answer.
    pub solution: &'a str,
    /// Tags.
    pub tags: &'a [String],
}

/// A document's terms with their weighted numbers of occurrences.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// What each term's occurrences weigh together, in halves.
    pub terms: HashMap<Box<str>, u32>,
    /// The sum of these weights.
    pub length: u32,
}

impl Counted {
    /// Counts the terms of a document, which needs no index and thus no lock.
    #[must_use]
    pub fn of(fields: Fields<'_>) -> Self {
        let mut counted = Self::default();
        let [title, context, solution, tags] = FIELD_WEIGHTS;
        counted.add(fields.title, title);
        counted.add(fields.context, context);
        counted.add(fields.solution, solution);
        for tag in fields.tags {
            counted.add(tag, tags);
        }
        counted
    }

    fn add(&mut self, text: &str, weight: u32) {
        for_each_token(text, |token| {
            match self.terms.get_mut(token) {
                Some(count) => *count += weight,
                None => {
                    self.terms.insert(token.into(), weight);
                }
            }
            self.length += weight;
        });
    }
}

/// What the formula needs to know of all documents together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collection {
    /// How many there are.
    pub documents: u64,
    /// The sum of their lengths, as [`Counted::length`] has them.
    pub length: u64,
}

impl Collection {
    /// Inverse document frequency of a term that `documents` of all contain.
    fn idf(self, documents: u64) -> f32 {
        // Counts that are read while others write may be a little behind one another.
        let (all, with) = (self.documents.max(documents) as f32, documents as f32);
        ((all - with + 0.5) / (with + 0.5)).ln_1p()
    }
}

/// A query term as an index knows it; the index says what an `Id` is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighed<Id> {
    /// The term's id, if any document has it.
    pub id: Option<Id>,
    /// How many documents have it.
    pub documents: u64,
    /// Inverse document frequency times the term's weight in the query.
    pub weight: f32,
    /// Whether it says nothing of what the query is about.
    pub filler: bool,
}

/// Looks up query terms; the heaviest come first, unknown ones weigh as the rarest would. `find`
/// gives a term's id and the number of documents that have it.
pub fn weigh<Id: Copy>(
    collection: Collection,
    terms: &[Term],
    find: impl Fn(&str) -> Option<(Id, u64)>,
) -> Vec<Weighed<Id>> {
    let mut weighed: Vec<(Weighed<Id>, &str)> = terms
        .iter()
        .map(|term| {
            let found = find(&term.text);
            let documents = found.map_or(0, |(_, documents)| documents);
            let weighed = Weighed {
                id: found.map(|(id, _)| id),
                documents,
                weight: collection.idf(documents) * term.weight,
                filler: term.filler,
            };
            (weighed, term.text.as_str())
        })
        .collect();
    // A fixed order makes the sums of scores the same in every index with these documents.
    weighed.sort_by(|(a, text), (b, other)| {
        (b.weight.total_cmp(&a.weight)).then_with(|| text.cmp(other))
    });
    weighed.truncate(MAX_QUERY_TERMS);
    weighed.into_iter().map(|(weighed, _)| weighed).collect()
}

/// Scores occurrences for one query in one collection.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    best: f32,
    flat: f32,
    slope: f32,
}

impl Scale {
    /// Prepares to score with these terms, all of the query's.
    #[must_use]
    pub fn new<Id>(collection: Collection, terms: &[Weighed<Id>]) -> Self {
        let average = collection.length as f32 / collection.documents.max(1) as f32;
        Self {
            best: terms.iter().map(|term| term.weight).sum::<f32>() * (K1 + 1.0),
            flat: K1 * (1.0 - B) * UNIT,
            slope: K1 * B * UNIT / average.max(1.0),
        }
    }

    /// What a term of this weight gives at most.
    #[must_use]
    pub fn share(&self, weight: f32) -> f32 {
        weight * (K1 + 1.0) / self.best
    }

    /// What a document of this length gets of a term's share for occurrences that weigh `count`
    /// halves together.
    #[must_use]
    pub fn part(&self, share: f32, count: u16, length: u32) -> f32 {
        let count = f32::from(count);
        share * count / (count + (self.flat + self.slope * length as f32))
    }
}

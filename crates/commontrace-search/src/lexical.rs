//! An inverted index in memory, scored by BM25 over weighted fields.
//!
//! It knows documents as slots (small integers that the caller hands out and may reuse) and holds
//! no texts. Removing is exact: an index that has seen any history of changes scores exactly like
//! one built afresh from what is left.

mod postings;

use std::collections::HashMap;

use self::postings::{Posting, Postings};
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
    terms: HashMap<Box<str>, u32>,
    length: u32,
}

impl Counted {
    /// Counts the terms of a document, which needs no index and thus no lock.
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

/// A query term as the index knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    id: Option<u32>,
    /// Inverse document frequency times the term's weight in the query.
    pub weight: f32,
    filler: bool,
}

/// What one slot holds.
#[derive(Debug, Default, Clone)]
struct Entry {
    /// Ids of its terms, ascending.
    terms: Box<[u32]>,
    length: u32,
    live: bool,
}

/// The inverted index.
#[derive(Debug, Default)]
pub struct Lexical {
    ids: HashMap<Box<str>, u32>,
    postings: Vec<Postings>,
    free_ids: Vec<u32>,
    empty_terms: usize,
    entries: Vec<Entry>,
    live: usize,
    total_length: u64,
}

impl Lexical {
    /// Indexes a document at `slot`, replacing what was there.
    pub fn set(&mut self, slot: u32, counted: Counted) {
        let at = slot as usize;
        if at >= self.entries.len() {
            self.entries.resize(at + 1, Entry::default());
        }
        let mut terms = Vec::with_capacity(counted.terms.len());
        for (text, count) in counted.terms {
            let id = self.id_of(text);
            let weight = u16::try_from(count).unwrap_or(u16::MAX);
            let postings = &mut self.postings[id as usize];
            self.empty_terms -= usize::from(postings.is_empty());
            postings.insert(Posting { slot, weight });
            terms.push(id);
        }
        terms.sort_unstable();
        let entry = Entry {
            terms: terms.into(),
            length: counted.length,
            live: true,
        };
        let old = std::mem::replace(&mut self.entries[at], entry);
        for id in &old.terms {
            // Terms that stay were overwritten in place, which spares moving long lists.
            if self.entries[at].terms.binary_search(id).is_err() {
                self.drop_posting(*id, slot);
            }
        }
        self.total_length += u64::from(counted.length);
        self.total_length -= u64::from(old.length);
        self.live += usize::from(!old.live);
        self.drop_empty_terms();
    }

    /// Forgets `slot`.
    pub fn remove(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot as usize) else {
            return;
        };
        let old = std::mem::take(entry);
        for id in &old.terms {
            self.drop_posting(*id, slot);
        }
        self.total_length -= u64::from(old.length);
        self.live -= usize::from(old.live);
        self.drop_empty_terms();
    }

    fn id_of(&mut self, text: Box<str>) -> u32 {
        if let Some(&id) = self.ids.get(&text) {
            return id;
        }
        let id = self.free_ids.pop().unwrap_or_else(|| {
            self.postings.push(Postings::default());
            u32::try_from(self.postings.len() - 1).expect("fewer terms than bytes of memory")
        });
        self.ids.insert(text, id);
        self.empty_terms += 1;
        id
    }

    fn drop_posting(&mut self, id: u32, slot: u32) {
        let postings = &mut self.postings[id as usize];
        postings.remove(slot);
        self.empty_terms += usize::from(postings.is_empty());
    }

    /// Drops the terms that occur nowhere any more, once they are the greater part.
    fn drop_empty_terms(&mut self) {
        if self.empty_terms < 1_000 || self.empty_terms * 2 < self.ids.len() {
            return;
        }
        let (postings, free) = (&self.postings, &mut self.free_ids);
        self.ids.retain(|_, id| {
            let used = !postings[*id as usize].is_empty();
            if !used {
                free.push(*id);
            }
            used
        });
        self.empty_terms = 0;
    }

    /// Bytes held, roughly.
    pub fn memory(&self) -> usize {
        let lists: usize = self.postings.iter().map(Postings::memory).sum();
        let terms: usize = self
            .ids
            .keys()
            .map(|text| text.len().next_multiple_of(16) + 16)
            .sum();
        let entries: usize = self.entries.iter().map(|e| e.terms.len() * 4 + 16).sum();
        lists
            + terms
            + entries
            + self.ids.capacity() * 25
            + self.postings.capacity() * size_of::<Postings>()
            + self.entries.capacity() * size_of::<Entry>()
    }

    /// Number of distinct terms and of their occurrences in documents.
    pub fn size(&self) -> (usize, usize) {
        let lists = self.postings.iter().map(|p| p.as_slice().len());
        (self.ids.len() - self.empty_terms, lists.sum())
    }

    /// Inverse document frequency of a term that `documents` of the indexed ones contain.
    fn idf(&self, documents: usize) -> f32 {
        let (all, with) = (self.live as f32, documents as f32);
        ((all - with + 0.5) / (with + 0.5)).ln_1p()
    }

    /// Looks up query terms; the heaviest come first, unknown ones weigh as the rarest would.
    pub fn weigh(&self, terms: &[Term]) -> Vec<Weighed> {
        let mut weighed: Vec<(f32, &Term, Option<u32>)> = terms
            .iter()
            .map(|term| {
                let id = self.ids.get(term.text.as_str()).copied();
                let documents = id.map_or(0, |id| self.postings[id as usize].as_slice().len());
                (self.idf(documents) * term.weight, term, id)
            })
            .collect();
        // A fixed order makes the sums of scores the same in every index with these documents.
        weighed.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.text.cmp(&b.1.text)));
        weighed.truncate(MAX_QUERY_TERMS);
        weighed
            .into_iter()
            .map(|(weight, term, id)| Weighed {
                id,
                weight,
                filler: term.filler,
            })
            .collect()
    }

    /// Scores every slot as a share of the highest score that any document could have.
    pub fn score(&self, terms: &[Weighed]) -> Vec<f32> {
        let mut scores = vec![0.0; self.entries.len()];
        let average = self.total_length as f32 / self.live.max(1) as f32;
        let flat = K1 * (1.0 - B) * UNIT;
        let slope = K1 * B * UNIT / average.max(1.0);
        let best: f32 = terms.iter().map(|term| term.weight).sum::<f32>() * (K1 + 1.0);
        for term in terms {
            let Some(id) = term.id else { continue };
            let share = term.weight * (K1 + 1.0) / best;
            for posting in self.postings[id as usize].as_slice() {
                let slot = posting.slot as usize;
                let count = f32::from(posting.weight);
                let damping = flat + slope * self.entries[slot].length as f32;
                scores[slot] += share * count / (count + damping);
            }
        }
        scores
    }

    /// Number of terms, fillers aside, that `slot` has.
    pub fn matched(&self, terms: &[Weighed], slot: u32) -> usize {
        let known = terms
            .iter()
            .filter(|term| !term.filler)
            .filter_map(|term| term.id);
        known
            .filter(|&id| self.postings[id as usize].contains(slot))
            .count()
    }
}

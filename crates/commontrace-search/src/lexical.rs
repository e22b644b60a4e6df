//! An inverted index in memory, scored by BM25 over weighted fields.
//!
//! It knows documents as slots (small integers that the caller hands out and may reuse) and holds
//! no texts. Every structure is kept exact on removal, so an index that has seen any history of
//! changes scores exactly like one built afresh from what is left.

use std::collections::HashMap;

use crate::tokenize::for_each_token;

/// Most distinct query terms that are scored; of a longer paste the rarest are kept.
pub const MAX_QUERY_TERMS: usize = 192;

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

/// The constants of the scoring formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bm25 {
    /// How late repeated terms stop counting.
    pub k1: f32,
    /// How much long documents are held back, 0 to 1.
    pub b: f32,
    /// How much repeated query terms count: weight = n^repeat.
    pub repeat: f32,
    /// Occurrence weight of title, context, solution and tags.
    pub weights: [u16; 4],
}

impl Default for Bm25 {
    fn default() -> Self {
        let f = |n: &str, d: f32| {
            std::env::var(n)
                .ok()
                .and_then(|v| v.parse().ok())
                .unwrap_or(d)
        };
        Self {
            k1: f("K1", 1.2),
            b: f("B", 0.75),
            repeat: f("RP", 0.0),
            weights: [
                f("W0", 2.0) as u16,
                f("W1", 2.0) as u16,
                f("W2", 2.0) as u16,
                f("W3", 2.0) as u16,
            ],
        }
    }
}

const UNIT: f32 = 2.0;

#[derive(Debug, Clone, Copy)]
struct Posting {
    slot: u32,
    weight: u16,
}

/// Where a term occurs, in ascending order of slots. Most terms of a collection occur once.
#[derive(Debug, Default)]
enum Postings {
    #[default]
    None,
    One(Posting),
    Many(Vec<Posting>),
}

impl Postings {
    fn as_slice(&self) -> &[Posting] {
        match self {
            Self::None => &[],
            Self::One(posting) => std::slice::from_ref(posting),
            Self::Many(list) => list,
        }
    }

    fn insert(&mut self, posting: Posting) {
        match self {
            Self::None => *self = Self::One(posting),
            Self::One(first) if first.slot == posting.slot => *first = posting,
            Self::One(first) => {
                let mut list = vec![*first, posting];
                list.sort_unstable_by_key(|p| p.slot);
                *self = Self::Many(list);
            }
            Self::Many(list) => {
                if list.last().is_some_and(|last| last.slot < posting.slot) {
                    // Doubling would waste a quarter of all postings on average.
                    if list.len() == list.capacity() {
                        list.reserve_exact((list.len() / 8).max(2));
                    }
                    list.push(posting);
                    return;
                }
                match list.binary_search_by_key(&posting.slot, |p| p.slot) {
                    Ok(at) => list[at] = posting,
                    Err(at) => list.insert(at, posting),
                }
            }
        }
    }

    fn remove(&mut self, slot: u32) {
        match self {
            Self::None => {}
            Self::One(first) => {
                if first.slot == slot {
                    *self = Self::None;
                }
            }
            Self::Many(list) => {
                if let Ok(at) = list.binary_search_by_key(&slot, |p| p.slot) {
                    list.remove(at);
                }
                if list.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }
}

/// What one slot holds.
#[derive(Debug, Default, Clone)]
struct Entry {
    terms: Box<[u32]>,
    length: u32,
}

/// The inverted index.
#[derive(Debug, Default)]
pub struct Lexical {
    constants: Bm25,
    ids: HashMap<Box<str>, u32>,
    postings: Vec<Postings>,
    entries: Vec<Entry>,
    lengths: Vec<f32>,
    live: usize,
    total_length: u64,
}

impl Lexical {
    /// Indexes the texts of `slot`, replacing what it held.
    pub fn set(&mut self, slot: u32, fields: Fields<'_>) {
        self.remove(slot);
        let mut weights: HashMap<u32, u32> = HashMap::new();
        let mut length = 0u32;
        let [title, context, solution, tags] = self.constants.weights;
        let mut add = |weight: u16, text: &str| {
            if weight == 0 {
                return;
            }
            for_each_token(text, |token| {
                let id = match self.ids.get(token) {
                    Some(&id) => id,
                    None => {
                        let id = u32::try_from(self.postings.len()).expect("fewer than 2^32 terms");
                        self.ids.insert(token.into(), id);
                        self.postings.push(Postings::None);
                        id
                    }
                };
                *weights.entry(id).or_default() += u32::from(weight);
                length += u32::from(weight);
            });
        };
        add(title, fields.title);
        add(context, fields.context);
        add(solution, fields.solution);
        for tag in fields.tags {
            add(tags, tag);
        }
        let mut terms: Box<[u32]> = weights.keys().copied().collect();
        terms.sort_unstable();
        for &id in &terms {
            let weight = u16::try_from(weights[&id]).unwrap_or(u16::MAX);
            self.postings[id as usize].insert(Posting { slot, weight });
        }
        let at = slot as usize;
        if at >= self.entries.len() {
            self.entries.resize(at + 1, Entry::default());
            self.lengths.resize(at + 1, 0.0);
        }
        self.entries[at] = Entry { terms, length };
        self.lengths[at] = length as f32;
        self.total_length += u64::from(length);
        self.live += 1;
    }

    /// Forgets `slot`.
    pub fn remove(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot as usize) else {
            return;
        };
        if entry.length == 0 {
            return;
        }
        let entry = std::mem::take(entry);
        for &id in &entry.terms {
            self.postings[id as usize].remove(slot);
        }
        self.total_length -= u64::from(entry.length);
        self.lengths[slot as usize] = 0.0;
        self.live -= 1;
    }

    /// Number of distinct terms and of postings.
    pub fn size(&self) -> (usize, usize) {
        (
            self.postings.len(),
            self.postings.iter().map(|p| p.as_slice().len()).sum(),
        )
    }

    /// idf
    fn idf(&self, df: usize) -> f32 {
        let n = self.live as f32;
        let df = df as f32;
        (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
    }

    /// Scores all documents: adds into `scores` (resized), returns the maximum possible score.
    pub fn score(&self, text: &str, scores: &mut Vec<f32>) -> f32 {
        let mut counts: HashMap<String, u32> = HashMap::new();
        for_each_token(text, |t| *counts.entry(t.to_owned()).or_default() += 1);
        let mut terms: Vec<(f32, String, f32, Option<u32>)> = counts
            .into_iter()
            .map(|(t, n)| {
                let id = self.ids.get(t.as_str()).copied();
                let df = id.map_or(0, |id| self.postings[id as usize].as_slice().len());
                (self.idf(df), t, (n as f32).powf(self.constants.repeat), id)
            })
            .collect();
        terms.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        terms.truncate(MAX_QUERY_TERMS);
        scores.clear();
        scores.resize(self.lengths.len(), 0.0);
        let Bm25 { k1, b, .. } = self.constants;
        let average = self.total_length as f32 / self.live.max(1) as f32;
        let flat = k1 * (1.0 - b) * UNIT;
        let slope = k1 * b / average * UNIT;
        let mut best = 0.0;
        for (idf, _, qw, id) in &terms {
            let top = idf * qw * (k1 + 1.0);
            best += top;
            let Some(id) = id else { continue };
            for posting in self.postings[*id as usize].as_slice() {
                let slot = posting.slot as usize;
                let weight = f32::from(posting.weight);
                scores[slot] += top * weight / (weight + flat + slope * self.lengths[slot]);
            }
        }
        best
    }
}

//! An inverted index in memory, scored by [`crate::bm25`].
//!
//! It knows documents as slots (small integers that the caller hands out and may reuse) and holds
//! no texts. Removing is exact: an index that has seen any history of changes scores exactly like
//! one built afresh from what is left.

mod postings;

use std::collections::HashMap;

use self::postings::{Posting, Postings};
use crate::bm25::{Collection, Counted, Scale, Weighed, weigh};
use crate::query::Term;

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

    fn collection(&self) -> Collection {
        Collection {
            documents: self.live as u64,
            length: self.total_length,
        }
    }

    /// Looks up query terms; the heaviest come first, unknown ones weigh as the rarest would.
    pub fn weigh(&self, terms: &[Term]) -> Vec<Weighed<u32>> {
        weigh(self.collection(), terms, |text| {
            let &id = self.ids.get(text)?;
            let documents = self.postings[id as usize].as_slice().len();
            Some((id, documents as u64))
        })
    }

    /// Scores every slot as a share of the highest score that any document could have.
    pub fn score(&self, terms: &[Weighed<u32>]) -> Vec<f32> {
        let mut scores = vec![0.0; self.entries.len()];
        let scale = Scale::new(self.collection(), terms);
        for term in terms {
            let Some(id) = term.id else { continue };
            let share = scale.share(term.weight);
            for posting in self.postings[id as usize].as_slice() {
                let slot = posting.slot as usize;
                scores[slot] += scale.part(share, posting.weight, self.entries[slot].length);
            }
        }
        scores
    }

    /// Number of terms, fillers aside, that `slot` has.
    pub fn matched(&self, terms: &[Weighed<u32>], slot: u32) -> usize {
        let known = terms
            .iter()
            .filter(|term| !term.filler)
            .filter_map(|term| term.id);
        known
            .filter(|&id| self.postings[id as usize].contains(slot))
            .count()
    }
}

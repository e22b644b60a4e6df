//! What the index holds, and keeping its parts in step.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use commontrace_core::TraceId;

use crate::bm25::Counted;
use crate::document::{Document, Query};
use crate::lexical::Lexical;
use crate::ranking::{Facts, MAX_SIGNED};
use crate::select::Mask;
use crate::vectors::{VectorError, Vectors};

/// What the index keeps of a document besides its words and vector.
#[derive(Debug)]
pub struct Entry {
    pub facts: Facts,
    tags: Box<[String]>,
    signatures: Box<[u64]>,
}

/// Everything under the lock.
#[derive(Debug, Default)]
pub struct State {
    pub slots: HashMap<TraceId, u32>,
    pub entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    pub lexical: Lexical,
    pub vectors: Vectors,
    /// Slots of each tag, ascending.
    tags: BTreeMap<String, Vec<u32>>,
    /// Slots of each error signature, ascending.
    signatures: HashMap<u64, Vec<u32>>,
    /// Slots of documents whose validity ends, which are few.
    dated: BTreeSet<u32>,
}

impl State {
    pub fn upsert(&mut self, document: &Document, counted: Counted, signatures: Vec<u64>) {
        let slot = match self.slots.get(&document.id) {
            Some(&slot) => slot,
            None => {
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.entries.push(None);
                    u32::try_from(self.entries.len() - 1).expect("fewer documents than 2^32")
                });
                self.slots.insert(document.id, slot);
                slot
            }
        };
        self.unlist(slot);
        for signature in &signatures {
            list(self.signatures.entry(*signature).or_default(), slot);
        }
        for tag in &document.tags {
            list(self.tags.entry(tag.clone()).or_default(), slot);
        }
        self.lexical.set(slot, counted);
        self.date(slot, document.valid_until);
        self.entries[slot as usize] = Some(Entry {
            facts: Facts {
                id: document.id,
                trust: document.trust,
                valid_until: document.valid_until,
                created_at: document.created_at,
                review_after: document.review_after,
                fingerprint: document.fingerprint.clone(),
            },
            tags: document.tags.clone().into(),
            signatures: signatures.into(),
        });
    }

    pub fn set_vector(&mut self, id: TraceId, vector: &[f32]) -> Result<bool, VectorError> {
        match self.slots.get(&id) {
            Some(&slot) => self.vectors.set(slot, vector).map(|()| true),
            None => Ok(false),
        }
    }

    pub fn remove(&mut self, id: TraceId) -> bool {
        let Some(slot) = self.slots.remove(&id) else {
            return false;
        };
        self.unlist(slot);
        self.lexical.remove(slot);
        self.vectors.remove(slot);
        self.dated.remove(&slot);
        self.entries[slot as usize] = None;
        self.free.push(slot);
        true
    }

    pub fn change(&mut self, id: TraceId, change: impl FnOnce(&mut Facts)) -> bool {
        let Some(&slot) = self.slots.get(&id) else {
            return false;
        };
        let entry = self.entries[slot as usize]
            .as_mut()
            .expect("slots in use have entries");
        change(&mut entry.facts);
        let valid_until = entry.facts.valid_until;
        self.date(slot, valid_until);
        true
    }

    fn date(&mut self, slot: u32, valid_until: Option<i64>) {
        if valid_until.is_some() {
            self.dated.insert(slot);
        } else {
            self.dated.remove(&slot);
        }
    }

    /// Removes a slot from the lists of its tags and signatures.
    fn unlist(&mut self, slot: u32) {
        let Some(entry) = &self.entries[slot as usize] else {
            return;
        };
        for tag in &entry.tags {
            if self
                .tags
                .get_mut(tag)
                .is_some_and(|slots| unlist(slots, slot))
            {
                self.tags.remove(tag);
            }
        }
        for signature in &entry.signatures {
            if self
                .signatures
                .get_mut(signature)
                .is_some_and(|slots| unlist(slots, slot))
            {
                self.signatures.remove(signature);
            }
        }
    }

    /// The slots with one of these error signatures.
    pub fn signed(&self, signatures: &[u64]) -> Mask {
        let lists = signatures
            .iter()
            .filter_map(|signature| self.signatures.get(signature));
        lists
            .filter(|slots| slots.len() <= MAX_SIGNED)
            .flatten()
            .copied()
            .collect()
    }

    /// The document at a slot that an index has named.
    pub fn entry(&self, slot: u32) -> &Entry {
        self.entries[slot as usize]
            .as_ref()
            .expect("indexes name only slots in use")
    }

    /// The slots that a query may find, perhaps with unused ones among them; `None` if all.
    pub fn mask(&self, query: &Query<'_>) -> Option<Mask> {
        let expired =
            |slot: u32| !query.include_expired && self.entry(slot).facts.expired(query.now);
        if query.tags.is_empty() {
            let mut excluded = self.dated.iter().filter(|&&slot| expired(slot)).peekable();
            excluded.peek()?;
            let mut mask = Mask::below(self.entries.len());
            excluded.for_each(|&slot| mask.remove(slot));
            return Some(mask);
        }
        let mut lists = Vec::with_capacity(query.tags.len());
        for tag in query.tags {
            match self.tags.get(tag) {
                Some(slots) => lists.push(slots),
                None => return Some(Mask::default()),
            }
        }
        lists.sort_unstable_by_key(|slots| slots.len());
        let (rarest, others) = lists.split_first().expect("there is at least one tag");
        let tagged = |slot: &u32| others.iter().all(|slots| slots.binary_search(slot).is_ok());
        Some(
            rarest
                .iter()
                .copied()
                .filter(tagged)
                .filter(|&slot| !expired(slot))
                .collect(),
        )
    }

    pub fn memory(&self) -> usize {
        let tags: usize = self
            .tags
            .iter()
            .map(|(t, s)| t.len() + 64 + s.capacity() * 4)
            .sum();
        let entries: usize = self
            .entries
            .iter()
            .flatten()
            .map(|e| {
                let tags = e.tags.iter().map(|tag| tag.len() + 40).sum::<usize>();
                tags + e.facts.fingerprint.len() * 96
            })
            .sum();
        self.lexical.memory()
            + tags
            + entries
            + self.entries.capacity() * size_of::<Option<Entry>>()
            + self.slots.capacity() * 21
    }
}

/// Adds a slot to an ascending list.
fn list(slots: &mut Vec<u32>, slot: u32) {
    if let Err(at) = slots.binary_search(&slot) {
        slots.insert(at, slot);
    }
}

/// Removes a slot from an ascending list and tells whether the list is empty now.
fn unlist(slots: &mut Vec<u32>, slot: u32) -> bool {
    if let Ok(at) = slots.binary_search(&slot) {
        slots.remove(at);
    }
    slots.is_empty()
}

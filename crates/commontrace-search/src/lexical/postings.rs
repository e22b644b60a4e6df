//! The documents that contain one term.

/// A document and the weighted number of occurrences in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The document.
    pub slot: u32,
    /// Occurrences, in halves.
    pub weight: u16,
}

/// A list in ascending order of slots. Most terms of a collection occur in one document only and
/// need no memory of their own for it.
#[derive(Debug, Default)]
pub enum Postings {
    /// The term occurs nowhere (any more).
    #[default]
    None,
    /// It occurs in one document.
    One(Posting),
    /// It occurs in several.
    Many(Vec<Posting>),
}

impl Postings {
    /// The list.
    pub fn as_slice(&self) -> &[Posting] {
        match self {
            Self::None => &[],
            Self::One(posting) => std::slice::from_ref(posting),
            Self::Many(list) => list,
        }
    }

    /// Tells whether the term occurs nowhere.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Tells whether the term occurs in `slot`.
    pub fn contains(&self, slot: u32) -> bool {
        place(self.as_slice(), slot).is_ok()
    }

    /// Adds a document, or replaces what was noted of it.
    pub fn insert(&mut self, posting: Posting) {
        match self {
            Self::None => *self = Self::One(posting),
            Self::One(only) if only.slot == posting.slot => *only = posting,
            Self::One(only) => {
                let mut list = vec![*only, posting];
                list.sort_unstable_by_key(|p| p.slot);
                *self = Self::Many(list);
            }
            Self::Many(list) => match place(list, posting.slot) {
                Ok(at) => list[at] = posting,
                Err(at) => {
                    // Doubling, as vectors do by themselves, would waste a third of the index.
                    if list.len() == list.capacity() {
                        list.reserve_exact((list.len() / 8).max(2));
                    }
                    list.insert(at, posting);
                }
            },
        }
    }

    /// Removes a document, if it is there.
    pub fn remove(&mut self, slot: u32) {
        match self {
            Self::One(only) if only.slot == slot => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(list) => {
                if let Ok(at) = place(list, slot) {
                    list.remove(at);
                    if list.is_empty() {
                        *self = Self::None;
                    }
                }
            }
        }
    }

    /// Bytes held outside this value.
    pub fn memory(&self) -> usize {
        match self {
            Self::Many(list) => list.capacity() * size_of::<Posting>() + 16,
            _ => 0,
        }
    }
}

/// Where a slot is in a list, or where it belongs.
fn place(list: &[Posting], slot: u32) -> Result<usize, usize> {
    // New documents mostly come last, and a look there spares a search through a list out of cache.
    match list.last() {
        Some(last) if last.slot < slot => Err(list.len()),
        _ => list.binary_search_by_key(&slot, |posting| posting.slot),
    }
}

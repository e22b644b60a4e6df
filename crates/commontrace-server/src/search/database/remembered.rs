//! Candidates of recent searches.
//!
//! Where a command fails for many at once, many ask the same within a moment. As long as the database
//! shows the same, they get the same candidates without looking for them again; whatever anybody
//! writes ends that. What they saw is told apart by the ids of transactions, which a failover may give
//! out again, so nothing is kept for long either.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use commontrace_search::document::Query;
use commontrace_store::{Found, Snapshot};

/// Memory for candidates.
const BYTES: usize = 8 << 20;
/// How long candidates are kept, in microseconds: some may have stopped being valid meanwhile, and
/// others be there in their place.
const KEPT: u64 = 30_000_000;

/// Candidates of the searches that saw the newest snapshot.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    snapshot: Option<Snapshot>,
    /// When the first of them was read, in microseconds since 1970.
    since: i64,
    bytes: usize,
    found: HashMap<Asked, Arc<[Found]>>,
}

/// What candidates depend on, besides the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    text: String,
    tags: Vec<String>,
    include_expired: bool,
    contexts: bool,
    /// The bits of its vector, if it could be had in time.
    vector: Option<Vec<u32>>,
}

impl Asked {
    fn by(query: &Query<'_>) -> Self {
        Self {
            text: query.text.unwrap_or_default().to_owned(),
            tags: query.tags.to_vec(),
            include_expired: query.include_expired,
            contexts: query.context.is_some(),
            vector: query
                .vector
                .map(|vector| vector.iter().map(|x| x.to_bits()).collect()),
        }
    }

    /// The memory that it takes, about.
    fn bytes(&self) -> usize {
        let tags: usize = self
            .tags
            .iter()
            .map(|tag| size_of::<String>() + tag.len())
            .sum();
        let vector = self
            .vector
            .as_ref()
            .map_or(0, |bits| size_of_val(&bits[..]));
        2 * size_of::<Self>() + self.text.len() + tags + vector
    }
}

impl Kept {
    /// Whether candidates of that time are good at `now`. Requests do not come in the order in which
    /// they looked at the clock.
    fn is_recent(&self, now: i64) -> bool {
        now.abs_diff(self.since) < KEPT
    }
}

impl Remembered {
    /// Returns the candidates for a query, if they were read when the database showed the same.
    pub fn get(&self, query: &Query<'_>, snapshot: Option<&Snapshot>) -> Option<Arc<[Found]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = snapshot.is_some() && kept.snapshot.as_ref() == snapshot;
        (same && kept.is_recent(query.now))
            .then(|| kept.found.get(&Asked::by(query)).cloned())
            .flatten()
    }

    /// Remembers the candidates for a query and forgets those of other snapshots.
    pub fn put(&self, query: &Query<'_>, snapshot: Option<Snapshot>, found: &Arc<[Found]>) {
        if snapshot.is_none() {
            return;
        }
        let of = |found: &Found| size_of::<Found>() + found.postings.as_ref().map_or(0, Vec::len);
        let asked = Asked::by(query);
        let bytes = found.iter().map(of).sum::<usize>() + asked.bytes();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.snapshot != snapshot || !kept.is_recent(query.now) {
            *kept = Kept {
                snapshot,
                since: query.now,
                ..Kept::default()
            };
        }
        if kept.bytes + bytes <= BYTES && !kept.found.contains_key(&asked) {
            kept.bytes += bytes;
            kept.found.insert(asked, Arc::clone(found));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'q>(text: &'q str, vector: &'q [f32], now: i64) -> Query<'q> {
        Query {
            text: Some(text),
            vector: Some(vector),
            tags: &[],
            context: None,
            include_expired: true,
            now,
            limit: 10,
            abstain: true,
        }
    }

    #[test]
    fn candidates_are_remembered_for_the_same_question_and_snapshot_and_for_seconds() {
        let (remembered, nothing) = (Remembered::default(), Arc::from([]));
        let (before, after) = (Snapshot::of("1:2:"), Snapshot::of("1:3:"));
        let (first, tags) = (asked("a", &[1.0], 0), ["t".to_owned()]);
        remembered.put(&first, Some(before.clone()), &nothing);
        assert!(remembered.get(&first, Some(&before)).is_some());
        assert!(remembered.get(&first, Some(&after)).is_none());
        assert!(remembered.get(&first, None).is_none());
        for other in [
            asked("b", &[1.0], 0),
            asked("a", &[2.0], 0),
            asked("a", &[1.0], 30_000_000),
            asked("a", &[1.0], -30_000_000),
            Query {
                include_expired: false,
                ..first
            },
            Query {
                vector: None,
                ..first
            },
            Query {
                tags: &tags,
                ..first
            },
        ] {
            assert!(remembered.get(&other, Some(&before)).is_none());
        }
        remembered.put(&first, Some(after.clone()), &nothing);
        assert!(remembered.get(&first, Some(&after)).is_some());
        assert!(remembered.get(&first, Some(&before)).is_none());
    }
}

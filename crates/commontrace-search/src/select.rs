//! Choosing the best few of many, and restricting a scan to some slots.

/// Keeps the `limit` highest scores seen; equal scores prefer the lower key.
#[derive(Debug)]
pub struct Best {
    limit: usize,
    kept: Vec<(f32, u32)>,
    floor: f32,
}

impl Best {
    /// Prepares to keep `limit` of them.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Vec::new(),
            floor: f32::NEG_INFINITY,
        }
    }

    /// Offers one.
    #[inline]
    pub fn push(&mut self, score: f32, key: u32) {
        if score >= self.floor && self.limit > 0 {
            self.kept.push((score, key));
            // Cutting back only at twice the size makes the cost of a push constant.
            if self.kept.len() >= self.limit.saturating_mul(2) {
                self.cut();
                self.floor = self.kept.iter().map(|k| k.0).fold(f32::INFINITY, f32::min);
            }
        }
    }

    fn cut(&mut self) {
        if self.kept.len() > self.limit {
            self.kept.select_nth_unstable_by(self.limit - 1, order);
            self.kept.truncate(self.limit);
        }
    }

    /// The kept ones, best first.
    pub fn into_sorted(mut self) -> Vec<(f32, u32)> {
        self.cut();
        self.kept.sort_unstable_by(order);
        self.kept
    }
}

fn order(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// A set of slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    words: Vec<u64>,
    count: usize,
}

impl Mask {
    /// The set of all slots below `end`.
    pub fn below(end: usize) -> Self {
        let mut words = vec![u64::MAX; end / 64];
        if !end.is_multiple_of(64) {
            words.push((1 << (end % 64)) - 1);
        }
        Self { words, count: end }
    }

    /// Removes a slot.
    pub fn remove(&mut self, slot: u32) {
        if self.contains(slot) {
            self.words[slot as usize / 64] &= !(1 << (slot % 64));
            self.count -= 1;
        }
    }

    /// Adds a slot.
    pub fn insert(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (slot % 64);
        self.count += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Tells whether a slot is in the set.
    #[inline]
    pub fn contains(&self, slot: u32) -> bool {
        self.words
            .get(slot as usize / 64)
            .is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Number of slots.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| (at * 64 + bit) as u32)
        })
    }
}

impl FromIterator<u32> for Mask {
    fn from_iter<I: IntoIterator<Item = u32>>(slots: I) -> Self {
        let mut mask = Self::default();
        slots.into_iter().for_each(|slot| mask.insert(slot));
        mask
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_those_that_sorting_everything_gives(
            scores in prop::collection::vec(0_u8..20, 0..200), limit in 0_usize..30,
        ) {
            let mut best = Best::new(limit);
            let mut all: Vec<(f32, u32)> =
                scores.iter().enumerate().map(|(i, &s)| (f32::from(s), i as u32)).collect();
            for &(score, key) in &all {
                best.push(score, key);
            }
            all.sort_unstable_by(order);
            all.truncate(limit);
            prop_assert_eq!(best.into_sorted(), all);
        }

        #[test]
        fn a_mask_holds_what_was_inserted(slots in prop::collection::btree_set(0_u32..500, 0..60)) {
            let mask: Mask = slots.iter().copied().collect();
            prop_assert_eq!(mask.count(), slots.len());
            prop_assert!((0..600).all(|s| mask.contains(s) == slots.contains(&s)));
            prop_assert!(mask.iter().eq(slots.iter().copied()));
            let mut rest = Mask::below(500);
            slots.iter().for_each(|&slot| rest.remove(slot));
            prop_assert_eq!(rest.count(), 500 - slots.len());
            prop_assert!((0..600).all(|s| rest.contains(s) == (s < 500 && !slots.contains(&s))));
        }
    }
}

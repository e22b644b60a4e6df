//! Vectors in memory: a scan over sign sketches finds candidates, exact products rank them.
//!
//! A vector is kept as bytes with one scale (a quarter of its size in floats) beside one bit per
//! component. Products are sums of integers, so the same query gives the same answer on every
//! machine and in any order of rows. There is no graph to build or repair: a vector can be found
//! the moment it is set, and a filter is a mask on the scan.

mod kernel;

use thiserror::Error;

use self::kernel::Planes;
use crate::select::{Best, Mask};

/// How many of the best sketches are compared exactly.
const RESCORED: usize = 400;

/// Up to this many vectors comparing all of them exactly costs no more than sketches would.
const SCANNED_EXACTLY: usize = 4_096;

/// Sketches scanned before their estimates are looked at.
const SCANNED_AT_ONCE: usize = 1_024;

/// Longest vector: `MAX_DIMENSION * QUERY_STEPS * 127` still fits 32 bits.
pub const MAX_DIMENSION: usize = 4_096;

/// Steps between zero and a query's largest component.
const QUERY_STEPS: f32 = 4_096.0;

/// Why a vector cannot be stored or searched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VectorError {
    /// The index holds vectors of another length.
    #[error("vector has {found} components, the index holds vectors of {expected}")]
    Dimension {
        /// Length of the vectors in the index.
        expected: usize,
        /// Length of the vector given.
        found: usize,
    },
    /// A component is not a number, or all are zero.
    #[error("vector has no direction: a component is not finite or all are zero")]
    NoDirection,
}

/// The vector store: at most one vector for each slot.
#[derive(Debug, Default)]
pub struct Vectors {
    dimension: usize,
    /// Words of a sketch.
    words: usize,
    /// The row of each slot, or [`NO_ROW`].
    rows: Vec<u32>,
    /// The slot of each row; rows lie close together whatever was removed.
    owners: Vec<u32>,
    components: Vec<i8>,
    /// What makes a row's components those of a unit vector.
    scales: Vec<f32>,
    sketches: Vec<u64>,
}

const NO_ROW: u32 = u32::MAX;

/// A query vector made ready for scans.
#[derive(Debug)]
pub struct Probe {
    components: Vec<i16>,
    scale: f32,
    planes: Planes,
}

impl Vectors {
    /// Stores the vector of `slot`, replacing what it had; the first one of a store settles the
    /// dimension.
    pub fn set(&mut self, slot: u32, vector: &[f32]) -> Result<(), VectorError> {
        if self.is_empty() {
            self.dimension = vector.len();
            self.words = self.dimension.div_ceil(64);
        }
        let largest = check(vector, self.dimension)?;
        self.remove(slot);
        if self.rows.len() <= slot as usize {
            self.rows.resize(slot as usize + 1, NO_ROW);
        }
        self.rows[slot as usize] =
            u32::try_from(self.owners.len()).expect("fewer vectors than slots");
        self.owners.push(slot);
        let start = self.components.len();
        self.components
            .extend(vector.iter().map(|x| (x / largest * 127.0).round() as i8));
        let squares = self.components[start..]
            .iter()
            .map(|&x| i32::from(x) * i32::from(x));
        self.scales.push(1.0 / (squares.sum::<i32>() as f32).sqrt());
        self.sketches.extend(kernel::sketch(vector));
        Ok(())
    }

    /// Forgets the vector of `slot`.
    pub fn remove(&mut self, slot: u32) {
        let Some(row) = self.row(slot) else { return };
        self.rows[slot as usize] = NO_ROW;
        // The last row moves into the gap.
        let last = self.owners.len() - 1;
        let (d, w) = (self.dimension, self.words);
        if row != last {
            self.rows[self.owners[last] as usize] = row as u32;
            self.components.copy_within(last * d.., row * d);
            self.sketches.copy_within(last * w.., row * w);
        }
        self.owners.swap_remove(row);
        self.scales.swap_remove(row);
        self.components.truncate(last * d);
        self.sketches.truncate(last * w);
    }

    fn row(&self, slot: u32) -> Option<usize> {
        let row = *self.rows.get(slot as usize)?;
        (row != NO_ROW).then_some(row as usize)
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.components.capacity()
            + self.sketches.capacity() * 8
            + (self.scales.capacity() + self.owners.capacity() + self.rows.capacity()) * 4
    }

    /// Makes a query vector ready.
    pub fn probe(&self, vector: &[f32]) -> Result<Probe, VectorError> {
        let expected = if self.is_empty() {
            vector.len()
        } else {
            self.dimension
        };
        let largest = check(vector, expected)?;
        let components: Vec<i16> = vector
            .iter()
            .map(|x| (x / largest * QUERY_STEPS).round() as i16)
            .collect();
        let squares = components.iter().map(|&x| i64::from(x) * i64::from(x));
        Ok(Probe {
            scale: 1.0 / (squares.sum::<i64>() as f32).sqrt(),
            planes: Planes::new(vector),
            components,
        })
    }

    /// Cosine of the probe and the vector of `slot`.
    pub fn similarity(&self, probe: &Probe, slot: u32) -> Option<f32> {
        self.row(slot).map(|row| self.cosine(probe, row))
    }

    fn cosine(&self, probe: &Probe, row: usize) -> f32 {
        let d = self.dimension;
        let product = kernel::dot(&probe.components, &self.components[row * d..(row + 1) * d]);
        (product as f32 * probe.scale * self.scales[row]).clamp(-1.0, 1.0)
    }

    /// The slots closest to the probe, best first, only masked ones if there is a mask.
    pub fn nearest(&self, probe: &Probe, mask: Option<&Mask>, limit: usize) -> Vec<(u32, f32)> {
        let mut best = Best::new(limit);
        let mut offer = |slot| {
            if let Some(similarity) = self.similarity(probe, slot) {
                best.push(similarity, slot);
            }
        };
        match mask {
            Some(mask) if mask.count() <= SCANNED_EXACTLY => mask.iter().for_each(&mut offer),
            None if self.len() <= SCANNED_EXACTLY => {
                self.owners.iter().copied().for_each(&mut offer);
            }
            _ => self
                .sketched(probe, mask, limit)
                .into_iter()
                .for_each(&mut offer),
        }
        best.into_sorted()
            .into_iter()
            .map(|(similarity, slot)| (slot, similarity))
            .collect()
    }

    /// The slots with the best sketches.
    fn sketched(&self, probe: &Probe, mask: Option<&Mask>, limit: usize) -> Vec<u32> {
        let mut best = Best::new(RESCORED.max(limit * 2));
        // A block's estimates are still at hand when they are looked at.
        let mut estimates = [0.0; SCANNED_AT_ONCE];
        let blocks = self.sketches.chunks(SCANNED_AT_ONCE * self.words.max(1));
        for (owners, sketches) in self.owners.chunks(SCANNED_AT_ONCE).zip(blocks) {
            probe.planes.scan(sketches, &mut estimates);
            for (&slot, &estimate) in owners.iter().zip(&estimates) {
                if mask.is_none_or(|mask| mask.contains(slot)) {
                    best.push(estimate, slot);
                }
            }
        }
        best.into_sorted()
            .into_iter()
            .map(|(_, slot)| slot)
            .collect()
    }
}

/// Checks a vector and returns its largest component.
fn check(vector: &[f32], expected: usize) -> Result<f32, VectorError> {
    if vector.len() != expected || !(1..=MAX_DIMENSION).contains(&expected) {
        return Err(VectorError::Dimension {
            expected,
            found: vector.len(),
        });
    }
    let largest = vector.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    if largest < f32::MIN_POSITIVE || !vector.iter().all(|x| x.is_finite()) {
        return Err(VectorError::NoDirection);
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A repeatable scatter of numbers around zero.
    fn scatter(seed: u64, dimension: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..dimension)
            .map(|_| {
                (0..4)
                    .map(|_| {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
                    })
                    .sum()
            })
            .collect()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn similarity_is_the_cosine() {
        let mut vectors = Vectors::default();
        let (stored, query) = (scatter(1, 96), scatter(3, 96));
        vectors.set(7, &stored).expect("a good vector");
        let probe = vectors.probe(&query).expect("a good vector");
        let found = vectors.similarity(&probe, 7).expect("stored");
        assert!((found - cosine(&stored, &query)).abs() < 2e-3);
        assert_eq!(vectors.similarity(&probe, 6), None);
    }

    #[test]
    fn vectors_without_direction_or_of_another_length_are_refused() {
        let mut vectors = Vectors::default();
        assert_eq!(vectors.set(0, &[0.0, 0.0]), Err(VectorError::NoDirection));
        assert_eq!(
            vectors.set(0, &[f32::NAN, 1.0]),
            Err(VectorError::NoDirection)
        );
        assert_eq!(
            vectors.set(0, &[]),
            Err(VectorError::Dimension {
                expected: 0,
                found: 0
            })
        );
        vectors.set(0, &[1.0, 2.0]).expect("a good vector");
        let refused = Err(VectorError::Dimension {
            expected: 2,
            found: 1,
        });
        assert_eq!(vectors.set(1, &[1.0]), refused);
        assert_eq!(vectors.probe(&[1.0]).map(|_| ()), refused);
    }

    #[test]
    fn sketches_find_what_an_exact_scan_finds() {
        let mut vectors = Vectors::default();
        let count = SCANNED_EXACTLY as u32 * 2;
        for slot in 0..count {
            vectors
                .set(slot, &scatter(u64::from(slot), 128))
                .expect("a good vector");
        }
        let mut found = 0;
        for q in 0..20 {
            // A blend with one stored vector stands for a query that has an answer.
            let near = scatter(q * 37, 128);
            let query: Vec<f32> = scatter(90_000 + q, 128)
                .iter()
                .zip(&near)
                .map(|(x, y)| x + y)
                .collect();
            let probe = vectors.probe(&query).expect("a good vector");
            let mut exact = Best::new(10);
            for slot in 0..count {
                exact.push(vectors.similarity(&probe, slot).expect("stored"), slot);
            }
            let exact: Vec<u32> = exact.into_sorted().into_iter().map(|(_, s)| s).collect();
            let near = vectors.nearest(&probe, None, 10);
            assert_eq!(near[0].0, exact[0]);
            found += near.iter().filter(|(s, _)| exact.contains(s)).count();
        }
        assert!(found >= 190, "{found} of 200");
    }

    #[test]
    fn a_mask_restricts_what_is_found() {
        let mut vectors = Vectors::default();
        for slot in 0..50 {
            vectors
                .set(slot, &scatter(u64::from(slot), 64))
                .expect("a good vector");
        }
        let mask: Mask = [3, 9, 60].into_iter().collect();
        let probe = vectors.probe(&scatter(5, 64)).expect("a good vector");
        let mut found: Vec<u32> = vectors
            .nearest(&probe, Some(&mask), 10)
            .into_iter()
            .map(|(s, _)| s)
            .collect();
        found.sort_unstable();
        assert_eq!(found, [3, 9]);
    }

    proptest! {
        #[test]
        fn any_history_of_changes_ends_like_a_fresh_store(
            steps in prop::collection::vec((0_u32..12, any::<bool>(), any::<u64>()), 1..60),
        ) {
            let mut changed = Vectors::default();
            let mut last = std::collections::BTreeMap::new();
            for (slot, keep, seed) in steps {
                if keep {
                    changed.set(slot, &scatter(seed, 70)).expect("a good vector");
                    last.insert(slot, seed);
                } else {
                    changed.remove(slot);
                    last.remove(&slot);
                }
            }
            let mut fresh = Vectors::default();
            for (&slot, &seed) in &last {
                fresh.set(slot, &scatter(seed, 70)).expect("a good vector");
            }
            prop_assert_eq!(changed.len(), fresh.len());
            let query = scatter(1, 70);
            let probes = (changed.probe(&query).expect("good"), fresh.probe(&query).expect("good"));
            prop_assert_eq!(changed.nearest(&probes.0, None, 20), fresh.nearest(&probes.1, None, 20));
        }
    }
}

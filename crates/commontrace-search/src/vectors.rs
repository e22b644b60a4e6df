//! Vectors in memory: a scan over sign sketches finds candidates, exact products rank them.
//!
//! A vector is kept as bytes with one scale (a quarter of its size in floats) beside one bit per
//! component. Products are sums of integers, so the same query gives the same answer on every
//! machine and in any order of rows. There is no graph to build or repair: a vector can be found
//! the moment it is set, and a filter is a mask on the scan.

mod kernel;

use thiserror::Error;

use crate::select::{Best, Mask};

/// How many of the best sketches are compared exactly.
const RESCORED: usize = 400;

/// Up to this many vectors comparing all of them exactly costs no more than sketches would.
const SCANNED_EXACTLY: usize = 4_096;

/// Longest vector: with more components a product could leave 32 bits.
pub const MAX_DIMENSION: usize = 4_096;

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

/// The vector store: any number of vectors for each slot.
#[derive(Debug, Default)]
pub struct Vectors {
    dimension: usize,
    words: usize,
    owners: Vec<u32>,
    rows: Vec<Vec<u32>>,
    components: Vec<i8>,
    scales: Vec<f32>,
    sketches: Vec<u64>,
}

/// A query vector made ready for scans.
#[derive(Debug)]
pub struct Probe {
    components: Vec<i16>,
    scale: f32,
    planes: kernel::Planes,
}

impl Vectors {
    /// Stores the vectors of `slot`, replacing those it had; the first vector ever stored settles
    /// the dimension.
    pub fn set(&mut self, slot: u32, vectors: &[&[f32]]) -> Result<(), VectorError> {
        let dimension = match vectors.first() {
            Some(first) if self.owners.is_empty() => first.len(),
            _ => self.dimension,
        };
        for vector in vectors {
            check(vector, dimension)?;
        }
        self.remove(slot);
        if vectors.is_empty() {
            return Ok(());
        }
        self.dimension = dimension;
        self.words = dimension.div_ceil(64);
        if self.rows.len() <= slot as usize {
            self.rows.resize_with(slot as usize + 1, Vec::new);
        }
        for vector in vectors {
            let row = u32::try_from(self.owners.len()).expect("fewer than 2^32 vectors");
            self.rows[slot as usize].push(row);
            self.owners.push(slot);
            let largest = vector.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            let step = largest / 127.0;
            let start = self.components.len();
            self.components
                .extend(vector.iter().map(|x| (x / step).round() as i8));
            let kept = &self.components[start..];
            let length = kept
                .iter()
                .map(|&x| i32::from(x) * i32::from(x))
                .sum::<i32>();
            self.scales.push(1.0 / (length as f32).sqrt());
            self.sketches.extend(kernel::sketch(vector));
        }
        Ok(())
    }

    /// Forgets the vectors of `slot`.
    pub fn remove(&mut self, slot: u32) {
        let Some(rows) = self.rows.get_mut(slot as usize) else {
            return;
        };
        let mut rows = std::mem::take(rows);
        // From the last one down, so that no row of this slot is moved by removing another.
        rows.sort_unstable_by(|a, b| b.cmp(a));
        for row in rows {
            self.remove_row(row as usize);
        }
    }

    /// Moves the last row into the place of `row`.
    fn remove_row(&mut self, row: usize) {
        let last = self.owners.len() - 1;
        let (d, w) = (self.dimension, self.words);
        if row != last {
            let moved = self.owners[last] as usize;
            for r in &mut self.rows[moved] {
                if *r as usize == last {
                    *r = row as u32;
                }
            }
            self.components
                .copy_within(last * d..(last + 1) * d, row * d);
            self.sketches.copy_within(last * w..(last + 1) * w, row * w);
        }
        self.owners.swap_remove(row);
        self.scales.swap_remove(row);
        self.components.truncate(last * d);
        self.sketches.truncate(last * w);
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Tells whether `slot` has a vector.
    pub fn contains(&self, slot: u32) -> bool {
        self.rows
            .get(slot as usize)
            .is_some_and(|rows| !rows.is_empty())
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.components.capacity()
            + self.sketches.capacity() * 8
            + self.scales.capacity() * 4
            + self.owners.capacity() * 4
            + self.rows.capacity() * 24
            + self.rows.iter().map(|r| r.capacity() * 4).sum::<usize>()
    }

    /// Makes a query vector ready.
    pub fn probe(&self, vector: &[f32]) -> Result<Probe, VectorError> {
        let dimension = if self.is_empty() {
            vector.len()
        } else {
            self.dimension
        };
        check(vector, dimension)?;
        let largest = vector.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        // 2^12 steps keep the sum of products of 4,096 full components within 32 bits.
        let components: Vec<i16> = vector
            .iter()
            .map(|x| (x / largest * 4096.0).round() as i16)
            .collect();
        let length: f64 = components
            .iter()
            .map(|&x| f64::from(x) * f64::from(x))
            .sum();
        Ok(Probe {
            scale: (1.0 / length.sqrt()) as f32,
            planes: kernel::Planes::new(vector),
            components,
        })
    }

    /// Cosine of the probe and the closest vector of `slot`.
    pub fn similarity(&self, probe: &Probe, slot: u32) -> Option<f32> {
        let rows = self.rows.get(slot as usize)?;
        rows.iter()
            .map(|&row| self.cosine(probe, row as usize))
            .max_by(f32::total_cmp)
    }

    fn cosine(&self, probe: &Probe, row: usize) -> f32 {
        let d = self.dimension;
        let product = kernel::dot(&probe.components, &self.components[row * d..(row + 1) * d]);
        (product as f32 * probe.scale * self.scales[row]).clamp(-1.0, 1.0)
    }

    /// The slots closest to the probe, best first, each once; of masked slots only.
    pub fn nearest(&self, probe: &Probe, mask: Option<&Mask>, limit: usize) -> Vec<(u32, f32)> {
        if self.is_empty() {
            return Vec::new();
        }
        let exact = match mask {
            Some(mask) if mask.count() <= SCANNED_EXACTLY => {
                let mut best = Best::new(limit);
                for slot in mask.iter() {
                    if let Some(similarity) = self.similarity(probe, slot) {
                        best.push(similarity, slot);
                    }
                }
                return best
                    .into_sorted()
                    .into_iter()
                    .map(|(s, slot)| (slot, s))
                    .collect();
            }
            _ => self.len() <= SCANNED_EXACTLY,
        };
        let allowed = |slot: u32| mask.is_none_or(|m| m.contains(slot));
        let mut rows = Best::new(if exact {
            self.len()
        } else {
            RESCORED.max(limit * 2)
        });
        if exact {
            for (row, &slot) in self.owners.iter().enumerate() {
                if allowed(slot) {
                    rows.push(self.cosine(probe, row), row as u32);
                }
            }
        } else {
            let mut estimates = vec![0.0; self.len()];
            probe.planes.scan(&self.sketches, &mut estimates);
            for (row, &slot) in self.owners.iter().enumerate() {
                if allowed(slot) {
                    rows.push(estimates[row], row as u32);
                }
            }
        }
        let mut slots: Vec<u32> = rows
            .into_sorted()
            .into_iter()
            .map(|(_, row)| self.owners[row as usize])
            .collect();
        slots.sort_unstable();
        slots.dedup();
        let mut best = Best::new(limit);
        for slot in slots {
            if let Some(similarity) = self.similarity(probe, slot) {
                best.push(similarity, slot);
            }
        }
        best.into_sorted()
            .into_iter()
            .map(|(s, slot)| (slot, s))
            .collect()
    }
}

fn check(vector: &[f32], expected: usize) -> Result<(), VectorError> {
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
    Ok(())
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
    fn similarity_is_the_cosine_of_the_closest_part() {
        let mut vectors = Vectors::default();
        let (a, b, query) = (scatter(1, 96), scatter(2, 96), scatter(3, 96));
        vectors.set(7, &[&a, &b]).expect("good vectors");
        let probe = vectors.probe(&query).expect("a good vector");
        let found = vectors.similarity(&probe, 7).expect("stored");
        assert!((found - cosine(&a, &query).max(cosine(&b, &query))).abs() < 2e-3);
        assert_eq!(vectors.similarity(&probe, 6), None);
    }

    #[test]
    fn vectors_without_direction_or_of_another_length_are_refused() {
        let mut vectors = Vectors::default();
        assert_eq!(
            vectors.set(0, &[&[0.0, 0.0]]),
            Err(VectorError::NoDirection)
        );
        assert_eq!(
            vectors.set(0, &[&[f32::NAN, 1.0]]),
            Err(VectorError::NoDirection)
        );
        assert_eq!(
            vectors.set(0, &[&[]]),
            Err(VectorError::Dimension {
                expected: 0,
                found: 0
            })
        );
        vectors.set(0, &[&[1.0, 2.0]]).expect("a good vector");
        let refused = Err(VectorError::Dimension {
            expected: 2,
            found: 1,
        });
        assert_eq!(vectors.set(1, &[&[1.0]]), refused);
        assert_eq!(vectors.probe(&[1.0]).map(|_| ()), refused);
    }

    #[test]
    fn sketches_find_what_an_exact_scan_finds() {
        let mut vectors = Vectors::default();
        let count = SCANNED_EXACTLY as u32 * 2;
        for slot in 0..count {
            vectors
                .set(slot, &[&scatter(u64::from(slot), 128)])
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
                .set(slot, &[&scatter(u64::from(slot), 64)])
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
            steps in prop::collection::vec((0_u32..12, 0_usize..3, any::<u64>()), 1..60),
        ) {
            let mut changed = Vectors::default();
            let mut last = std::collections::BTreeMap::new();
            for (slot, parts, seed) in steps {
                let parts: Vec<Vec<f32>> =
                    (0..parts as u64).map(|p| scatter(seed.wrapping_add(p), 70)).collect();
                let views: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
                changed.set(slot, &views).expect("good vectors");
                last.insert(slot, parts);
            }
            let mut fresh = Vectors::default();
            for (&slot, parts) in &last {
                let views: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
                fresh.set(slot, &views).expect("good vectors");
            }
            prop_assert_eq!(changed.len(), fresh.len());
            let query = scatter(1, 70);
            let probes = (changed.probe(&query).expect("good"), fresh.probe(&query).expect("good"));
            prop_assert_eq!(changed.nearest(&probes.0, None, 20), fresh.nearest(&probes.1, None, 20));
        }
    }
}

//! Made-up vectors with the neighbourhoods that real ones have: 1,000 base vectors, each repeated
//! with noise.
//!
//! A vector and its siblings of the same base are close to each other and far from all others, so
//! that a search has neighbours to find, and to confuse. Everything follows from the seed: what a
//! store was filled with can be made again to compare answers with.

use crate::rng::Rng;

/// Number of base vectors.
const BASES: usize = 1_000;
/// Standard deviation of the noise on each component of a base of length 1.
const NOISE: f32 = 0.05;

/// Parts of the seed, so that bases, traces and queries have nothing in common.
const BASE_PART: u64 = 1 << 40;
const QUERY_PART: u64 = 2 << 40;

/// A source of vectors of one length.
#[derive(Debug)]
pub struct Source {
    seed: u64,
    dimensions: usize,
    bases: Vec<f32>,
}

impl Source {
    /// Makes the base vectors.
    pub fn new(seed: u64, dimensions: usize) -> Self {
        let mut bases = Vec::with_capacity(BASES * dimensions);
        for base in 0..BASES {
            let mut rng = Rng::part(seed, BASE_PART + base as u64);
            let mut vector: Vec<f32> = (0..dimensions).map(|_| bell(&mut rng)).collect();
            normalize(&mut vector);
            bases.extend(vector);
        }
        Self {
            seed,
            dimensions,
            bases,
        }
    }

    /// Returns the length of its vectors.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Returns the vector of trace `number`, of length 1.
    pub fn trace(&self, number: usize) -> Vec<f32> {
        self.near(number % BASES, Rng::part(self.seed, number as u64))
    }

    /// Returns the vector of a text, of length 1: that of the same text whenever it is asked.
    pub fn text(&self, text: &str) -> Vec<f32> {
        let hash = fnv(text.as_bytes());
        let base = (hash >> 32) as usize % BASES;
        self.near(base, Rng::part(self.seed ^ hash, QUERY_PART))
    }

    fn near(&self, base: usize, mut rng: Rng) -> Vec<f32> {
        let base = &self.bases[base * self.dimensions..][..self.dimensions];
        let mut vector: Vec<f32> = base.iter().map(|x| x + NOISE * bell(&mut rng)).collect();
        normalize(&mut vector);
        vector
    }
}

/// Returns a number of a bell-shaped distribution with mean 0 and variance 1: the sum of four
/// uniform ones, which takes a single step of the generator.
fn bell(rng: &mut Rng) -> f32 {
    let bits = rng.next();
    let sum: u32 = (0..4)
        .map(|part| (bits >> (16 * part)) as u32 & 0xffff)
        .sum();
    (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
}

fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
}

/// FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn siblings_are_close_and_others_are_not() {
        let source = Source::new(7, 512);
        let first = source.trace(3);
        assert!((cosine(&first, &first) - 1.0).abs() < 1e-4);
        assert!(cosine(&first, &source.trace(3 + BASES)) > 0.2);
        assert!(cosine(&first, &source.trace(4)).abs() < 0.2);
    }

    #[test]
    fn a_text_has_one_vector_and_another_text_another() {
        let source = Source::new(7, 64);
        assert_eq!(source.text("a"), Source::new(7, 64).text("a"));
        assert_ne!(source.text("a"), source.text("b"));
    }
}

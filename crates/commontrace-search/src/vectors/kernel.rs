//! The two inner loops of the vector scan, compiled also for the wider registers of newer
//! processors. All sums are of integers: every variant gives the same result.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_loadu_si512, _mm512_maskz_loadu_epi64,
    _mm512_popcnt_epi64, _mm512_reduce_add_epi64, _mm512_setzero_si512, _mm512_slli_epi64,
};

/// Bits of a query component in a sketch scan.
const PLANES: usize = 4;

/// The sign bits of a vector, 64 to a word.
pub fn sketch(vector: &[f32]) -> impl Iterator<Item = u64> {
    vector.chunks(64).map(|chunk| {
        chunk
            .iter()
            .enumerate()
            .fold(0, |word, (bit, &x)| word | u64::from(x > 0.0) << bit)
    })
}

/// Product of a query and a stored vector.
pub fn dot(query: &[i16], stored: &[i8]) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just been asked whether it knows these instructions.
        return unsafe { dot_avx2(query, stored) };
    }
    dot_portable(query, stored)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_avx2(query: &[i16], stored: &[i8]) -> i32 {
    dot_portable(query, stored)
}

#[inline(always)]
fn dot_portable(query: &[i16], stored: &[i8]) -> i32 {
    // The caller's bound on the dimension rules overflow out; checking would forbid vector code.
    let products = query
        .iter()
        .zip(stored)
        .map(|(&q, &s)| i32::from(q).wrapping_mul(i32::from(s)));
    products.fold(0, i32::wrapping_add)
}

/// A query vector cut to four bits a component and turned on its side: plane `p` holds bit `p` of
/// every component, so that its product with a sketch is four counts of common bits.
#[derive(Debug)]
pub struct Planes {
    /// For each word of a sketch, the four planes' words.
    words: Vec<[u64; PLANES]>,
    /// The same by plane, each filled up with zeros to whole registers of eight words.
    #[cfg(target_arch = "x86_64")]
    registers: Vec<[[u64; REGISTER]; PLANES]>,
    least: f32,
    step: f32,
}

/// Words of a sketch that fit a 512-bit register.
#[cfg(target_arch = "x86_64")]
const REGISTER: usize = 8;

impl Planes {
    /// Cuts a query vector.
    pub fn new(vector: &[f32]) -> Self {
        let least = vector.iter().copied().fold(f32::INFINITY, f32::min);
        let most = vector.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let step = (most - least).max(f32::MIN_POSITIVE) / ((1 << PLANES) - 1) as f32;
        let words: Vec<_> = vector
            .chunks(64)
            .map(|chunk| {
                let mut planes = [0; PLANES];
                for (bit, &x) in chunk.iter().enumerate() {
                    let level = ((x - least) / step).round() as u64;
                    for (p, plane) in planes.iter_mut().enumerate() {
                        *plane |= (level >> p & 1) << bit;
                    }
                }
                planes
            })
            .collect();
        Self {
            #[cfg(target_arch = "x86_64")]
            registers: registers(&words),
            words,
            least,
            step,
        }
    }

    /// Writes for each sketch the sum of the query components at its set bits: in the order of
    /// the estimated products, since a row of signs has one length whatever its bits.
    pub fn scan(&self, sketches: &[u64], estimates: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq") {
            // SAFETY: the processor has just been asked whether it knows these instructions.
            unsafe { self.scan_avx512(sketches, estimates) };
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has just been asked whether it knows these instructions.
            unsafe { self.scan_avx2(sketches, estimates) };
            return;
        }
        self.scan_portable(sketches, estimates);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn scan_avx512(&self, sketches: &[u64], estimates: &mut [f32]) {
        let Some((last, whole)) = self.registers.split_last() else {
            return;
        };
        let rest = self.words.len() - whole.len() * REGISTER;
        let rest_mask = u8::MAX >> (REGISTER - rest);
        for (sketch, estimate) in sketches.chunks_exact(self.words.len()).zip(estimates) {
            let (registers, rest) = sketch.as_chunks::<REGISTER>();
            let mut counts = [_mm512_setzero_si512(); PLANES + 1];
            for (register, planes) in registers.iter().zip(whole) {
                // SAFETY: the register is as long as what is loaded.
                let word = unsafe { _mm512_loadu_si512(register.as_ptr().cast()) };
                count(&mut counts, word, planes);
            }
            // The last one is full if the sketch fills whole registers.
            let rest = registers.get(whole.len()).map_or(rest, |full| full);
            // SAFETY: only the words that the mask names, those of the rest, are loaded.
            let word = unsafe { _mm512_maskz_loadu_epi64(rest_mask, rest.as_ptr().cast()) };
            count(&mut counts, word, last);
            let [set, ones, twos, fours, eights] = counts;
            let levels = _mm512_add_epi64(
                _mm512_add_epi64(ones, _mm512_slli_epi64::<1>(twos)),
                _mm512_add_epi64(
                    _mm512_slli_epi64::<2>(fours),
                    _mm512_slli_epi64::<3>(eights),
                ),
            );
            // Both sums fit 32 bits, so one addition across the register makes both.
            let both = _mm512_add_epi64(levels, _mm512_slli_epi64::<32>(set));
            let both = _mm512_reduce_add_epi64(both) as u64;
            *estimate = self.estimate(both >> 32, both & u64::from(u32::MAX));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,popcnt")]
    fn scan_avx2(&self, sketches: &[u64], estimates: &mut [f32]) {
        self.scan_portable(sketches, estimates);
    }

    #[inline(always)]
    fn scan_portable(&self, sketches: &[u64], estimates: &mut [f32]) {
        for (sketch, estimate) in sketches.chunks_exact(self.words.len()).zip(estimates) {
            let (mut set, mut levels) = (0_u64, 0_u64);
            for (word, planes) in sketch.iter().zip(&self.words) {
                set += u64::from(word.count_ones());
                let common = |plane: usize| u64::from((word & planes[plane]).count_ones()) << plane;
                levels += common(0) + common(1) + common(2) + common(3);
            }
            *estimate = self.estimate(set, levels);
        }
    }

    /// The sum of the query components at the set bits, from their number and the sum of levels.
    #[inline(always)]
    fn estimate(&self, set: u64, levels: u64) -> f32 {
        self.least * set as f32 + self.step * levels as f32
    }
}

/// Adds the bits set in eight words, and those in common with each plane.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
#[inline]
fn count(counts: &mut [__m512i; PLANES + 1], word: __m512i, planes: &[[u64; REGISTER]; PLANES]) {
    let [set, common @ ..] = counts;
    *set = _mm512_add_epi64(*set, _mm512_popcnt_epi64(word));
    for (common, plane) in common.iter_mut().zip(planes) {
        // SAFETY: the plane is as long as what is loaded.
        let plane = unsafe { _mm512_loadu_si512(plane.as_ptr().cast()) };
        let both = _mm512_and_si512(word, plane);
        *common = _mm512_add_epi64(*common, _mm512_popcnt_epi64(both));
    }
}

/// Turns the planes' words, which lie together by word, into registers by plane.
#[cfg(target_arch = "x86_64")]
fn registers(words: &[[u64; PLANES]]) -> Vec<[[u64; REGISTER]; PLANES]> {
    words
        .chunks(REGISTER)
        .map(|words| {
            let mut planes = [[0; REGISTER]; PLANES];
            for (at, word) in words.iter().enumerate() {
                for (plane, &bits) in planes.iter_mut().zip(word) {
                    plane[at] = bits;
                }
            }
            planes
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_variant_of_the_scan_gives_the_same(
            query in prop::collection::vec(-1.0_f32..1.0, 1..1_700),
            rows in 0_usize..5,
            seed in any::<u64>(),
        ) {
            let planes = Planes::new(&query);
            let words = query.len().div_ceil(64);
            let mut state = seed | 1;
            let sketches: Vec<u64> = (0..rows * words)
                .map(|_| {
                    state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E);
                    state ^ state >> 29
                })
                .collect();
            let (mut fast, mut plain) = (vec![0.0; rows], vec![0.0; rows]);
            planes.scan(&sketches, &mut fast);
            planes.scan_portable(&sketches, &mut plain);
            prop_assert_eq!(fast, plain);
        }
    }
}

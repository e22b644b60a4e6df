//! The two inner loops of the vector scan, compiled also for the wider registers of newer
//! processors. All sums are of integers: every variant gives the same result.

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
    least: f32,
    step: f32,
}

impl Planes {
    /// Cuts a query vector.
    pub fn new(vector: &[f32]) -> Self {
        let least = vector.iter().copied().fold(f32::INFINITY, f32::min);
        let most = vector.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let step = (most - least).max(f32::MIN_POSITIVE) / ((1 << PLANES) - 1) as f32;
        let words = vector
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
        Self { words, least, step }
    }

    /// Writes for each sketch the sum of the query components at its set bits: in the order of
    /// the estimated products, since a row of signs has one length whatever its bits.
    pub fn scan(&self, sketches: &[u64], estimates: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has just been asked whether it knows these instructions.
            unsafe { self.scan_avx2(sketches, estimates) };
            return;
        }
        self.scan_portable(sketches, estimates);
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
            *estimate = self.least * set as f32 + self.step * levels as f32;
        }
    }
}

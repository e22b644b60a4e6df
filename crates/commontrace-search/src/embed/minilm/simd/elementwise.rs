//! Element-wise functions of the encoder: GELU, softmax and layer normalisation.
//!
//! Each is plain code over fixed-width lanes, compiled once per instruction set. Sums are kept in
//! sixteen lanes and folded at the end, in the same order at every level.

use super::{BLOCK, Level, ROW_LENGTH_LIMIT};

const LANES: usize = 16;
/// Adding 1.5 * 2^23 to a small number rounds it to an integer, held in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// Defines a function that runs `$body` compiled for the level given as first argument.
macro_rules! per_level {
    ($(#[$doc:meta])* $name:ident => $body:ident ( $($arg:ident : $ty:ty),* )) => {
        $(#[$doc])*
        pub fn $name(level: Level, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512($($arg: $ty),*) {
                    $body::<true>($($arg),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    $body::<true>($($arg),*);
                }
                match level {
                    // SAFETY: a level is only made after checking the processor for it.
                    Level::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: a level is only made after checking the processor for it.
                    Level::Avx2 => unsafe { avx2($($arg),*) },
                    Level::Portable => $body::<false>($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let Level::Portable = level;
                $body::<{ cfg!(target_arch = "aarch64") }>($($arg),*);
            }
        }
    };
}

per_level! {
    /// Applies the Gaussian error linear unit `x * Phi(x)` to each value, to within 5e-7.
    gelu => gelu_values(values: &mut [f32])
}

per_level! {
    /// Replaces each row of `scores` by its softmax over the first `length` values; what lies
    /// beyond, up to `stride`, is padding and is left alone.
    softmax_rows => softmax_values(scores: &mut [f32], stride: usize, length: usize)
}

per_level! {
    /// Normalises each row of `values` to zero mean and unit variance, then scales and shifts.
    layer_norm => normalise_rows(values: &mut [f32], scale: &[f32], shift: &[f32])
}

per_level! {
    /// Rounds `values` to integers block by block of [`BLOCK`], each in a unit of its own that
    /// keeps the block's Euclidean length below [`ROW_LENGTH_LIMIT`].
    quantize => round_blocks(values: &[f32], rounded: &mut [i16], units: &mut [f32])
}

/// The epsilon of the model's layer normalisation.
const EPSILON: f32 = 1e-12;

/// `a * b + c`, fused if the level has an instruction for it.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Evaluates a polynomial, constant term first, by Horner's rule.
#[inline(always)]
fn polynomial<const FUSED: bool>(coefficients: &[f32; 7], x: f32) -> f32 {
    let mut sum = coefficients[6];
    for i in (0..6).rev() {
        sum = multiply_add::<FUSED>(sum, x, coefficients[i]);
    }
    sum
}

/// `e^x` for `x <= 0`, with a relative error below 2e-7; zero is returned as about 1e-38.
#[inline(always)]
fn exp_of_negative<const FUSED: bool>(x: f32) -> f32 {
    /// Minimax fit of `2^f` on [-1/2, 1/2], relative error 2e-9.
    const EXP2: [f32; 7] = [
        1.0,
        std::f32::consts::LN_2,
        0.240_226_52,
        0.055_503_27,
        0.009_617_994,
        0.001_340_043_1,
        0.000_154_780_18,
    ];
    let x = x.max(-87.0);
    let rounded = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let whole = rounded - ROUND;
    let fraction = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, -whole);
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    polynomial::<FUSED>(&EXP2, fraction) * power
}

#[inline(always)]
fn gelu_values<const FUSED: bool>(values: &mut [f32]) {
    /// With `t = 1 / (1 + SLOPE |x|)`, `exp(-x^2 / 2)` times this polynomial in `t` is the
    /// upper tail of the normal distribution. Weighted minimax fit: 5e-9 in the result.
    const TAIL: [f32; 7] = [
        0.003_802_541_6,
        0.100_605_1,
        0.307_859_18,
        -0.266_674_3,
        0.591_404_14,
        -0.279_885_08,
        0.042_888_13,
    ];
    const SLOPE: f32 = 0.35;
    for value in values {
        let x = *value;
        let size = x.abs();
        let t = 1.0 / multiply_add::<FUSED>(SLOPE, size, 1.0);
        let tail = polynomial::<FUSED>(&TAIL, t) * exp_of_negative::<FUSED>(-0.5 * x * x);
        *value = x.max(0.0) - size * tail;
    }
}

#[inline(always)]
fn softmax_values<const FUSED: bool>(scores: &mut [f32], stride: usize, length: usize) {
    for row in scores.chunks_exact_mut(stride) {
        let row = &mut row[..length];
        let largest = largest_of(row);
        for value in row.iter_mut() {
            *value = exp_of_negative::<FUSED>(*value - largest);
        }
        let scale = 1.0 / sum_by::<FUSED>(row, |x| x);
        for value in row {
            *value *= scale;
        }
    }
}

#[inline(always)]
fn normalise_rows<const FUSED: bool>(values: &mut [f32], scale: &[f32], shift: &[f32]) {
    let width = scale.len();
    for row in values.chunks_exact_mut(width) {
        let mean = sum_by::<FUSED>(row, |x| x) / width as f32;
        let variance = sum_by::<FUSED>(row, |x| (x - mean) * (x - mean)) / width as f32;
        let factor = 1.0 / (variance + EPSILON).sqrt();
        for ((value, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
            *value = multiply_add::<FUSED>((*value - mean) * factor, *scale, *shift);
        }
    }
}

/// Rounds `value * scale`, a small number, to an integer; truncates what does not fit.
#[inline(always)]
pub fn round(value: f32, scale: f32) -> i16 {
    (value * scale + ROUND).to_bits() as i16
}

#[inline(always)]
fn round_blocks<const FUSED: bool>(values: &[f32], rounded: &mut [i16], units: &mut [f32]) {
    let blocks = values
        .chunks_exact(BLOCK)
        .zip(rounded.chunks_exact_mut(BLOCK));
    for ((values, rounded), unit) in blocks.zip(units) {
        let length = sum_by::<FUSED>(values, |x| x * x).sqrt();
        // A block of zeros is zero in any unit.
        let scale = if length > 0.0 {
            ROW_LENGTH_LIMIT / length
        } else {
            0.0
        };
        *unit = length / ROW_LENGTH_LIMIT;
        for (rounded, value) in rounded.iter_mut().zip(values) {
            *rounded = round(*value, scale);
        }
    }
}

#[inline(always)]
fn largest_of(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, *value);
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, larger)
}

#[inline(always)]
fn sum_by<const FUSED: bool>(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += of(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += of(*value);
    }
    lanes.iter().sum()
}

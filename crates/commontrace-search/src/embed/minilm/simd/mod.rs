//! The arithmetic that dominates encoding: matrix products and element-wise functions.
//!
//! Each operation exists for AVX-512, for AVX2 and in portable form; [`Level::detect`] picks the
//! best the processor has, once, at load time. Every output is summed in the same order whatever
//! the number of rows, so a text's vector does not depend on the batch it is in.

mod elementwise;
mod float_product;
mod int_product;

pub use elementwise::{gelu, layer_norm, quantize, round, softmax_rows};
pub use float_product::{Panels, Rows, add_product};
pub use int_product::{BLOCK, ROW_LENGTH_LIMIT, WEIGHT_LENGTH_LIMIT, Weights, add_scaled_product};

/// The instruction set the kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 512-bit registers with 16-bit dot products (VNNI).
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit registers with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the compiler makes of plain loops.
    Portable,
}

impl Level {
    /// Returns the best level this processor can run.
    #[must_use]
    pub fn detect() -> Self {
        *Self::available()
            .first()
            .expect("the portable level is always available")
    }

    /// Returns every level this processor can run, best first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 && avx512 {
                levels.push(Self::Avx512);
            }
            if avx2 {
                levels.push(Self::Avx2);
            }
        }
        levels.push(Self::Portable);
        levels
    }

    /// Columns of a panel: two registers of 32-bit values.
    #[must_use]
    pub fn panel_width(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 32,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 16,
            Self::Portable => PORTABLE_WIDTH,
        }
    }

    /// Rows computed together at most: as many as leave four registers for the operands.
    fn tile_rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 14,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 6,
            Self::Portable => 4,
        }
    }
}

/// Columns of a panel at the portable level: 4 rows of sums fill half of the 32 NEON registers.
const PORTABLE_WIDTH: usize = 16;

/// Splits `rows` into tiles of at most `most` rows, as evenly as can be: 23 rows are 12 + 11.
fn tiles(rows: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = rows.div_ceil(most);
    (0..count).map(move |tile| rows * tile / count..rows * (tile + 1) / count)
}

/// Calls the instance of a kernel for a number of rows: `by_rows!(kernel, tile, rows, [1 2 3])`.
macro_rules! by_rows {
    ($kernel:ident, $tile:expr, $rows:expr, [$($r:literal)*]) => {
        match $rows {
            $($r => $kernel::<$r>($tile),)*
            _ => unreachable!("more rows than a tile holds"),
        }
    };
}
use by_rows;

#[cfg(test)]
mod tests;

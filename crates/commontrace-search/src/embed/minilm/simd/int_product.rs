//! Products of matrices rounded to 16-bit integers, as the linear layers need them.
//!
//! Both factors are scaled, block by block of the depth, so that the length of each row and of
//! each column stays below a limit. By the Cauchy-Schwarz inequality no 32-bit sum of products
//! can then overflow, and about 12 bits of a typical value remain: far finer than 8-bit
//! quantisation, at nearly twice the speed and half the memory of `f32`.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, __m512i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi32, _mm256_cvtepi32_ps,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_si256, _mm256_storeu_ps, _mm512_cvtepi32_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_si512, _mm512_storeu_ps,
};

use super::{Level, PORTABLE_WIDTH, by_rows, tiles};

/// Values that share a scale, and the depth of a tile: it stays in the first-level cache.
pub const BLOCK: usize = 384;
/// The greatest Euclidean length of a block of a row. No single value can exceed it either.
pub const ROW_LENGTH_LIMIT: f32 = 32_767.0;
/// The greatest Euclidean length of a block of a column. Rounding can lengthen either factor by
/// `sqrt(384) / 2 < 10`, and `32_777 * 65_010 < 2^31`.
pub const WEIGHT_LENGTH_LIMIT: f32 = 65_000.0;

/// Bytes of panels kept in the second-level cache while the rows pass over them.
const PANEL_GROUP_BYTES: usize = 384 << 10;
/// How far ahead of use the weights are fetched; they come from beyond the second-level cache.
#[cfg(target_arch = "x86_64")]
const PREFETCH_BYTES: usize = 2048;

/// The right factor, packed: by block of the depth, by panel, by pair of inputs, by output.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// The rounded values.
    pub values: &'a [i16],
    /// What a unit of each column stands for, by block and output.
    pub units: &'a [f32],
    /// Number of columns, a multiple of [`Level::panel_width`].
    pub outputs: usize,
}

/// Adds to `c`, of one row of outputs per row of `a`, the product of the factors.
///
/// `a` holds rows of `inputs` rounded values, `a_units` what a unit of each of their blocks stands
/// for.
///
/// # Panics
/// If a slice does not fit the shape.
pub fn add_scaled_product(
    level: Level,
    a: &[i16],
    a_units: &[f32],
    inputs: usize,
    weights: Weights<'_>,
    c: &mut [f32],
) {
    let Weights {
        values,
        units,
        outputs,
    } = weights;
    let width = level.panel_width();
    let (rows, blocks, panels) = (a.len() / inputs, inputs / BLOCK, outputs / width);
    assert!(
        inputs.is_multiple_of(BLOCK) && outputs.is_multiple_of(width),
        "whole blocks and panels"
    );
    assert!(
        a.len() == rows * inputs && a_units.len() == rows * blocks,
        "left factor fits"
    );
    assert!(
        values.len() == inputs * outputs && units.len() == blocks * outputs,
        "right fits"
    );
    assert_eq!(c.len(), rows * outputs, "result fits");

    let panel_values = BLOCK * width;
    let group = PANEL_GROUP_BYTES / (panel_values * size_of::<i16>());
    for block in 0..blocks {
        for first_panel in (0..panels).step_by(group) {
            for tile_rows in tiles(rows, level.tile_rows()) {
                for panel in first_panel..panels.min(first_panel + group) {
                    let first = tile_rows.start;
                    let tile = Tile {
                        a: a[first * inputs + block * BLOCK..].as_ptr(),
                        a_stride: inputs,
                        a_units: a_units[first * blocks + block..].as_ptr(),
                        a_units_stride: blocks,
                        b: values[(block * panels + panel) * panel_values..].as_ptr(),
                        b_units: units[block * outputs + panel * width..].as_ptr(),
                        c: c[first * outputs + panel * width..].as_mut_ptr(),
                        c_stride: outputs,
                    };
                    // SAFETY: the assertions above cover every index of every tile, and `level`
                    // was checked against the processor when it was made.
                    unsafe { tile.add_product(level, tile_rows.len()) };
                }
            }
        }
    }
}

/// One tile of a product: one block of some rows by one panel.
#[derive(Clone, Copy)]
struct Tile {
    a: *const i16,
    a_stride: usize,
    a_units: *const f32,
    a_units_stride: usize,
    b: *const i16,
    b_units: *const f32,
    c: *mut f32,
    c_stride: usize,
}

impl Tile {
    /// # Safety
    /// The pointers are valid for the shape, `rows` is in `1..=level.tile_rows()`, and the
    /// processor has `level`.
    unsafe fn add_product(self, level: Level, rows: usize) {
        // SAFETY: passed on from the caller; the number of rows is the kernel's constant.
        unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => by_rows!(avx512, self, rows, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => by_rows!(avx2, self, rows, [1 2 3 4 5 6]),
                Level::Portable => by_rows!(portable, self, rows, [1 2 3 4]),
            }
        }
    }

    /// Reads the pair of values number `pair` of a row.
    ///
    /// # Safety
    /// The pointers are valid for the row.
    #[inline(always)]
    unsafe fn pair(&self, row: usize, pair: usize) -> [i16; 2] {
        // SAFETY: passed on from the caller; pairs are below half a block.
        unsafe {
            self.a
                .add(row * self.a_stride + 2 * pair)
                .cast::<[i16; 2]>()
                .read()
        }
    }

    /// # Safety
    /// The pointers are valid for the row.
    #[inline(always)]
    unsafe fn unit(&self, row: usize) -> f32 {
        // SAFETY: passed on from the caller.
        unsafe { *self.a_units.add(row * self.a_units_stride) }
    }
}

/// Both values of a pair in one 32-bit lane.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn lane([low, high]: [i16; 2]) -> i32 {
    (i32::from(high) << 16) | i32::from(low as u16)
}

/// Adds to each 32-bit lane the products of the two 16-bit values in the lanes of `a` and `b`.
///
/// In assembly, because the compiler breaks the intrinsic up into a multiplication and an
/// addition to shorten the chain of dependent sums. With this many independent sums the chains
/// do not matter, and two instructions for one make the whole encoder a third slower.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn add_pair_products(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    let mut sum = sum;
    // SAFETY: reads and writes registers only; the processor has the instruction.
    unsafe {
        std::arch::asm!(
            "vpdpwssd {sum}, {a}, {b}",
            sum = inout(zmm_reg) sum,
            a = in(zmm_reg) a,
            b = in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// # Safety
/// The processor has AVX-512F, BW and VNNI; the pointers are valid for `R` rows, 32 columns.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn avx512<const R: usize>(tile: Tile) {
    let mut sums: [[__m512i; 2]; R] = [[_mm512_setzero_si512(); 2]; R];
    let mut b = tile.b;
    for pair in 0..BLOCK / 2 {
        // SAFETY: pairs and rows are inside the shape; prefetching may point anywhere.
        unsafe {
            let ahead = b.cast::<i8>().wrapping_add(PREFETCH_BYTES);
            _mm_prefetch::<_MM_HINT_T0>(ahead);
            _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(64));
            let b0 = _mm512_loadu_si512(b.cast());
            let b1 = _mm512_loadu_si512(b.add(32).cast());
            b = b.add(64);
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_epi32(lane(tile.pair(row, pair)));
                sums[0] = add_pair_products(sums[0], a, b0);
                sums[1] = add_pair_products(sums[1], a, b1);
            }
        }
    }
    // SAFETY: units and result have 32 columns, the result at each of the `R` rows.
    unsafe {
        let units = [
            _mm512_loadu_ps(tile.b_units),
            _mm512_loadu_ps(tile.b_units.add(16)),
        ];
        for (row, sums) in sums.iter().enumerate() {
            let unit = _mm512_set1_ps(tile.unit(row));
            for (half, (sum, units)) in sums.iter().zip(units).enumerate() {
                let c = tile.c.add(row * tile.c_stride + 16 * half);
                let scale = _mm512_mul_ps(unit, units);
                let sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(*sum), scale, _mm512_loadu_ps(c));
                _mm512_storeu_ps(c, sum);
            }
        }
    }
}

/// # Safety
/// The processor has AVX2 and FMA; the pointers are valid for `R` rows, 16 columns.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const R: usize>(tile: Tile) {
    let mut sums: [[__m256i; 2]; R] = [[_mm256_setzero_si256(); 2]; R];
    let mut b = tile.b;
    for pair in 0..BLOCK / 2 {
        // SAFETY: pairs and rows are inside the shape; prefetching may point anywhere.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(b.cast::<i8>().wrapping_add(PREFETCH_BYTES));
            let b0 = _mm256_loadu_si256(b.cast());
            let b1 = _mm256_loadu_si256(b.add(16).cast());
            b = b.add(32);
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_set1_epi32(lane(tile.pair(row, pair)));
                sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(a, b0));
                sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(a, b1));
            }
        }
    }
    // SAFETY: units and result have 16 columns, the result at each of the `R` rows.
    unsafe {
        let units = [
            _mm256_loadu_ps(tile.b_units),
            _mm256_loadu_ps(tile.b_units.add(8)),
        ];
        for (row, sums) in sums.iter().enumerate() {
            let unit = _mm256_set1_ps(tile.unit(row));
            for (half, (sum, units)) in sums.iter().zip(units).enumerate() {
                let c = tile.c.add(row * tile.c_stride + 8 * half);
                let scale = _mm256_mul_ps(unit, units);
                let sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(*sum), scale, _mm256_loadu_ps(c));
                _mm256_storeu_ps(c, sum);
            }
        }
    }
}

/// # Safety
/// The pointers are valid for `R` rows and [`PORTABLE_WIDTH`] columns.
unsafe fn portable<const R: usize>(tile: Tile) {
    let mut sums = [[0i32; PORTABLE_WIDTH]; R];
    for pair in 0..BLOCK / 2 {
        // SAFETY: pairs and rows are inside the shape; panel rows hold a pair per column.
        unsafe {
            let b = tile.b.cast::<[[i16; 2]; PORTABLE_WIDTH]>().add(pair).read();
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = tile.pair(row, pair).map(i32::from);
                for (sum, b) in sums.iter_mut().zip(b) {
                    // Nothing overflows; checking for it, where checks are on, would keep the
                    // loop from being vectorised.
                    let [first, second] = [0, 1].map(|i| a[i].wrapping_mul(i32::from(b[i])));
                    *sum = sum.wrapping_add(first).wrapping_add(second);
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: units and result have that many columns, the result at each of the `R` rows.
        unsafe {
            let units = tile.b_units.cast::<[f32; PORTABLE_WIDTH]>().read();
            let c = &mut *tile
                .c
                .add(row * tile.c_stride)
                .cast::<[f32; PORTABLE_WIDTH]>();
            for ((c, sum), unit) in c.iter_mut().zip(sums).zip(units) {
                *c += *sum as f32 * (tile.unit(row) * unit);
            }
        }
    }
}

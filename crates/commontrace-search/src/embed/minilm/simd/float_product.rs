//! Products of `f32` matrices, as attention needs them.
//!
//! A kernel keeps a tile of sums in registers and walks down the depth: each step loads one row
//! of a panel and multiplies it by one broadcast value per row of the tile.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m512, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::{Level, PORTABLE_WIDTH, by_rows, tiles};

/// The left factor of a product: `rows` rows, `stride` apart.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The values, starting at the first row.
    pub values: &'a [f32],
    /// Distance between the starts of two rows.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
}

/// The right factor: panels of rows that are [`Level::panel_width`] wide.
///
/// A matrix need not be packed for this: the values of an attention head are used where they lie.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    /// The values, starting at the first panel.
    pub values: &'a [f32],
    /// Distance between the starts of two panels.
    pub panel_stride: usize,
    /// Distance between the starts of two rows of a panel.
    pub row_stride: usize,
    /// Number of panels.
    pub panels: usize,
}

/// Adds the product `a * b` to `c`, whose rows are `c_stride` apart.
///
/// Every panel is computed in full: `c` has room for `panels * panel_width` columns.
///
/// # Panics
/// If a slice is too short for its stated shape.
pub fn add_product(
    level: Level,
    a: Rows<'_>,
    b: Panels<'_>,
    depth: usize,
    c: &mut [f32],
    c_stride: usize,
) {
    let width = level.panel_width();
    if a.rows == 0 || b.panels == 0 || depth == 0 {
        return;
    }
    assert!(
        a.values.len() >= (a.rows - 1) * a.stride + depth,
        "left factor too short"
    );
    assert!(
        b.values.len() >= (b.panels - 1) * b.panel_stride + (depth - 1) * b.row_stride + width,
        "right factor too short"
    );
    assert!(
        c.len() >= (a.rows - 1) * c_stride + b.panels * width,
        "result too short"
    );

    for panel in 0..b.panels {
        for rows in tiles(a.rows, level.tile_rows()) {
            let tile = Tile {
                depth,
                a: a.values[rows.start * a.stride..].as_ptr(),
                a_stride: a.stride,
                b: b.values[panel * b.panel_stride..].as_ptr(),
                b_stride: b.row_stride,
                c: c[rows.start * c_stride + panel * width..].as_mut_ptr(),
                c_stride,
            };
            // SAFETY: the assertions above cover every index of every tile, and `level` was
            // checked against the processor when it was made.
            unsafe { tile.add_product(level, rows.len()) };
        }
    }
}

/// One tile of a product: some rows of `a` by one panel of `b`.
#[derive(Clone, Copy)]
struct Tile {
    depth: usize,
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    b_stride: usize,
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
}

/// # Safety
/// The processor has AVX-512F; the pointers are valid for `R` rows and 32 columns.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const R: usize>(tile: Tile) {
    let mut sums: [[__m512; 2]; R] = [[_mm512_setzero_ps(); 2]; R];
    for k in 0..tile.depth {
        // SAFETY: `k` is below the depth, rows are below `R`.
        unsafe {
            let b = tile.b.add(k * tile.b_stride);
            let (b0, b1) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_ps(*tile.a.add(row * tile.a_stride + k));
                sums[0] = _mm512_fmadd_ps(a, b0, sums[0]);
                sums[1] = _mm512_fmadd_ps(a, b1, sums[1]);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: the result has 32 columns at each of the `R` rows.
        unsafe {
            let c = tile.c.add(row * tile.c_stride);
            _mm512_storeu_ps(c, _mm512_add_ps(_mm512_loadu_ps(c), sums[0]));
            let c = c.add(16);
            _mm512_storeu_ps(c, _mm512_add_ps(_mm512_loadu_ps(c), sums[1]));
        }
    }
}

/// # Safety
/// The processor has AVX2 and FMA; the pointers are valid for `R` rows and 16 columns.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const R: usize>(tile: Tile) {
    let mut sums: [[__m256; 2]; R] = [[_mm256_setzero_ps(); 2]; R];
    for k in 0..tile.depth {
        // SAFETY: `k` is below the depth, rows are below `R`.
        unsafe {
            let b = tile.b.add(k * tile.b_stride);
            let (b0, b1) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_set1_ps(*tile.a.add(row * tile.a_stride + k));
                sums[0] = _mm256_fmadd_ps(a, b0, sums[0]);
                sums[1] = _mm256_fmadd_ps(a, b1, sums[1]);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: the result has 16 columns at each of the `R` rows.
        unsafe {
            let c = tile.c.add(row * tile.c_stride);
            _mm256_storeu_ps(c, _mm256_add_ps(_mm256_loadu_ps(c), sums[0]));
            let c = c.add(8);
            _mm256_storeu_ps(c, _mm256_add_ps(_mm256_loadu_ps(c), sums[1]));
        }
    }
}

/// # Safety
/// The pointers are valid for `R` rows and [`PORTABLE_WIDTH`] columns.
unsafe fn portable<const R: usize>(tile: Tile) {
    let mut sums = [[0.0f32; PORTABLE_WIDTH]; R];
    for k in 0..tile.depth {
        // SAFETY: `k` is below the depth, rows are below `R`.
        unsafe {
            let b = &*tile
                .b
                .add(k * tile.b_stride)
                .cast::<[f32; PORTABLE_WIDTH]>();
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = *tile.a.add(row * tile.a_stride + k);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum += a * b;
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: the result has that many columns at each of the `R` rows.
        let c = unsafe {
            &mut *tile
                .c
                .add(row * tile.c_stride)
                .cast::<[f32; PORTABLE_WIDTH]>()
        };
        for (c, sum) in c.iter_mut().zip(sums) {
            *c += sum;
        }
    }
}

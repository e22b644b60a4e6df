//! A linear layer with its weights rounded and packed for the integer kernels.

use super::aligned::AlignedVec;
use super::simd::{self, BLOCK, Level, WEIGHT_LENGTH_LIMIT, Weights};

/// The layer `y = x W + b`.
#[derive(Debug)]
pub struct Linear {
    /// In the order [`Weights`] describes.
    packed: AlignedVec<i16>,
    units: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
}

/// Rows of values rounded for a linear layer's input.
#[derive(Debug, Default)]
pub struct RoundedRows {
    values: AlignedVec<i16>,
    units: Vec<f32>,
}

impl RoundedRows {
    /// Makes room for this many values in all.
    pub fn reserve(&mut self, values: usize) {
        self.values.reserve(values);
        self.units.resize(self.units.len().max(values / BLOCK), 0.0);
    }

    /// Rounds values, of which there are at most as many as reserved.
    fn set(&mut self, level: Level, values: &[f32]) -> (&[i16], &[f32]) {
        let rounded = &mut self.values[..values.len()];
        let units = &mut self.units[..values.len() / BLOCK];
        simd::quantize(level, values, rounded, units);
        (rounded, units)
    }
}

impl Linear {
    /// Rounds and packs weights given as one row of inputs per output.
    ///
    /// # Panics
    /// If the numbers of weights and biases do not match, or do not fill blocks and panels.
    #[must_use]
    pub fn pack(level: Level, weights: &[f32], bias: Vec<f32>) -> Self {
        let width = level.panel_width();
        let outputs = bias.len();
        let inputs = weights.len() / outputs;
        assert_eq!(
            weights.len(),
            inputs * outputs,
            "one weight per input and output"
        );
        assert!(
            inputs.is_multiple_of(BLOCK) && outputs.is_multiple_of(width),
            "whole blocks and panels"
        );

        let mut packed = AlignedVec::zeros(weights.len());
        let mut units = Vec::with_capacity(inputs / BLOCK * outputs);
        let panels = packed.chunks_exact_mut(BLOCK * width);
        let places = (0..inputs / BLOCK).flat_map(|b| (0..outputs / width).map(move |p| (b, p)));
        for (panel, (block, index)) in panels.zip(places) {
            for column in 0..width {
                let row = (index * width + column) * inputs + block * BLOCK;
                let values = &weights[row..row + BLOCK];
                let unit = unit_of(values);
                let scale = 1.0 / unit;
                units.push(unit);
                for (pair, values) in values.as_chunks::<2>().0.iter().enumerate() {
                    let rounded = values.map(|value| simd::round(value, scale));
                    panel[(pair * width + column) * 2..][..2].copy_from_slice(&rounded);
                }
            }
        }
        Self {
            packed,
            units,
            bias,
            inputs,
        }
    }

    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Sets each row of `y` to the layer's output for the same row of `x`.
    pub fn apply(&self, level: Level, x: &[f32], rounded: &mut RoundedRows, y: &mut [f32]) {
        for row in y.chunks_exact_mut(self.outputs()) {
            row.copy_from_slice(&self.bias);
        }
        self.add_product(level, x, rounded, y);
    }

    /// Adds to each row of `y` the layer's output for the same row of `x`.
    pub fn apply_add(&self, level: Level, x: &[f32], rounded: &mut RoundedRows, y: &mut [f32]) {
        for row in y.chunks_exact_mut(self.outputs()) {
            for (y, bias) in row.iter_mut().zip(&self.bias) {
                *y += bias;
            }
        }
        self.add_product(level, x, rounded, y);
    }

    fn add_product(&self, level: Level, x: &[f32], rounded: &mut RoundedRows, y: &mut [f32]) {
        let (values, units) = rounded.set(level, x);
        let weights = Weights {
            values: &self.packed,
            units: &self.units,
            outputs: self.outputs(),
        };
        simd::add_scaled_product(level, values, units, self.inputs, weights, y);
    }
}

/// The value a unit of the rounded weights stands for: the finest that keeps them in range.
fn unit_of(values: &[f32]) -> f32 {
    let length = values.iter().map(|x| x * x).sum::<f32>().sqrt();
    let largest = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let unit = (length / WEIGHT_LENGTH_LIMIT).max(largest / f32::from(i16::MAX));
    // All-zero weights are zero in any unit.
    if unit > 0.0 { unit } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random: a linear congruential sequence in -1..1.
    fn numbers(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    fn apply(level: Level, x: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
        let layer = Linear::pack(level, weights, bias.to_vec());
        let mut rounded = RoundedRows::default();
        rounded.reserve(x.len());
        let mut y = vec![9.0; x.len() / layer.inputs * bias.len()];
        layer.apply(level, x, &mut rounded, &mut y);
        y
    }

    #[test]
    fn outputs_are_close_to_exact_at_every_level_and_number_of_rows() {
        const INPUTS: usize = 2 * BLOCK;
        const OUTPUTS: usize = 96;
        let weights = numbers(1, INPUTS * OUTPUTS);
        let bias = numbers(2, OUTPUTS);
        for rows in (1..=30).chain([250]) {
            let x = numbers(3, rows * INPUTS);
            for level in Level::available() {
                let y = apply(level, &x, &weights, &bias);
                for (at, y) in y.iter().enumerate() {
                    let x = &x[at / OUTPUTS * INPUTS..][..INPUTS];
                    let weights = &weights[at % OUTPUTS * INPUTS..][..INPUTS];
                    let products = x
                        .iter()
                        .zip(weights)
                        .map(|(a, b)| f64::from(*a) * f64::from(*b));
                    let exact = products.sum::<f64>() + f64::from(bias[at % OUTPUTS]);
                    let error = (f64::from(*y) - exact).abs();
                    // Sums are around sqrt(768) / 3, nine.
                    assert!(
                        error < 0.02,
                        "{level:?}, {rows} rows: off by {error} from {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_sum_overflows_when_all_values_point_the_same_way() {
        for level in Level::available() {
            // One large value among small ones, and all alike: the extremes of a block's shape.
            for shape in [
                vec![1.0; BLOCK],
                [vec![1000.0], vec![0.001; BLOCK - 1]].concat(),
            ] {
                let weights = shape.repeat(32);
                let exact: f64 = shape.iter().map(|x| f64::from(*x).powi(2)).sum();
                for y in apply(level, &shape, &weights, &[0.0; 32]) {
                    let error = (f64::from(y) / exact - 1.0).abs();
                    assert!(error < 1e-3, "{level:?}: {y} instead of {exact}");
                }
            }
        }
    }
}

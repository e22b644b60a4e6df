use super::*;

/// Numbers that look random: a linear congruential sequence in -1..1.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn largest_difference(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn float_products_are_right_at_every_level_and_number_of_rows() {
    const DEPTH: usize = 37;
    for level in Level::available() {
        let width = level.panel_width();
        for rows in 1..=30 {
            let (a, b) = (numbers(rows * DEPTH), numbers(DEPTH * width * 2));
            let mut c = numbers(rows * width * 2);
            let mut expected: Vec<f64> = c.iter().map(|c| f64::from(*c)).collect();
            for (at, sum) in expected.iter_mut().enumerate() {
                let (row, column) = (at / (2 * width), at % (2 * width));
                for k in 0..DEPTH {
                    let b = b[column / width * DEPTH * width + k * width + column % width];
                    *sum += f64::from(a[row * DEPTH + k]) * f64::from(b);
                }
            }
            let left = Rows {
                values: &a,
                stride: DEPTH,
                rows,
            };
            let panel_stride = DEPTH * width;
            let right = Panels {
                values: &b,
                panel_stride,
                row_stride: width,
                panels: 2,
            };
            add_product(level, left, right, DEPTH, &mut c, 2 * width);
            let difference = largest_difference(&c, &expected);
            assert!(
                difference < 1e-5,
                "{level:?}, {rows} rows: off by {difference}"
            );
        }
    }
}

#[test]
fn gelu_is_right_at_every_level() {
    // Phi by its Taylor series, good to 1e-12 in this range.
    let reference = |x: f64| {
        let (mut term, mut sum) = (x, x);
        for k in 1..200 {
            term *= -x * x / (2.0 * f64::from(k));
            sum += term / f64::from(2 * k + 1);
        }
        x * (0.5 + sum / (2.0 * std::f64::consts::PI).sqrt())
    };
    let values: Vec<f32> = (-500..=500).map(|i| i as f32 / 100.0).collect();
    let expected: Vec<f64> = values.iter().map(|x| reference(f64::from(*x))).collect();
    for level in Level::available() {
        let mut found = values.clone();
        gelu(level, &mut found);
        let difference = largest_difference(&found, &expected);
        assert!(difference < 1e-6, "{level:?}: off by {difference}");
        let mut extremes = [-1e30, -60.0, 60.0, 1e30];
        gelu(level, &mut extremes);
        assert!(
            extremes[..2].iter().all(|x| x.abs() < 1e-9),
            "{level:?}: {extremes:?}"
        );
        assert_eq!(extremes[2..], [60.0, 1e30], "{level:?}");
    }
}

#[test]
fn softmax_is_right_at_every_level_and_leaves_padding_alone() {
    let scores: Vec<f32> = numbers(3 * 32).iter().map(|x| x * 30.0).collect();
    for level in Level::available() {
        let mut found = scores.clone();
        softmax_rows(level, &mut found, 32, 21);
        for (found, scores) in found.chunks(32).zip(scores.chunks(32)) {
            let powers: Vec<f64> = scores[..21].iter().map(|x| f64::from(*x).exp()).collect();
            let sum: f64 = powers.iter().sum();
            let expected: Vec<f64> = powers.iter().map(|power| power / sum).collect();
            let difference = largest_difference(&found[..21], &expected);
            assert!(difference < 1e-6, "{level:?}: off by {difference}");
            assert_eq!(found[21..], scores[21..]);
        }
    }
}

#[test]
fn layer_norm_is_right_at_every_level() {
    let values: Vec<f32> = numbers(2 * 384).iter().map(|x| x * 5.0 + 3.0).collect();
    let (scale, shift) = (numbers(384), numbers(384));
    for level in Level::available() {
        let mut found = values.clone();
        layer_norm(level, &mut found, &scale, &shift);
        for (found, values) in found.chunks(384).zip(values.chunks(384)) {
            let values: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
            let mean = values.iter().sum::<f64>() / 384.0;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 384.0;
            let parts = values.iter().zip(&scale).zip(&shift);
            let expected: Vec<f64> = parts
                .map(|((x, scale), shift)| {
                    (x - mean) / variance.sqrt() * f64::from(*scale) + f64::from(*shift)
                })
                .collect();
            let difference = largest_difference(found, &expected);
            assert!(difference < 1e-5, "{level:?}: off by {difference}");
        }
    }
}

#[test]
fn rounding_keeps_a_blocks_length_in_bounds_and_its_values_close() {
    let mut values = numbers(3 * BLOCK);
    values[BLOCK] = 1e4;
    values[2 * BLOCK..].fill(0.0);
    for level in Level::available() {
        let (mut rounded, mut units) = (vec![1i16; 3 * BLOCK], [9.0f32; 3]);
        quantize(level, &values, &mut rounded, &mut units);
        for (block, unit) in units.iter().enumerate() {
            let range = block * BLOCK..(block + 1) * BLOCK;
            let length = rounded[range.clone()]
                .iter()
                .map(|x| f64::from(*x).powi(2))
                .sum::<f64>();
            assert!(length.sqrt() < 32_777.0, "{level:?}, block {block}");
            for (rounded, value) in rounded[range.clone()].iter().zip(&values[range]) {
                let difference = (f32::from(*rounded) * unit - value).abs();
                assert!(
                    difference <= 0.51 * unit,
                    "{level:?}, block {block}: {difference}"
                );
            }
        }
    }
}
